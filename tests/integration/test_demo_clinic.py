"""A demo clinic of sixty clients: every table has rows, and ten questions have answers."""

import re
import shutil
from collections.abc import Callable, Iterator

import duckdb
import pytest

from conftest import ROOT, Home

PAGE = ROOT / "docs" / "how-to" / "ask-ten-questions.md"
QUESTIONS = re.findall(
    r"^## \d+\. ([^\n]+)\n.*?```sql\n(.*?)```",
    PAGE.read_text("utf-8"),
    flags=re.MULTILINE | re.DOTALL,
)


@pytest.fixture(scope="module")
def demo(new_home: Callable[[str], Home]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Build the marts of a demo clinic of sixty clients."""
    home = new_home("demo")
    out = home.path.parent / "clinic"
    home.run("demo", "generate", "--clients", "60", "--seed", "7", "--until",
             "2026-06-30", "--out", str(out))  # fmt: skip
    shutil.copytree(out / "inbox", home.path / "inbox")
    home.run("ingest")
    home.run("build", "--as-of", "2026-06-30")
    candidate = home.path / "warehouse" / "candidate.duckdb"
    with duckdb.connect(candidate, read_only=True) as con:
        yield con


def test_no_table_is_empty(demo: duckdb.DuckDBPyConnection) -> None:
    tables = demo.execute(
        "select schema_name || '.' || table_name from duckdb_tables()"
        " where schema_name in ('core', 'alliance', 'outcomes') order by 1"
    ).fetchall()
    assert len(tables) >= 18
    empty = [
        name
        for (name,) in tables
        if demo.execute(f"select count(*) from {name}").fetchone() == (0,)
    ]
    assert empty == []


def test_every_scale_and_form_is_filled_in(demo: duckdb.DuckDBPyConnection) -> None:
    scored = demo.execute(
        "select distinct instrument from core.fct_measure_score where is_valid"
    ).fetchall()
    assert {code for (code,) in scored} == {
        "WAI-SR", "SRS", "PCL-5", "PHQ-9", "GAD-7", "CORE-10", "OQ-45", "ORS", "ITQ",
    }  # fmt: skip


def test_there_are_ten_questions() -> None:
    assert len(QUESTIONS) == 10


@pytest.mark.parametrize(("question", "query"), QUESTIONS)
def test_a_question_has_an_answer(
    demo: duckdb.DuckDBPyConnection, question: str, query: str
) -> None:
    rows = demo.execute(query).fetchall()
    assert rows, question
    assert any(value is not None for value in rows[0])
