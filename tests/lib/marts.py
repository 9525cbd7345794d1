"""Deliveries through the real door and one build, and the marts read back as rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from lib.parsed import lent_parse
from rapport import night
from rapport.mapping.canonical import BY_NAME
from rapport.settings import Settings, load_settings
from rapport.warehouse.connections import candidate_path

Rows = list[dict[str, str]]
Tables = dict[str, list[dict[str, Any]]]

SCHEMAS = ("core", "alliance", "outcomes")


def lay_delivery(home: Path, source: str, delivery_id: str, tables: dict[str, Rows],
                 snapshots: Iterable[str]) -> None:  # fmt: skip
    """Put one complete delivery of canonical CSV files into the inbox."""
    folder = home / "inbox" / source / delivery_id
    folder.mkdir(parents=True)
    for table, rows in tables.items():
        header = [column.name for column in BY_NAME[table].columns]
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, header, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    modes = {table: {"mode": "snapshot"} for table in snapshots}
    (folder / "manifest.json").write_text(json.dumps({"tables": modes}))
    (folder / "_SUCCESS").touch()


def lay_mapping(home: Path, source: str) -> None:
    """Let a source deliver canonical tables under another name."""
    folder = home / "mappings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{source}.toml").write_text('extends = "canonical"\n')


def settings_of(home: Path, said: dict[str, Any]) -> Settings:
    """Write ``rapport.toml`` from settings by their dotted names, and load it."""
    lines = []
    for name, value in said.items():
        *section, last = (
            name.split(".", 1) if name.count(".") == 1 else name.rsplit(".", 1)
        )
        parts = section[0].split(".", 1)
        head = ".".join(json.dumps(part) for part in parts)
        written = json.dumps(list(value) if isinstance(value, tuple) else value)
        lines.append(f"{head}.{last} = {written}")
    (home / "rapport.toml").write_text("\n".join(lines) + "\n")
    return load_settings({"RAPPORT_HOME": str(home)})


def take_in(settings: Settings) -> None:
    """Take every delivery of the inbox through the door."""
    night.ingest(settings)


def key_of(settings: Settings, source: str) -> Callable[[str, str], str]:
    """Return (entity, id) -> published key, for one source."""
    keys = night.open_keys(settings)
    return lambda entity, id_: keys.row_key(entity, source, id_)


def build_marts(settings: Settings, as_of: date) -> Tables:
    """Build once; return every row of the published schemas of measures."""
    run_id = night.start_run(settings, as_of)
    with lent_parse(settings.home):
        night.build(settings, run_id)
    with duckdb.connect(str(candidate_path(settings)), read_only=True) as con:
        names = con.execute(
            "select schema_name || '.' || table_name from duckdb_tables()"
            f" where schema_name in {SCHEMAS} order by 1"
        ).fetchall()
        found: Tables = {}
        for (name,) in names:
            rows = con.execute(f"select * from {name}")
            columns = [column[0] for column in rows.description]
            found[name] = [
                dict(zip(columns, row, strict=True)) for row in rows.fetchall()
            ]
    return found
