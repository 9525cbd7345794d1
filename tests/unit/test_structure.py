"""The rooms of the house: who may import what, who writes, how models are layered."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from rapport.mapping import TABLES

SRC = ROOT / "src" / "rapport"
MODELS = ROOT / "dbt_project" / "models"
# A room may import those to its left and itself (style guide, part 3).
ORDER = (
    ("settings", "errors", "files", "observe"),
    ("mapping", "privacy", "state", "sharing"),
    ("ingest", "warehouse", "validate", "synthetic"),
    ("extracts", "dashboard", "live", "alerts"),
    (
        "report",
        "mapping_report",
        "quarantine",
        "scanning",
        "heartbeat",
        "health",
        "space",
        "ask",
        "change",
        "chart",
        "encryption",
        "explain",
        "night",
        "airflow_night",
        "inbox_trigger",
    ),
    ("purge", "rotation", "housekeeping", "backfill", "upgrade"),
    ("cli",),
)
RANK = {room: place for place, rooms in enumerate(ORDER) for room in rooms}
# Rooms of one rank that build on each other: the door reads through the engine that the
# warehouse lends, and the warehouse lays bronze with the door's own columns.
NEIGHBOURS = {
    ("ingest", "warehouse"),
    ("warehouse", "ingest"),
    ("validate", "warehouse"),
    ("synthetic", "warehouse"),
    # The control store is sealed under the vault's key.
    ("state", "privacy"),
}


def python_files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.py"))
    assert files
    return files


def imported(path: Path) -> set[str]:
    """Return every module that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def test_only_the_doorbell_imports_airflow() -> None:
    importers = {
        path.name
        for path in python_files(SRC)
        if any(name.split(".")[0] == "airflow" for name in imported(path))
    }
    assert importers == {"inbox_trigger.py"}


def test_imports_point_one_way() -> None:
    wrong = []
    for path in python_files(SRC):
        room = room_of(path)
        if room in ("__init__", "__main__"):
            continue
        for name in imported(path):
            parts = name.split(".")
            if parts[0] != "rapport" or len(parts) < 2 or parts[1] not in RANK:
                continue
            other = parts[1]
            if other == room or (room, other) in NEIGHBOURS:
                continue
            if RANK[other] >= RANK[room] and not (
                RANK[room] == 0 or room in ("night", "report", "airflow_night")
            ):
                wrong.append(f"{path.relative_to(SRC)} imports {name}")
    assert wrong == []


def test_every_room_has_its_place() -> None:
    rooms = {room_of(path) for path in python_files(SRC)} - {"__init__", "__main__"}
    assert rooms <= set(RANK), f"no place for {rooms - set(RANK)}"


def files_that_say(pattern: str) -> set[str]:
    return {
        path.relative_to(SRC if path.is_relative_to(SRC) else ROOT).as_posix()
        for path in (*python_files(SRC), *python_files(ROOT / "dags"))
        if re.search(pattern, path.read_text("utf-8"), re.IGNORECASE)
    }


def test_one_module_opens_databases_and_attaches_them() -> None:
    """There the key is given; whoever opens a file elsewhere would leave it plain."""
    connections = {"warehouse/connections.py"}
    assert files_that_say(
        r"duckdb\.(connect|sql|query|execute|default_connection)\("
    ) == (connections)
    assert files_that_say(r"""["']attach (if|')""") == connections
    assert files_that_say(r"encryption_key|add_parquet_key\('") == connections


def test_parquet_of_ours_is_written_and_read_as_the_setting_says() -> None:
    """Else only: what was delivered, and what leaves."""
    apart = {
        "ask.py",
        "extracts/package.py",
        "extracts/verify.py",
        "ingest/columnar.py",
        "warehouse/spark_inputs.py",  # refuses where the setting encrypts
    }
    readers = files_that_say(
        r"from read_parquet\(|[\"'(]read_parquet\(\[|\"read_parquet\("
    )
    assert readers - apart == {"warehouse/connections.py"}
    writers = files_that_say(r"\(format parquet")
    ours = writers - apart
    assert ours
    for name in ours:
        text = (SRC / name).read_text("utf-8")
        options = re.findall(r"\(format parquet.*?\)\"", text, re.DOTALL)
        assert options and all("encryption" in one for one in options), name


