"""One reader of the snapshot, in a process of its own, until a file says that it is over.

    python snapshot_reader.py HOME STOP KIND

KIND is ``plain`` (any DuckDB client), ``lent`` (as rapport's own commands open it) or
``held`` (a connection kept open across publishes). A look asks three tables and the runs,
one after the other: what they say must be of one snapshot. Printed are counts and faults.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from rapport.settings import load_settings
from rapport.warehouse.connections import open_published

KINDS = ("plain", "lent", "held")
MARKED = {
    "core.fct_session": "session_number",
    "core.fct_measure_score": "n_answered",
    "alliance.fct_rupture": "onset_session_number",
}


@contextmanager
def opened(home: Path, kind: str) -> Iterator[duckdb.DuckDBPyConnection]:
    if kind == "lent":
        with open_published(load_settings({"RAPPORT_HOME": str(home)})) as con:
            yield con
        return
    path = home / "published" / "rapport.duckdb"
    with duckdb.connect(path, read_only=True) as con:
        yield con


def look(con: duckdb.DuckDBPyConnection, *, slow: bool) -> set[int]:
    """Return the marks that one look saw; one mark when all is of one snapshot."""
    seen: set[int] = set()
    for table, column in MARKED.items():
        seen |= {n for (n,) in con.execute(f"select distinct {column} from {table}").fetchall()}  # fmt: skip
        if slow:
            time.sleep(0.5)
    (run,) = con.execute(
        "select count(*) from ops.run where outcome = 'published'"
    ).fetchall()
    return seen | {run[0]}


def main() -> None:
    home, stop, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    n_looks, failures, marks = 0, [], set()
    rng = random.Random(kind)
    while not stop.exists():
        time.sleep(
            rng.uniform(0, 1)
        )  # twenty who never rest would starve the publisher
        try:
            with opened(home, kind) as con:
                seen = look(con, slow=kind == "held")
        except Exception as error:  # whatever it is, a reader met it
            failures.append(repr(error))
            continue
        n_looks += 1
        marks |= seen
        if len(seen) != 1:
            failures.append(f"a look saw marks {sorted(seen)}")
    print(json.dumps({"n_looks": n_looks, "failures": failures[:5], "n_marks": len(marks)}))  # fmt: skip


if __name__ == "__main__":
    main()
