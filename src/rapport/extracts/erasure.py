"""An erasure and the extracts: who holds the person, and what the vault keeps no longer.

A released package is out of reach: its holder is named and it is marked superseded. What
the vault keeps of it (the uids of releases and of frozen months) is rewritten without the
person (privacy.md A5).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import duckdb

from rapport.extracts.difference import persons_path
from rapport.extracts.ledger import standings
from rapport.extracts.lifecycle import holder_of, mark_superseded
from rapport.privacy.at_rest import disk_keys
from rapport.warehouse import in_memory
from rapport.warehouse.connections import (
    is_encrypted,
    parquet,
    parquet_encryption,
    quoted,
)


def releases_holding(home: Path, uids: Collection[str]) -> list[dict[str, str]]:
    """List the releases that held one of some people: ``release_id``, ``holder``."""
    if not (home / "vault" / "releases").is_dir():
        return []
    found = []
    with in_memory(disk_keys(home)) as con:
        for standing in standings(home).values():
            if standing.release_id is None:
                continue
            path = persons_path(home, standing.release_id)
            if path.exists() and _n_held(con, path, uids):
                holder = holder_of(home, standing.request_id)
                found.append({"release_id": standing.release_id, "holder": holder})
    return found


def supersede_releases(home: Path, release_ids: Collection[str]) -> None:
    """Enter, once, that releases hold a person who was erased since."""
    for standing in standings(home).values():
        if standing.release_id in release_ids and standing.state == "released":
            mark_superseded(home, standing)


def forget_persons(home: Path, uids: Collection[str]) -> int:
    """Rewrite what the vault keeps of releases and frozen months; return how many files."""
    n_files = 0
    with in_memory(disk_keys(home)) as con:
        for folder in ("releases", "cohorts"):
            for path in sorted((home / "vault" / folder).rglob("*.parquet")):
                if _n_held(con, path, uids):
                    _rewrite_without(con, path, uids)
                    n_files += 1
    return n_files


def _n_held(con: duckdb.DuckDBPyConnection, path: Path, uids: Collection[str]) -> int:
    row = con.execute(
        f"select count(*) from {parquet(path)} where uid in ({_list(uids)})"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _rewrite_without(
    con: duckdb.DuckDBPyConnection, path: Path, uids: Collection[str]
) -> None:
    building = path.with_suffix(".building")
    con.execute(
        f"copy (select * from {parquet(path)}"
        f" where uid not in ({_list(uids)}) order by all)"
        f" to '{quoted(building)}' (format parquet, compression zstd"
        f"{parquet_encryption(is_encrypted(path))})"
    )
    building.chmod(0o600)
    with building.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(building, path)


def _list(uids: Collection[str]) -> str:
    return ", ".join(f"'{uid}'" for uid in sorted(uids)) or "null"
