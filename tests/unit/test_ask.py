"""`rapport sql`: what it answers, in each format, and what it refuses."""

import csv
import io
import json
from pathlib import Path

import duckdb
import pytest

from rapport import ask as asking
from rapport.errors import UsageError
from rapport.settings import Settings, load_settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A snapshot of one table."""
    home = tmp_path_factory.mktemp("ask")
    (home / "published").mkdir()
    with duckdb.connect(home / "published" / "rapport.duckdb") as con:
        con.execute("create schema qi")
        con.execute("create table qi.endings (month date, share double, name varchar)")
        con.execute("comment on table qi.endings is 'One row a month.'")
        con.execute("comment on column qi.endings.share is 'Dropouts, 0 to 1.'")
        con.execute("insert into qi.endings values ('2026-01-01', 0.25, 'Nord | Süd'),"
                    " ('2026-02-01', 'inf', '=1+1'), (null, null, 'a' || chr(27) || '[2J')")  # fmt: skip
    return load_settings({"RAPPORT_HOME": str(home)})


def answer(
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    query: str,
    format_: str = "table",
    limit: int | None = None,
) -> str:
    asking.ask(settings, query, format_, limit)
    return capsys.readouterr().out


def test_the_formats_say_the_same(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "from qi.endings"
    rows = json.loads(answer(settings, capsys, query, "json"))
    assert rows[0] == {"month": "2026-01-01", "share": 0.25, "name": "Nord | Süd"}
    assert rows[1]["share"] is None, "JSON knows no infinity"
    table = list(csv.reader(io.StringIO(answer(settings, capsys, query, "csv"))))
    assert table[0] == ["month", "share", "name"]
    assert table[1] == ["2026-01-01", "0.25", "Nord | Süd"]
    assert table[2][2] == "'=1+1", "no formula for a spreadsheet"
    assert "| 2026-01-01 | 0.25 | Nord \\| Süd |" in answer(
        settings, capsys, query, "markdown"
    )
    told = answer(settings, capsys, query)
    assert told.splitlines()[0].split() == ["month", "share", "name"]
    assert "\x1b" not in told, "no mark that steers a terminal"


def test_parquet_comes_out_as_a_file(
    settings: Settings, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    asking.ask(settings, "from qi.endings -- all of it", "parquet", 2)
    path = tmp_path / "out.parquet"
    path.write_bytes(capfdbinary.readouterr().out)
    assert duckdb.sql(f"select count(*) from '{path}'").fetchall() == [(2,)]


def test_a_table_is_short_and_other_formats_are_whole(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    asking.ask(settings, "from range(300)", "table", None)
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2 + 200
    assert "--limit 0" in said.err
    assert len(answer(settings, capsys, "from range(300)", "csv").splitlines()) == 301
    assert (
        len(answer(settings, capsys, "from range(300)", "table", 0).splitlines()) == 302
    )


def test_dot_words_print_descriptions_and_examples(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "One row a month." in answer(settings, capsys, ".tables")
    told = answer(settings, capsys, ".describe qi.endings")
    assert "One row a month." in told
    assert "Dropouts, 0 to 1." in told
    text = answer(settings, capsys, ".examples")
    assert text.startswith(
        "-- 1 completion, last 12 months, whole service\nselect month"
    )
    rows = json.loads(answer(settings, capsys, ".examples;", "json"))
    assert [row["question"].split()[0] for row in rows] == [
        str(n) for n in range(1, 11)
    ]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (
            "select * fro qi.endings",
            "LINE 1: select * fro qi.endings\n                     ^",
        ),
        (".foo", "no such word"),
        (".describe qi.nothing", "no such table"),
        ("select * from read_csv('/etc/hosts')", "disabled by configuration"),
        ("copy (select 1) to 'x.csv'", "disabled by configuration"),
        ("create table qi.t as select 1", "read-only"),
        ("set enable_external_access = true", "locked"),
        ("load httpfs", "disabled|not found"),
        ("attach 'other.duckdb'", "disabled by configuration"),
    ],
)
def test_what_is_wrong_or_not_allowed_is_told(
    settings: Settings, query: str, why: str
) -> None:
    with pytest.raises(UsageError) as stopped:
        asking.ask(settings, query, "table", None)
    assert any(part in stopped.value.message for part in why.split("|")), why
    assert stopped.value.exit_code == 2


def test_the_prompt_answers_line_by_line_and_goes_on_after_an_error(
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = iter(
        ["select 1 +", "1 as two;", "select nothing;", ".foo", "select 3 as n;"]
    )

    def typed(_: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", typed)
    asking.prompt(settings, "json", None)
    said = capsys.readouterr()
    assert said.out.split() == ["[", '{"two":', "2}", "]", "[", '{"n":', "3}", "]"]
    assert "nothing" in said.err
    assert "no such word" in said.err


def test_tab_completes_tables_columns_words_of_sql_and_dot_words(
    settings: Settings, tmp_path: Path
) -> None:
    assert asking.completions(settings, "qi.e") == ["qi.endings"]
    assert "share" in asking.completions(settings, "sha")
    assert "select" in asking.completions(settings, "SEL")
    assert asking.completions(settings, ".d") == [".describe"]
    nothing = load_settings({"RAPPORT_HOME": str(tmp_path)})
    assert asking.completions(nothing, "qi.e") == []
