"""An independent library counts the same k and l on 200 random tables (privacy.md E).

pycanon is a development tool only. Nulls are filled for it first: pandas' groupby drops them.
"""

import numpy as np
import pandas as pd
from pycanon import anonymity

from rapport.extracts.generalise import classes_of, distinct_in_class, encoded

TABLES = 200


def one_table(seed: int) -> tuple[pd.DataFrame, list[str]]:
    """Return a random table of persons and its quasi-identifiers, nulls among them."""
    draw = np.random.default_rng(seed)
    n = int(draw.integers(5, 120))
    qis = [f"qi_{place}" for place in range(int(draw.integers(1, 5)))]
    values = np.array(["a", "b", "missing", None], dtype=object)
    frame = pd.DataFrame(
        {name: draw.choice(values, n, p=[0.6, 0.2, 0.1, 0.1]) for name in qis}
    )
    frame["secret"] = draw.choice(["x", "y", "z"], n, p=[0.7, 0.2, 0.1])
    return frame, qis


def test_another_library_counts_the_same_k_and_l_on_200_random_tables() -> None:
    smallest = set()
    for seed in range(TABLES):
        frame, qis = one_table(seed)
        told = frame[qis].astype(object).where(frame[qis].notna(), None)
        columns = [encoded(list(told[name])) + 1 for name in qis]
        classes = classes_of(columns, len(frame))
        k = int(np.bincount(classes).min())
        least = int(distinct_in_class(classes, encoded(list(frame["secret"]))).min())
        filled = frame.fillna("none")
        assert k == anonymity.k_anonymity(filled, qis), seed
        assert least == anonymity.l_diversity(filled, qis, ["secret"]), seed
        smallest.add((k, least))
    assert len(smallest) > 5  # tables of many kinds, not one
