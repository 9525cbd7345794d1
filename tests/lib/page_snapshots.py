"""Published snapshots written by hand, row by row, for tests of the pages.

The tables have the columns of the marts' contracts. A row names what it needs; the rest
is null, and what tells of hiding or of a partial month is false. No model is run, so a
test can ask for any number beside any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import yaml

from conftest import ROOT
from rapport.settings import Settings, load_settings

AS_OF = date(2026, 6, 15)
RUN_ID = "r_20260615_060000_hand"
MARTS = ROOT / "dbt_project" / "models" / "marts"
_OPS = {
    "ops.run": "run_id varchar, as_of date, known_on date, started_at timestamp,"
    " ended_at timestamp, outcome varchar, settings_digest varchar, audit_head varchar",
    "ops.check_result": "run_id varchar, layer varchar, table_name varchar,"
    " check_name varchar, severity varchar, status varchar, passed boolean,"
    " observed double, expected varchar, waived boolean",
    "ops.change_log": "run_id varchar, table_name varchar, change varchar, month date,"
    " is_past_month boolean, n_rows bigint",
    "ops.baseline_correction": "chart_id varchar, clinic_key varchar, segment integer,"
    " corrected_on date",
    "ops.delivery": "delivery_id varchar, source varchar, received_at timestamp,"
    " picked_up_at timestamp, outcome varchar, n_files integer",
    "ops.row_ledger": "delivery_id varchar, source varchar, file varchar,"
    " table_name varchar, rows_in bigint, rows_loaded bigint, rows_quarantined bigint,"
    " rows_filtered bigint, rows_footer bigint, rows_blank bigint, encoding varchar",
    "ops.signal_erasure": "erased_at timestamp, n_signals integer",
}
_FALSE = ("suppressed", "partly_suppressed", "is_partial", "waived", "adjusted")

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def lay_pages(home: Path, rows: Rows, settings: str = "") -> Settings:
    """Write the snapshot of a RAPPORT_HOME; return its settings."""
    (home / "published").mkdir(parents=True)
    (home / "rapport.toml").write_text(settings, encoding="utf-8")
    with duckdb.connect(home / "published" / "rapport.duckdb") as con:
        for schema in ("core", "alliance", "outcomes", "qi", "ops"):
            con.execute(f"create schema {schema}")
        for name, columns in _contracts():
            con.execute(f"create table {name} ({columns})")
        _insert(con, "ops.run", [RUN])
        for name, found in rows.items():
            _insert(con, name, found)
    return load_settings({"RAPPORT_HOME": str(home)})


RUN = {
    "run_id": RUN_ID, "as_of": AS_OF, "started_at": "2026-06-15 06:00:00",
    "ended_at": "2026-06-15 06:05:00", "outcome": "published", "settings_digest": "0",
}  # fmt: skip


def _contracts() -> Iterator[tuple[str, str]]:
    yield from _OPS.items()
    found = sorted(MARTS.rglob("*.yml"))
    assert found
    for path in found:
        (model,) = yaml.safe_load(path.read_text("utf-8"))["models"]
        columns = ", ".join(f"{c['name']} {c['data_type']}" for c in model["columns"])
        name = f"{path.parent.name}.{path.stem}"
        if name not in _OPS:
            yield name, columns


def _insert(
    con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    described = con.execute(f"describe {table}").fetchall()
    columns = [name for name, *_ in described]
    values: list[Any] = []
    for row in rows:
        assert set(row) <= set(columns), set(row) - set(columns)
        values += [row.get(c, False if c in _FALSE else None) for c in columns]
    one = f"({', '.join('?' * len(columns))})"
    con.execute(f"insert into {table} values {', '.join([one] * len(rows))}", values)


def month(n: int) -> date:
    """Return the nth month: 0 is January 2024, and 29 the month of the night."""
    return date(2024 + n // 12, n % 12 + 1, 1)


def hidden(row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return a row as the small-cell rule leaves it: its keys alone."""
    kept = {name: row[name] for name in (*keys, "is_partial") if name in row}
    return {**kept, "suppressed": True}
