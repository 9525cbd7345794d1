"""What a build on Spark is handed: the same tables as DuckDB's, as files (ADR 0063)."""

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest

from rapport.errors import SettingsError
from rapport.mapping import TABLES
from rapport.settings import load_settings
from rapport.state import ControlState
from rapport.warehouse.build import delivery_order, prepare_work
from rapport.warehouse.connections import work_path
from rapport.warehouse.spark_inputs import paths_of, write_inputs

AS_OF = date(2026, 6, 30)


def test_the_paths_name_the_files_of_the_ledger_and_no_other() -> None:
    root = Path("/home/bronze")
    files = [Path(f"/home/bronze/north/sessions/b_{n}.parquet") for n in range(500)]
    assert paths_of(root, files[:2]) == [
        "/home/bronze/{north/sessions/b_0.parquet,north/sessions/b_1.parquet}"
    ]
    named = paths_of(root, files)
    assert 1 < len(named) < 20
    assert all(len(path) < 4000 for path in named)
    inner = [path.removeprefix("/home/bronze/{").removesuffix("}") for path in named]
    assert [root / f for path in inner for f in path.split(",")] == files
    assert paths_of(root, []) == []


def test_spark_is_handed_the_control_tables_that_duckdb_is(tmp_path: Path) -> None:
    settings = load_settings({"RAPPORT_HOME": str(tmp_path)})
    state = ControlState(tmp_path)
    work_path(settings).parent.mkdir(parents=True, exist_ok=True)
    order = delivery_order(settings, state, None)
    prepare_work(settings, state, order, "r_1", AS_OF, None)
    written = write_inputs(settings, tmp_path / "inputs", "r_1", AS_OF, None)
    schemas = json.loads(written.read_text("utf-8"))
    with duckdb.connect(str(work_path(settings)), read_only=True) as con:
        laid = con.execute(
            "select table_name from duckdb_tables() where schema_name = 'control'"
        ).fetchall()
        assert {name for (name,) in laid} == {t["name"] for t in schemas["control"]}
        for table in schemas["control"]:
            ours = f"control.{table['name']}"
            (path,) = table["paths"]
            theirs = f"read_parquet('{path}')"
            assert con.sql(f"from {ours}").columns == [c for c, _ in table["columns"]]
            assert con.sql(f"from {ours} except from {theirs}").fetchall() == []
            assert con.sql(f"from {theirs} except from {ours}").fetchall() == []
        assert con.sql("from control.setting").fetchall()
    assert [table["name"] for table in schemas["bronze"]] == [t.name for t in TABLES]
    assert all(table["columns"] for table in schemas["bronze"])


def test_encrypted_bronze_is_refused(tmp_path: Path) -> None:
    settings = load_settings({"RAPPORT_HOME": str(tmp_path)})
    security = settings.security.model_copy(update={"encrypt_at_rest": True})
    encrypted = settings.model_copy(update={"security": security})
    with pytest.raises(SettingsError):
        write_inputs(encrypted, tmp_path / "inputs", "r_1", AS_OF, None)
    assert not (tmp_path / "inputs").exists()
