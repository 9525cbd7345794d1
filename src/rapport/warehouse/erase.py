"""One person's rows in what the engine wrote: found, and rewritten without them (A5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from rapport.errors import shortage
from rapport.ingest.rewrite import IdRule, Person, Plan
from rapport.mapping import BY_NAME, TABLES, Table
from rapport.mapping.vendor import normal_header
from rapport.settings import Settings
from rapport.state import ControlState
from rapport.warehouse.connections import (
    is_encrypted,
    open_snapshot,
    parquet,
    parquet_encryption,
    published_path,
    quoted,
    scratch,
)
from rapport.warehouse.integrity import seal_bronze

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
                    f"select distinct {one}, {other}"
                    f" from {parquet(settings.home / 'bronze' / path)}"
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
                    f"select distinct {own.key_name}"
                    f" from {parquet(settings.home / 'bronze' / path)}"
                    " where client_key in (select key from client_key)"
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
    settings: Settings, state: ControlState, keys: dict[str, set[str]], plan: Plan
) -> None:
    """Rewrite bronze without some people.

    A file is replaced whole, and its counts follow: a second time changes nothing.

    Raises:
        DiskFull, MemoryLimitReached: no room; what is rewritten stays so, and the same command goes on.
    """
    with scratch(settings) as con:
        for entity in _OF_CLIENT:
            _lay_keys(con, entity, keys.get(entity, set()))
        for name, files in state.bronze_files().items():
            for batch, relative in files:
                path = settings.home / "bronze" / relative
                _erase(con, BY_NAME[name], path, plan)
                loaded = dict(
                    con.execute(
                        f"select '{name}-' || file_no, count(*)"
                        f" from {parquet(path)} group by 1"
                    ).fetchall()
                )
                state.count_erased(batch, name, sum(loaded.values()), loaded)
    seal_bronze(settings, state)


def _erase(
    con: duckdb.DuckDBPyConnection, table: Table, path: Path, plan: Plan
) -> None:
    theirs = " or ".join(
        f"coalesce({c.key_name} in (select key from {c.of}_key), false)"
        for c in table.columns
        if c.kind == "id" and c.of in _OF_CLIENT
    )
    if theirs:
        _rewrite(con, path, theirs, f"order by {table.sort_key}, file_no, row_no", plan)


def erase_from_tables(
    settings: Settings, folder: Path, person: Person, plan: Plan
) -> None:
    """Rewrite the Parquet files of a folder as they were delivered, or refused.

    Args:
        settings: the settings.
        folder: the folder; files right below it.
        person: whose rows go; without rules every column is looked at.
        plan: told of each file before it is replaced.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        return
    with scratch(settings) as con:
        con.execute("create temp table id (text varchar)")
        _fill(con, "id", person.client_ids)
        for path in paths:
            columns = {
                name: kind
                for name, kind, *_ in con.execute(
                    f"describe from {parquet(path)}"
                ).fetchall()
            }
            tests = _tests(con, path, columns, person.for_file(path.name))
            order = "order by row_no" if "row_no" in columns else ""
            if tests:
                _rewrite(con, path, " or ".join(tests), order, plan)


def _tests(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    columns: Mapping[str, str],
    person: Person,
) -> list[str]:
    """Return the tests by which a row of a Parquet file is the person's."""
    headers = {normal_header(name): name for name in columns}
    rules = person.rules_in(headers)
    if not rules:
        texts = [name for name, kind in columns.items() if _is_text(name, kind)]
        return [_names_person(name) for name in texts] + _hold_pieces(texts, person)
    tests = []
    for number, rule in enumerate(rules):
        said = _id_text(rule, headers)
        rows = con.execute(f"select distinct {said} from {parquet(path)}").fetchall()
        theirs = [
            text
            for (text,) in rows
            if text
            and (
                person.has_cell(text)
                if rule.entity == "client"
                else person.is_theirs(rule.entity, text)
            )
        ]
        con.execute(f"create or replace temp table theirs_{number} (text varchar)")
        _fill(con, f"theirs_{number}", theirs)
        tests.append(f"coalesce({said} in (select text from theirs_{number}), false)")
    return tests


def _hold_pieces(texts: list[str], person: Person) -> list[str]:
    """Return the tests of rows in which the pieces of a composed id are cells."""
    cells = f"[{', '.join(f'trim({_named(name)}::varchar)' for name in texts)}]"
    return [
        f"list_has_all({cells}, [{', '.join(_literal(piece) for piece in pieces)}])"
        for pieces in person.pieces
        if texts
    ]


def _id_text(rule: IdRule, headers: Mapping[str, str]) -> str:
    """Return SQL of the id that a rule makes of a row; null where a part lacks."""
    parts = []
    for part in rule.parts:
        cells = [
            f"nullif(trim({_named(headers[h])}::varchar), '')"
            for h in part.headers
            if h in headers
        ]
        if part.constant or part.is_optional:
            cells.append(_literal(part.constant))
        parts.append(f"coalesce({', '.join(cells)})")
    between = f" || {_literal(rule.separator)} || "
    return f"({between.join(parts)})"


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


def _rewrite(
    con: duckdb.DuckDBPyConnection, path: Path, theirs: str, order: str, plan: Plan
) -> None:
    row = con.execute(f"select count(*) from {parquet(path)} where {theirs}").fetchone()
    if row is None or row[0] == 0:
        return
    building = path.with_name(f"{path.name}.building")
    try:
        con.execute(
            f"copy (select * from {parquet(path)} where not ({theirs}) {order})"
            f" to '{quoted(building)}' (format parquet, compression zstd"
            f"{parquet_encryption(is_encrypted(path))})"
        )
        with building.open("rb") as file:
            os.fsync(file.fileno())
        plan(path, int(row[0]))
        os.replace(building, path)
    except (OSError, duckdb.Error) as error:
        building.unlink(missing_ok=True)
        if short := shortage(error, "erasing", again="the same command"):
            raise short from None
        raise


def _lay_keys(con: duckdb.DuckDBPyConnection, entity: str, keys: Iterable[str]) -> None:
    con.execute(f"create temp table {entity}_key (key varchar)")
    _fill(con, f"{entity}_key", keys)


def _fill(con: duckdb.DuckDBPyConnection, table: str, values: Iterable[str]) -> None:
    con.execute(f"insert into {table} select unnest(?::varchar[])", [sorted(values)])


def _named(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
