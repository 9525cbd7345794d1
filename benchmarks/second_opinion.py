"""An independent library's k and l beside ours on 200 random tables (privacy.md, E).

    pip install --target SOMEWHERE pycanon
    PYTHONPATH=SOMEWHERE python benchmarks/second_opinion.py

pycanon is a development tool only. NULLs are filled first: pandas' groupby drops them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from pycanon import anonymity

from rapport.extracts.generalise import classes_of, distinct_in_class, encoded

TABLES = 200


def one_table(seed: int) -> tuple[pd.DataFrame, list[str]]:
    """Return a random table of persons and its quasi-identifiers."""
    draw = np.random.default_rng(seed)
    n = int(draw.integers(5, 300))
    qis = [f"qi_{i}" for i in range(int(draw.integers(1, 5)))]
    frame = pd.DataFrame(
        {
            name: draw.choice(["a", "b", "c", "missing", "masked"], n, p=[0.4, 0.3, 0.1, 0.1, 0.1])
            for name in qis
        }
    )  # fmt: skip
    frame["secret"] = draw.choice(["x", "y", "z"], n, p=[0.7, 0.2, 0.1])
    return frame, qis


def main() -> int:
    """Compare, print how many agree, and end with 1 when any differs."""
    agree = 0
    for seed in range(TABLES):
        frame, qis = one_table(seed)
        classes = classes_of([encoded(list(frame[q])) for q in qis], len(frame))
        k = int(np.bincount(classes).min())
        least = int(distinct_in_class(classes, encoded(list(frame["secret"]))).min())
        theirs = (
            anonymity.k_anonymity(frame, qis),
            anonymity.l_diversity(frame, qis, ["secret"]),
        )
        agree += (k, least) == theirs
    print(f"k and l agree on {agree} of {TABLES} random tables")
    return int(agree != TABLES)


if __name__ == "__main__":
    raise SystemExit(main())
