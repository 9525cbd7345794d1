"""What a build on Spark is handed: control state as Parquet, and bronze's file names.

``python -m rapport.warehouse.spark_inputs FOLDER AS_OF`` writes ``FOLDER/control/`` and
``FOLDER/inputs.json``, which the macro ``bind_sources`` reads. Bronze itself is not
copied: Spark reads the files that the ledger names where they stand.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

import duckdb

from rapport.errors import SettingsError
from rapport.files import private_folder
from rapport.settings import Settings, load_settings
from rapport.state import ControlState
from rapport.warehouse.build import (
    bronze_columns,
    bronze_paths,
    delivery_order,
    lay_control,
)
from rapport.warehouse.connections import scratch

Tables = list[dict[str, object]]
LONGEST_PATH = 3_000


def write_inputs(
    settings: Settings, folder: Path, run_id: str, as_of: date, known_on: date | None
) -> Path:
    """Write what the models read, as a build of this moment on DuckDB would be handed.

    Returns:
        The file that names every table with its columns and Parquet files.

    Raises:
        SettingsError: bronze is encrypted at rest, which Spark cannot read.
    """
    if settings.security.encrypt_at_rest:
        raise SettingsError(
            "Spark cannot read bronze that is encrypted at rest",
            next_step="build on DuckDB, or run Spark on a disk that is encrypted itself",
        )
    state = ControlState(settings.home)
    order = delivery_order(settings, state, known_on)
    counted = {batch for batch, *_ in order}
    control = folder / "control"
    private_folder(control)
    with scratch(settings) as con:
        lay_control(con, settings, state, order, run_id, as_of, known_on)
        inputs = {
            "control": export_control(con, control),
            "bronze": [
                {
                    "name": table.name,
                    "columns": bronze_columns(table),
                    "paths": paths_of(settings.home / "bronze", files),
                }
                for table, files in bronze_paths(settings, state, counted).items()
            ],
        }
    written = folder / "inputs.json"
    # One line: Spark reads it as one row.
    written.write_text(json.dumps(inputs) + "\n", "utf-8")
    return written


def export_control(con: duckdb.DuckDBPyConnection, folder: Path) -> Tables:
    """Write each table of ``control`` to a Parquet file; return what bind_sources reads."""
    tables: Tables = []
    names = con.execute(
        "select table_name from duckdb_tables() where schema_name = 'control'"
        " order by table_name"
    ).fetchall()
    for (name,) in names:
        path = folder / f"{name}.parquet"
        said = str(path).replace("'", "''")
        con.execute(f"copy control.{name} to '{said}' (format parquet)")
        columns = con.execute(f"describe control.{name}").fetchall()
        tables.append(
            {
                "name": name,
                "columns": [(column, type_) for column, type_, *_ in columns],
                "paths": [str(path)],
            }
        )
    return tables


def paths_of(root: Path, files: list[Path]) -> list[str]:
    """Return few paths that name all files: ``{a,b}`` is read as a or b by Hadoop.

    Each is short enough for Spark's catalog, which keeps 4,000 characters of a path.
    """
    named: list[list[str]] = []
    for file in files:
        inner = str(file.relative_to(root))
        if not named or sum(len(n) + 1 for n in named[-1]) + len(inner) > LONGEST_PATH:
            named.append([])
        named[-1].append(inner)
    return [f"{root}/{{{','.join(inner)}}}" for inner in named]


def main() -> None:
    """Write the inputs of RAPPORT_HOME, for the macro ``bind_sources``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write; readable by Spark")
    parser.add_argument("--as-of", type=date.fromisoformat, default=date.today())
    parser.add_argument("--known-on", type=date.fromisoformat)
    parser.add_argument("--run-id", default="r_spark")
    asked = parser.parse_args()
    settings = load_settings()
    folder = asked.folder.resolve()
    print(write_inputs(settings, folder, asked.run_id, asked.as_of, asked.known_on))


if __name__ == "__main__":
    main()
