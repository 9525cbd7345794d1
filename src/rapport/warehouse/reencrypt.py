"""One file of the engine, written anew under another key, or plain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import duckdb

from rapport.privacy.at_rest import DiskKey, wrong_key
from rapport.settings import Settings
from rapport.warehouse.connections import (
    attach,
    is_encrypted,
    opening_key,
    parquet,
    parquet_encryption,
    quoted,
    scratch,
)


def rewrite_parquet(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    keys: Sequence[DiskKey],
    wanted: DiskKey | None,
) -> bool:
    """Write a Parquet file anew under the wanted key; return whether it was not so.

    Raises:
        KeyMissing: none of the keys opens it.
    """
    held = _parquet_key(con, path, keys)
    if held == wanted:
        return False
    building = path.with_name(f"{path.name}.building")
    con.execute(
        f"copy (from {parquet(path, kid=held.kid if held else '')})"
        f" to '{quoted(building)}' (format parquet, compression zstd"
        f"{parquet_encryption(wanted is not None)})"
    )
    _put(building, path)
    return True


def _parquet_key(
    con: duckdb.DuckDBPyConnection, path: Path, keys: Sequence[DiskKey]
) -> DiskKey | None:
    if not is_encrypted(path):
        return None
    for key in keys:
        try:
            con.execute(f"describe from {parquet(path, kid=key.kid)}")
        except duckdb.InvalidInputException:
            continue
        return key
    raise wrong_key(path.name)


def rewrite_database(
    settings: Settings, path: Path, keys: Sequence[DiskKey], wanted: DiskKey | None
) -> bool:
    """Write a snapshot anew under the wanted key; return whether it was not so.

    Readers see the one before or the one after.

    Raises:
        KeyMissing: none of the keys opens it.
    """
    held = opening_key(path, keys) if is_encrypted(path) else None
    if held == wanted:
        return False
    building = path.with_name(f"{path.name}.building")
    with scratch(settings) as con:
        attach(con, path, "old", read_only=True, keys=keys)
        attach(
            con, building, "new", encrypted=wanted is not None, oldest=True,
            keys=[wanted] if wanted else (),
        )  # fmt: skip
        con.execute("copy from database old to new")
        con.execute("checkpoint new")
        con.execute("detach new")
    _put(building, path)
    return True


def _put(building: Path, path: Path) -> None:
    building.chmod(path.stat().st_mode & 0o777)
    with building.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(building, path)
