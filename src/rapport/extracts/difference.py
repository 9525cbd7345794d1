"""Two releases may not differ by a few persons: whoever holds both would see them (C6)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb
import pandas as pd

from rapport.files import private_folder
from rapport.warehouse.connections import parquet, parquet_encryption, quoted

# Who is in a release: by cell for aggregates, under one name for microdata.
Persons: TypeAlias = Mapping[str, frozenset[str]]
WHOLE = "persons"


@dataclass(frozen=True)
class Difference:
    """How a new release differs from an earlier one that shares persons with it."""

    release_id: str
    new: int
    gone: int

    def is_too_small(self, k: int) -> bool:
        """Tell whether fewer than k persons make the difference, on either side."""
        return 0 < self.new < k or 0 < self.gone < k

    def words(self, k: int) -> str:
        """Say what is wrong, and what to do."""
        return (
            f"differs from {self.release_id} by fewer than {k} persons: wait for the "
            "next closed month or change the cohort"
        )


def differences(new: Persons, earlier: Mapping[str, Persons]) -> list[Difference]:
    """Compare the persons of a release with each earlier one that shares any.

    Microdata are compared whole, aggregates on each cell that appears in both.
    """
    found = []
    for release_id, old in sorted(earlier.items()):
        for cell in sorted(new.keys() & old.keys()):
            if new[cell] & old[cell]:
                n_new, n_gone = len(new[cell] - old[cell]), len(old[cell] - new[cell])
                found.append(Difference(release_id, n_new, n_gone))
    return found


def persons_path(home: Path, release_id: str) -> Path:
    """Return where the uids of a release's persons are kept."""
    return home / "vault" / "releases" / f"{release_id}.parquet"


def keep_persons(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    persons: Persons,
    *,
    encrypted: bool = False,
) -> None:
    """Keep the uids of a release's persons in the vault."""
    private_folder(path.parent)
    building = path.with_suffix(".building")
    rows = [(uid, cell) for cell, uids in persons.items() for uid in uids]
    con.register("frame", pd.DataFrame(rows, columns=["uid", "cell"], dtype="str"))
    con.execute(
        f"copy (select uid, cell from frame order by uid, cell) to '{quoted(building)}'"
        f" (format parquet, compression zstd{parquet_encryption(encrypted)})"
    )
    con.unregister("frame")
    building.chmod(0o600)
    os.replace(building, path)


def kept_persons(con: duckdb.DuckDBPyConnection, path: Path) -> Persons:
    """Return the uids of a release's persons, by cell."""
    found: dict[str, set[str]] = {}
    for uid, cell in con.execute(f"select uid, cell from {parquet(path)}").fetchall():
        found.setdefault(cell, set()).add(uid)
    return {cell: frozenset(uids) for cell, uids in found.items()}
