"""The search for the least generalisation that makes a cohort k-anonymous (C5.1-5.4).

Exact and deterministic: every node of the lattice in one order, the first feasible one is
taken, so two builds cannot choose differently. Who still fails is masked, column by
column, and the rest is dropped.

Source: Sweeney 2002 (k); Machanavajjhala et al. 2007 (l); El Emam et al. 2009 (lattice).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rapport.extracts.levels import SUPPRESSION_ORDER, TOP, WEIGHTS, generalised

Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]
MAX_SHARE = 0.05
MIN_DISTINCT = 2


@dataclass(frozen=True)
class Node:
    """A choice of one level for each quasi-identifier, and what it costs."""

    levels: tuple[int, ...]
    loss: int


@dataclass(frozen=True)
class Anonymised:
    """Who carries which masks at the chosen node.

    Attributes:
        node: the chosen node.
        values: for each column of the node below its top, each person's value.
        is_dropped: who leaves with all rows.
    """

    node: Node
    values: dict[str, list[str]]
    is_dropped: Flags


def lattice(columns: Sequence[str], weights: Mapping[str, int]) -> list[Node]:
    """List every node, the least loss first; ties in the order of the tuple."""
    nodes = []
    for levels in product(*(range(TOP[name] + 1) for name in columns)):
        loss = sum(
            weights.get("state" if name == "zip3" else name, WEIGHTS[name])
            * (6 * level // TOP[name]) ** 2
            for name, level in zip(columns, levels, strict=True)
        )
        nodes.append(Node(levels, loss))
    return sorted(nodes, key=lambda node: (node.loss, node.levels))


def encoded(values: Sequence[str | None]) -> Codes:
    """Give each distinct value a number; None is -1."""
    numbers: dict[str, int] = {}
    for value in sorted({v for v in values if v is not None}):
        numbers[value] = len(numbers)
    return np.array([-1 if v is None else numbers[v] for v in values], dtype=np.int64)


def classes_of(columns: Sequence[Codes], n: int) -> Codes:
    """Number the classes of persons that agree in every column (codes of 0 and up)."""
    found = np.zeros(n, dtype=np.int64)
    for codes in columns:
        width = int(codes.max(initial=0)) + 1
        found = found * width + codes
        if int(found.max(initial=0)) > 4 * n + 1000:
            found = np.unique(found, return_inverse=True)[1].astype(np.int64)
    numbered: Codes = np.unique(found, return_inverse=True)[1].astype(np.int64)
    return numbered


def distinct_in_class(classes: Codes, sensitive: Codes) -> Codes:
    """Count the distinct non-null values of an attribute in each class."""
    n_classes = int(classes.max(initial=-1)) + 1
    width = int(sensitive.max(initial=-1)) + 1
    held = np.zeros((n_classes, max(width, 1)), dtype=bool)
    known = sensitive >= 0
    held[classes[known], sensitive[known]] = True
    counts: Codes = held.sum(axis=1).astype(np.int64)
    return counts


def failing(
    classes: Codes, sensitive: Sequence[Codes], k: int, *, budget: int | None = None
) -> Flags:
    """Mark the persons whose class is too small or shares one secret (C5.2).

    Args:
        classes: each person's class.
        sensitive: codes of each sensitive attribute, -1 for null.
        k: the smallest class.
        budget: where more than so many fail by size, diversity is not looked at.
    """
    bad = np.bincount(classes) < k
    if budget is None or int(bad[classes].sum()) <= budget:
        for codes in sensitive:
            bad = bad | (distinct_in_class(classes, codes) < MIN_DISTINCT)
    flags: Flags = bad[classes]
    return flags


def is_exempt(codes: Codes) -> bool:
    """Tell whether an attribute cannot be diverse anywhere: one value in the cohort."""
    return len(np.unique(codes[codes >= 0])) < MIN_DISTINCT


def search(
    columns: Sequence[str],
    values: Mapping[str, Sequence[str]],
    sensitive: Sequence[Codes],
    k: int,
    weights: Mapping[str, int],
) -> Node | None:
    """Return the first feasible node, or None when even the coarsest is not."""
    n = len(next(iter(values.values()))) if values else len(sensitive[0])
    budget = int(MAX_SHARE * n)
    coded = {
        (name, level): encoded([generalised(name, level, v) for v in values[name]])
        for name in columns
        for level in range(TOP[name])
    }
    for node in lattice(columns, weights):
        chosen = [
            coded[name, level]
            for name, level in zip(columns, node.levels, strict=True)
            if level < TOP[name]
        ]
        classes = classes_of(chosen, n)
        if int(failing(classes, sensitive, k, budget=budget).sum()) <= budget:
            return node
    return None


def mask_locally(
    columns: Sequence[str],
    codes: Mapping[str, Codes],
    is_failing: Flags,
    sensitive: Sequence[Codes],
    k: int,
) -> tuple[dict[str, Flags], Flags]:
    """Mask those who fail, one column after the other, until they hide in a class.

    Returns:
        who is masked in which column, and who is left at the end, to be dropped.
    """
    left = is_failing.copy()
    masks = {name: np.zeros(len(left), dtype=bool) for name in columns}
    for name in SUPPRESSION_ORDER:
        if name not in columns or not left.any():
            continue
        masks[name] |= left
        held = np.flatnonzero(left)
        shown = [np.where(masks[c][held], 0, codes[c][held] + 1) for c in columns]
        still = failing(classes_of(shown, len(held)), [s[held] for s in sensitive], k)
        left[held[~still]] = False
    return masks, left


def anonymised(
    columns: Sequence[str],
    values: Mapping[str, Sequence[str]],
    sensitive: Sequence[Codes],
    k: int,
    weights: Mapping[str, int],
) -> Anonymised | None:
    """Generalise, mask and drop; None when no node is feasible."""
    node = search(columns, values, sensitive, k, weights)
    if node is None:
        return None
    kept = {
        name: [generalised(name, level, v) for v in values[name]]
        for name, level in zip(columns, node.levels, strict=True)
        if level < TOP[name]
    }
    n = len(next(iter(values.values())))
    everyone = np.ones(n, dtype=bool)
    again, dropped = remask(kept, everyone, sensitive, k)
    return Anonymised(node, again, dropped)


def remask(
    values: Mapping[str, Sequence[str]],
    is_kept: Flags,
    sensitive: Sequence[Codes],
    k: int,
) -> tuple[dict[str, list[str]], Flags]:
    """Mask those kept whose class fails as the values stand now (C5.4, and again C5.5).

    Returns:
        the values with their masks, and who is dropped in addition.
    """
    names = list(values)
    held = np.flatnonzero(is_kept)
    codes = {name: encoded(list(values[name]))[held] for name in names}
    inside = [s[held] for s in sensitive]
    classes = classes_of([codes[name] for name in names], len(held))
    masks, left = mask_locally(names, codes, failing(classes, inside, k), inside, k)
    shown = {name: list(values[name]) for name in names}
    for name in names:
        for place in held[masks[name] & ~left]:
            shown[name][place] = "masked"
    dropped = np.zeros(len(is_kept), dtype=bool)
    dropped[held[left]] = True
    return shown, dropped