def test_only_settings_read_the_environment() -> None:
    readers = {
        room_of(path)
        for path in python_files(SRC)
        if re.search(r"os\.(environ\.get|environ\[|getenv)", path.read_text("utf-8"))
    }
    assert readers <= {"settings"}


def test_dag_files_only_wire() -> None:
    for path in python_files(ROOT / "dags"):
        text = path.read_text("utf-8")
        assert "duckdb" not in text, path.name
        assert not re.search(r"\bselect\b.*\bfrom\b", text), path.name


# --- models -------------------------------------------------------------------------


def sql_models(layer: str) -> list[Path]:
    files = sorted((MODELS / layer).rglob("*.sql"))
    assert files
    return files


def properties(path: Path) -> dict:
    said = yaml.safe_load(path.with_suffix(".yml").read_text("utf-8"))
    (model,) = said["models"]
    return model


@pytest.mark.parametrize("layer", ["staging", "intermediate", "marts"])
def test_every_model_has_its_page_with_its_grain(layer: str) -> None:
    for path in sql_models(layer):
        model = properties(path)
        assert model["name"] == path.stem
        assert model["description"].startswith("One row "), path.stem


def test_staging_reads_one_bronze_table_and_joins_nothing() -> None:
    for path in sql_models("staging"):
        sql = path.read_text("utf-8")
        assert len(re.findall(r"source\('bronze'", sql)) == 1, path.stem
        assert not re.search(r"\bjoin\b", sql), path.stem
        assert "ref(" not in sql, path.stem


@pytest.mark.parametrize("layer", ["intermediate", "marts"])
def test_no_later_layer_reads_bronze(layer: str) -> None:
    for path in sql_models(layer):
        assert "source('bronze'" not in path.read_text("utf-8"), path.stem


def test_nothing_reads_upward() -> None:
    marts = {path.stem for path in sql_models("marts")}
    later = {"staging": {"int_", "fct_", "dim_"}, "intermediate": {"fct_", "dim_"}}
    for layer, prefixes in later.items():
        for path in sql_models(layer):
            if path.parent.name == "qi":
                continue  # steps of the qi tables, which read published tables alone
            for name in re.findall(r"ref\('(\w+)'\)", path.read_text("utf-8")):
                assert not name.startswith(tuple(prefixes)), f"{path.stem} reads {name}"
                assert name not in marts, f"{path.stem} reads {name}"


def test_every_mart_has_a_unit_test_and_describes_every_column() -> None:
    for path in sql_models("marts"):
        model = properties(path)
        for column in model["columns"]:
            assert column.get("description"), f"{path.stem}.{column['name']}"
        said = yaml.safe_load(path.with_suffix(".yml").read_text("utf-8"))
        assert said.get("unit_tests"), f"{path.stem} has no unit test"


def test_models_keep_to_portable_sql() -> None:
    """What only one engine understands goes through a macro."""
    forbidden = r"\bqualify\b|\bgroup by all\b|\bexclude\b|\border by all\b|\bpivot\b"
    for layer in ("staging", "intermediate", "marts"):
        for path in sql_models(layer):
            sql = re.sub(r"--.*", "", path.read_text("utf-8"))
            assert not re.search(forbidden, sql), path.stem


def test_bronze_sources_are_the_canonical_tables() -> None:
    said = yaml.safe_load((MODELS / "staging" / "_bronze__sources.yml").read_text())
    (bronze,) = said["sources"]
    assert {t["name"] for t in bronze["tables"]} == {t.name for t in TABLES}


def test_quality_tables_read_published_tables_alone() -> None:
    """quality_improvement.md 1.1: a reader can recompute them from one snapshot."""
    marts = {path.stem for path in sql_models("marts")}
    seeds = {path.stem for path in (ROOT / "dbt_project" / "seeds").glob("*.csv")}
    steps = {path.stem for path in (MODELS / "intermediate" / "qi").glob("*.sql")}
    for folder in (MODELS / "intermediate" / "qi", MODELS / "marts" / "qi"):
        for path in folder.glob("*.sql"):
            read = set(re.findall(r"ref\('(\w+)'\)", path.read_text("utf-8")))
            assert read <= marts | steps | seeds, path.stem


def test_no_two_test_files_share_a_name() -> None:
    """Outside a package pytest knows a file by its name alone, and would drop one."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, n in names.items() if n > 1] == []
