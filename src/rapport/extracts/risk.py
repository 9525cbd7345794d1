"""What an attacker can do with the tables of a package, measured on the tables alone.

Runs on any connection whose schema ``data`` holds the package's tables as published: when
a rung is tried, when the written files are read back, and in ``extract verify``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from rapport.extracts.columns import MASKED, SENSITIVE
from rapport.extracts.generalise import (
    classes_of,
    distinct_in_class,
    encoded,
    is_exempt,
)
from rapport.extracts.triples import (
    KNOWN_POINTS,
    counted,
    drawn_triples,
    points_of,
)

MAX_MEAN_RISK = 0.05


@dataclass(frozen=True)
class Classes:
    """How persons hide among each other by their quasi-identifiers.

    Attributes:
        n_persons: rows of ``clients``.
        n_masked: persons with a mask.
        k_min: persons in the smallest class; 0 without persons.
        sizes: persons of each class, smallest first.
        l_min: distinct values in the least diverse class, an attribute.
        exempt: attributes with one value or none in the whole package.
    """

    n_persons: int
    n_masked: int
    k_min: int
    sizes: tuple[int, ...]
    l_min: dict[str, int]
    exempt: tuple[str, ...]

    def reidentification(self) -> dict[str, float]:
        """Return the three usual risks: of one target, on average, at the worst.

        Source: El Emam & Dankar 2008: prosecutor (the worst and the mean of one over the
        class), journalist (the same here, as the whole package is what is searched) and
        marketer (the share of persons that one could expect to name).
        """
        if not self.sizes:
            return {"prosecutor": 0.0, "journalist": 0.0, "marketer": 0.0}
        share = len(self.sizes) / self.n_persons
        return {
            "prosecutor": round(1 / self.k_min, 6),
            "journalist": round(1 / self.k_min, 6),
            "marketer": round(share, 6),
        }


@dataclass(frozen=True)
class Trajectory:
    """The risk from three remembered points of a person's course (C5.7)."""

    p: int
    mean: float
    max: float
    share_over_0_2: float
    joint_mean: float
    joint_max: float
    risks: tuple[float, ...]


