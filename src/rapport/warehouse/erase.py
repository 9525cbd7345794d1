"""One person's rows in what the engine wrote: found, and rewritten without them (A5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import duckdb

from rapport.errors import DiskFull, is_disk_full
from rapport.ingest.inbox import file_sha256
from rapport.mapping import BY_NAME, TABLES, Table
from rapport.settings import Settings
from rapport.state import ControlState
from rapport.warehouse.connections import open_snapshot, published_path, scratch

_OF_CLIENT = ("client", "administration")


def same_person(
    settings: Settings, state: ControlState, client_keys: Iterable[str]
) -> set[str]:
    """Return the keys that merges and links say are one person, those given among them."""
    pairs: list[tuple[str, str]] = []
    files = state.bronze_files()
    with scratch(settings) as con:
        for table, one, other in (
            ("client_merges", "old_client_key", "new_client_key"),
            ("client_links", "client_key", "other_client_key"),
        ):
            for _, path in files.get(table, []):
                pairs += con.execute(
                    f"select distinct {one}, {other} from read_parquet(?)",
                    [str(settings.home / "bronze" / path)],
                ).fetchall()
    found = set(client_keys)
    while (
        more := {key for pair in pairs if found.intersection(pair) for key in pair}
        - found
    ):
        found |= more
    return found - {""}


def keys_of_person(
    settings: Settings, state: ControlState, client_keys: set[str]
) -> dict[str, set[str]]:
    """Return every key that hangs on a person: of bronze, and made below the door."""
    found: dict[str, set[str]] = {"client": set(client_keys)}
    files = state.bronze_files()
    with scratch(settings) as con:
        _lay_keys(con, "client", client_keys)
        for table in TABLES:
            own = next((c for c in table.columns if c.name in table.identity), None)
            has_client = any(c.name == "client_id" for c in table.columns)
            if own is None or own.kind != "id" or own.of == "client" or not has_client:
                continue
            for _, path in files.get(table.name, []):
                rows = con.execute(
                    f"select distinct {own.key_name} from read_parquet(?)"
                    " where client_key in (select key from client_key)",
                    [str(settings.home / "bronze" / path)],
                ).fetchall()
                found.setdefault(own.of, set()).update(key for (key,) in rows if key)
    found["derived"] = _published_keys(settings, client_keys)
    return found


def _published_keys(settings: Settings, client_keys: set[str]) -> set[str]:
    """Return the keys of episodes, ruptures and signals that the snapshot shows."""
    path = published_path(settings)
    if not path.exists():
        return set()
    found: set[str] = set()
    with open_snapshot(path) as con:
        for table, key in (
            ("core.fct_episode", "episode_key"),
            ("alliance.fct_rupture", "rupture_key"),
            ("ops.signal_log", "signal_key"),
        ):
            rows = con.execute(
                f"select distinct {key} from {table}"
                " where list_contains(?::varchar[], client_key)",
                [sorted(client_keys)],
            ).fetchall()
            found.update(key for (key,) in rows if key)
    return found


def erase_from_bronze(
    settings: Settings, state: ControlState, keys: dict[str, set[str]]
) -> tuple[list[tuple[str, str]], int, int]:
    """Rewrite bronze without some people.

    Returns:
        The sha256 of each file before and after, how many rows went, bytes rewritten.

    A file is replaced whole, and its counts follow: a second time changes nothing.

    Raises:
        DiskFull: no room; what is rewritten stays so, and the same command goes on.
    """
    n_rows = n_bytes = 0
    hashes = []
    with scratch(settings) as con:
        for entity in _OF_CLIENT:
            _lay_keys(con, entity, keys.get(entity, set()))
        for name, files in state.bronze_files().items():
            for batch, relative in files:
                path = settings.home / "bronze" / relative
                before = file_sha256(path).hex()
                if _erase(con, BY_NAME[name], path):
                    hashes.append((before, file_sha256(path).hex()))
                    n_bytes += path.stat().st_size
                loaded = dict(
                    con.execute(
                        f"select '{name}-' || file_no, count(*) from read_parquet(?)"
                        " group by 1",
                        [str(path)],
                    ).fetchall()
                )
                n_rows += state.count_erased(batch, name, sum(loaded.values()), loaded)
    return hashes, n_rows, n_bytes


def _erase(con: duckdb.DuckDBPyConnection, table: Table, path: Path) -> bool:
    theirs = " or ".join(
        f"coalesce({c.key_name} in (select key from {c.of}_key), false)"
        for c in table.columns
        if c.kind == "id" and c.of in _OF_CLIENT
    )
    if not theirs:
        return False
    order = f"order by {table.sort_key}, file_no, row_no"
    return _rewrite(con, path, theirs, order)


def erase_from_tables(
    settings: Settings,
    folder: Path,
    client_ids: Iterable[str],
    id_columns: Mapping[str, str] | None = None,
    is_part: Callable[[str], bool] = lambda text: False,
) -> dict[str, int]:
    """Rewrite the Parquet files of a folder as they were delivered, or refused.

    Args:
        settings: the settings.
        folder: the folder; files right below it.
        client_ids: the person's ids as they are written.
        id_columns: column, lower case -> ``client`` or ``administration``; where a file has
            one of them, no other column is looked at.
        is_part: tells whether such an id is the person's.

    Returns:
        For each file without its endings, how many rows went.
    """
    gone: dict[str, int] = {}
    held = id_columns or {}
    with scratch(settings) as con:
        con.execute("create temp table id (text varchar)")
        con.execute("create temp table part (text varchar)")
        _fill(con, "id", client_ids)
        for path in sorted(folder.glob("*.parquet")):
            columns = [
                (name, kind)
                for name, kind, *_ in con.execute(
                    "describe from read_parquet(?)", [str(path)]
                ).fetchall()
            ]
            is_known = any(name.lower() in held for name, _ in columns)
            tests = [
                _names_person(name)
                for name, kind in columns
                if (
                    held.get(name.lower()) == "client"
                    if is_known
                    else _is_text(name, kind)
                )
            ]
            for name, _ in columns:
                if held.get(name.lower()) == "administration":
                    _lay_parts(con, path, name, is_part)
                    tests.append(
                        f"coalesce({_named(name)}::varchar in (select text from part),"
                        " false)"
                    )
            if not tests:
                continue
            before = _count(con, path)
            order = "order by row_no" if "row_no" in dict(columns) else ""
            if _rewrite(con, path, " or ".join(tests), order):
                file = path.name.split(".")[0]
                gone[file] = gone.get(file, 0) + before - _count(con, path)
    return gone


def _is_text(name: str, kind: str) -> bool:
    return kind in ("VARCHAR", "BIGINT", "INTEGER") and name not in ("reason", "row_no")


def _names_person(name: str) -> str:
    """Return the test of one cell: an id itself, or a whole line that holds one."""
    cell = f"{_named(name)}::varchar"
    return (
        f"coalesce(trim({cell}) in (select text from id) or (length({cell}) > 40 and"
        " exists (select 1 from id where length(id.text) >= 4"
        f" and contains({cell}, id.text))), false)"
    )


def _lay_parts(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    column: str,
    is_part: Callable[[str], bool],
) -> None:
    rows = con.execute(
        f"select distinct {_named(column)}::varchar from read_parquet(?)", [str(path)]
    ).fetchall()
    con.execute("delete from part")
    _fill(con, "part", [text for (text,) in rows if text and is_part(text.strip())])


def _rewrite(
    con: duckdb.DuckDBPyConnection, path: Path, theirs: str, order: str
) -> bool:
    row = con.execute(
        f"select count(*) from read_parquet(?) where {theirs}", [str(path)]
    ).fetchone()
    if row is None or row[0] == 0:
        return False
    building = path.with_name(f"{path.name}.building")
    try:
        con.execute(
            f"copy (select * from read_parquet('{_quoted(path)}') where not ({theirs})"
            f" {order}) to '{_quoted(building)}' (format parquet, compression zstd)"
        )
        with building.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(building, path)
    except (OSError, duckdb.Error) as error:
        building.unlink(missing_ok=True)
        if is_disk_full(error):
            raise DiskFull("erasing", again="the same command") from None
        raise
    return True


def _count(con: duckdb.DuckDBPyConnection, path: Path) -> int:
    row = con.execute("select count(*) from read_parquet(?)", [str(path)]).fetchone()
    return int(row[0]) if row else 0


def _lay_keys(con: duckdb.DuckDBPyConnection, entity: str, keys: Iterable[str]) -> None:
    con.execute(f"create temp table {entity}_key (key varchar)")
    _fill(con, f"{entity}_key", keys)


def _fill(con: duckdb.DuckDBPyConnection, table: str, values: Iterable[str]) -> None:
    con.execute(f"insert into {table} select unnest(?::varchar[])", [sorted(values)])


def _named(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