def tables_in(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """List the package's tables with their columns."""
    rows = con.execute(
        "select table_name, column_name from information_schema.columns"
        " where table_schema = 'data' order by table_name, ordinal_position"
    ).fetchall()
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


def class_codes(
    con: duckdb.DuckDBPyConnection, quasi_identifiers: Sequence[str]
) -> NDArray[np.int64]:
    """Return each person's class, persons by ``client_id``."""
    n = _number(con, "select count(*) from data.clients")
    codes = [
        encoded(_listed(con, f"select {name} from data.clients order by client_id"))
        for name in quasi_identifiers
    ]
    # NULL is no value of a quasi-identifier; where one occurs it is a value like any.
    return classes_of([c + 1 for c in codes], n)


def sensitive_values(
    con: duckdb.DuckDBPyConnection,
) -> dict[str, list[str | None]]:
    """Return the released sensitive attributes of each person's index episode."""
    tables = tables_in(con)
    found: dict[str, list[str | None]] = {}
    for name in SENSITIVE:
        table = "outcomes" if name == "clinical_class" else "episodes"
        if name not in tables.get(table, []) or "episodes" not in tables:
            continue
        first = (
            "(select episode_id, arg_min_null(clinical_class, instrument) as clinical_class"
            " from data.outcomes group by episode_id)"
            if name == "clinical_class"
            else "data.episodes"
        )
        found[name] = _listed(
            con,
            f"select cast(attribute.{name} as varchar) from data.clients as clients"
            " left join (select distinct on (client_id) client_id, episode_id"
            "   from data.episodes where episode_no = 1 order by client_id, episode_id)"
            "   as first on clients.client_id = first.client_id"
            f" left join {first} as attribute on first.episode_id = attribute.episode_id"
            " order by clients.client_id",
        )
    return found


def measure_classes(
    con: duckdb.DuckDBPyConnection, quasi_identifiers: Sequence[str]
) -> Classes:
    """Count persons a class, and distinct secrets a class."""
    classes = class_codes(con, quasi_identifiers)
    sizes = np.sort(np.bincount(classes)) if len(classes) else np.array([], dtype=int)
    l_min, exempt = {}, []
    for name, values in sensitive_values(con).items():
        codes = encoded(values)
        if is_exempt(codes):
            exempt.append(name)
        else:
            l_min[name] = int(distinct_in_class(classes, codes).min())
    masked = " or ".join(f"{name} = '{MASKED}'" for name in quasi_identifiers)
    n_masked = _number(
        con, f"select count(*) from data.clients where {masked or 'false'}"
    )
    return Classes(
        n_persons=len(classes),
        n_masked=n_masked,
        k_min=int(sizes[0]) if len(sizes) else 0,
        sizes=tuple(int(s) for s in sizes),
        l_min=l_min,
        exempt=tuple(exempt),
    )


def measure_trajectory(
    con: duckdb.DuckDBPyConnection,
    request_digest: str,
    quasi_identifiers: Sequence[str],
) -> Trajectory:
    """Return the mean risk of being singled out by three points of one's course.

    Source: El Emam et al. 2012 (p known events, .05); de Montjoye et al. 2013.
    """
    found = _trajectory(con, request_digest, quasi_identifiers, None, None)
    assert found is not None
    return found


def is_course_safe(
    con: duckdb.DuckDBPyConnection,
    request_digest: str,
    quasi_identifiers: Sequence[str],
    joint_mean_max: float | None,
) -> bool:
    """Tell whether three remembered points keep the limits; ends once they cannot.

    The rarest points are looked at first: of a course that names too many, the first
    few are enough to know.
    """
    found = _trajectory(
        con, request_digest, quasi_identifiers, MAX_MEAN_RISK, joint_mean_max
    )
    return (
        found is not None
        and found.mean <= MAX_MEAN_RISK
        and (joint_mean_max is None or found.joint_mean <= joint_mean_max)
    )


def _trajectory(
    con: duckdb.DuckDBPyConnection,
    request_digest: str,
    quasi_identifiers: Sequence[str],
    mean_max: float | None,
    joint_mean_max: float | None,
) -> Trajectory | None:
    """Measure; None as soon as a mean is sure to lie above its limit."""
    ids = _listed(con, "select client_id from data.clients order by client_id")
    n = len(ids)
    if n == 0:
        return Trajectory(KNOWN_POINTS, 0.0, 0.0, 0.0, 0.0, 0.0, ())
    points = points_of(con, tables_in(con))
    owner, triples = drawn_triples(request_digest, ids, points)
    classes = class_codes(con, quasi_identifiers)
    weights = 1 / np.bincount(owner, minlength=n)[owner] / n
    counts, joint = np.empty((2, len(owner)), dtype=np.int64)
    so_far = joint_so_far = 0.0
    for at, n_all, n_own in counted(points, owner, triples, classes):
        counts[at], joint[at] = n_all, n_own
        so_far += float((weights[at] / n_all).sum())
        joint_so_far += float((weights[at] / n_own).sum())
        if _is_above(so_far, mean_max) or _is_above(joint_so_far, joint_mean_max):
            return None
    n_each = np.bincount(owner, minlength=n)
    risks = np.bincount(owner, weights=1 / counts, minlength=n) / n_each
    joints = np.bincount(owner, weights=1 / joint, minlength=n) / n_each
    return Trajectory(
        p=KNOWN_POINTS,
        mean=round(float(risks.mean()), 6),
        max=round(float(risks.max()), 6),
        share_over_0_2=round(float((risks > 0.2).mean()), 6),
        joint_mean=round(float(joints.mean()), 6),
        joint_max=round(float(joints.max()), 6),
        risks=tuple(float(r) for r in risks),
    )


def _is_above(so_far: float, limit: float | None) -> bool:
    """Tell whether a mean lies above its limit, however it is rounded and summed."""
    return limit is not None and so_far > limit + 1e-6


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def _listed(con: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    return [row[0] for row in con.execute(sql).fetchall()]
