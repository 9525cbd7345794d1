"""``rapport sql``: questions to the published snapshot, read-only and closed off."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, TextIO

import duckdb

from rapport.errors import UsageError
from rapport.settings import Settings
from rapport.warehouse import open_published
from rapport.warehouse.own_numbers import literal

FORMATS = ("table", "csv", "json", "markdown", "parquet")
TABLE_LIMIT = 200
_EXAMPLES = files("rapport") / "examples.sql"
DOT_WORDS = (".tables", ".describe", ".examples", ".exit")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def examples() -> list[tuple[str, str]]:
    """Return the example questions, each with its query (quality_improvement.md 6)."""
    blocks = [
        block.partition("\n") for block in _EXAMPLES.read_text("utf-8").split("-- ")[1:]
    ]
    return [(title.strip(), query.strip().rstrip(";")) for title, _, query in blocks]


def ask(settings: Settings, query: str, format_: str, limit: int | None) -> None:
    """Answer one query on stdout.

    Args:
        settings: the settings.
        query: SQL, or ``.tables``, ``.describe SCHEMA.TABLE``, ``.examples``.
        format_: table, csv, json, markdown or parquet.
        limit: rows at most; 0 is all; None is 200 for a table and all otherwise.

    Raises:
        UsageError: the format or the query is not valid (exit 2, with the caret line).
    """
    if format_ not in FORMATS:
        raise UsageError(f"no such format: one of {', '.join(FORMATS)}")
    if limit is None:
        limit = TABLE_LIMIT if format_ in ("table", "markdown") else 0
    if format_ == "table" and query.strip().rstrip(";") == ".examples":
        sys.stdout.write(_EXAMPLES.read_text("utf-8"))  # to be read, and pasted
        return
    if format_ == "parquet":
        _write_parquet(settings, query, limit)
        return
    with open_published(settings) as con:
        _answer(con, query, format_, limit, sys.stdout)


def prompt(settings: Settings, format_: str, limit: int | None) -> None:
    """Ask again and again; a line ends a query with ``;``. Nothing is remembered on disk.

    The snapshot is opened anew for each query, so that a new night is seen at once.
    """
    _ready_line_editor(settings)
    print("rapport sql · .tables, .examples, .describe TABLE, .exit", file=sys.stderr)
    lines: list[str] = []
    while True:
        try:
            line = input("rapport> " if not lines else "      …> ")
        except EOFError:
            return
        except KeyboardInterrupt:  # what is half typed is dropped
            print(file=sys.stderr)
            lines = []
            continue
        if not lines and line.strip() in (".exit", ".quit", "exit", "quit"):
            return
        lines.append(line)
        text = "\n".join(lines).strip()
        if not text:
            lines = []
        elif text.startswith(".") or text.endswith(";"):
            lines = []
            try:
                ask(settings, text, format_, limit)
            except UsageError as error:
                print(error.message, file=sys.stderr)
            except KeyboardInterrupt:
                print("stopped", file=sys.stderr)


def _ready_line_editor(settings: Settings) -> None:
    """Let the line be edited, completed by Tab, and remembered while the prompt is open."""
    with suppress(ImportError):
        import readline

        found: list[str] = []

        def complete(text: str, place: int) -> str | None:
            if place == 0:
                found[:] = completions(settings, text)
            return found[place] if place < len(found) else None

        readline.set_auto_history(True)
        readline.set_completer_delims(" \t\n,;()=<>+-*/'\"")
        readline.set_completer(complete)
        readline.parse_and_bind("tab: complete")


def completions(settings: Settings, text: str) -> list[str]:
    """List the words that may follow on what is typed: tables, columns, SQL, dot words."""
    if text.startswith("."):
        return [word for word in DOT_WORDS if word.startswith(text)]
    begun = literal(text.lower())
    with suppress(UsageError), open_published(settings) as con:
        words = con.execute(
            "with word as (select schema_name || '.' || table_name as word from"
            " duckdb_tables() union select column_name from duckdb_columns() where not"
            " internal union select keyword_name from duckdb_keywords())"
            f" select word from word where starts_with(lower(word), {begun}) order by word"
        ).fetchall()
        return [word for (word,) in words]
    return []


def clients_with_open_signals(settings: Settings) -> frozenset[str]:
    """Return the keys of the clients who have an open care signal in the snapshot."""
    with open_published(settings) as con:
        rows = con.execute(
            "select client_key from outcomes.fct_care_signal where status = 'open'"
        ).fetchall()
    return frozenset(key for (key,) in rows)


def _statement(con: duckdb.DuckDBPyConnection, query: str) -> str:
    """Return the SQL behind a query or one of the dot words.

    Raises:
        UsageError: there is no such dot word, or no such table.
    """
    word, _, rest = query.strip().rstrip(";").partition(" ")
    if not word.startswith("."):
        return query.strip().rstrip(";")
    if word == ".tables":
        return (
            "select schema_name || '.' || table_name as table_name,"
            " estimated_size as n_rows, comment as description from duckdb_tables()"
            " where not internal order by 1"
        )
    if word == ".describe":
        return _description(con, rest.strip())
    if word == ".examples":
        rows = ", ".join(f"({literal(t)}, {literal(q)})" for t, q in examples())
        return f"select * from (values {rows}) as example (question, query)"
    raise UsageError(f"no such word: one of {', '.join(DOT_WORDS)}")


def _description(con: duckdb.DuckDBPyConnection, table: str) -> str:
    named = f"schema_name || '.' || table_name = {literal(table)}"
    (n,) = con.execute(f"select count(*) from duckdb_tables() where {named}").fetchall()
    if n == (0,):
        raise UsageError(
            "no such table: .describe qi.endings, say", next_step=".tables lists them"
        )
    return (
        "select column_name, data_type, description from ("
        " select '' as column_name, '' as data_type, comment as description,"
        f" 0 as place from duckdb_tables() where {named} union all"
        " select column_name, data_type, comment, column_index from duckdb_columns()"
        f" where {named}) order by place"
    )


def _answer(
    con: duckdb.DuckDBPyConnection, query: str, format_: str, limit: int, out: TextIO
) -> None:
    try:
        cursor = con.execute(_statement(con, query))
        if cursor.description is None:
            return
        names = [column[0] for column in cursor.description]
        rows = _rows(cursor, limit)
        if format_ == "csv":
            _write_csv(names, rows, out)
        elif format_ == "json":
            _write_json(names, rows, out)
        elif format_ == "markdown":
            _write_markdown(names, rows, out)
        else:
            _write_table(names, list(rows), limit, out)
    except duckdb.Error as error:
        raise UsageError(str(error), reason="query_invalid") from None


def _rows(cursor: duckdb.DuckDBPyConnection, limit: int) -> Iterator[Sequence[Any]]:
    n = 0
    while block := cursor.fetchmany(1024):
        for row in block:
            if limit and n >= limit:
                return
            n += 1
            yield row


def _write_csv(names: list[str], rows: Iterator[Sequence[Any]], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_spreadsheet_safe(value) for value in row])


def _spreadsheet_safe(value: Any) -> Any:
    """Keep a text that looks like a formula from running when a person opens the file."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def _write_json(names: list[str], rows: Iterator[Sequence[Any]], out: TextIO) -> None:
    out.write("[")
    for n, row in enumerate(rows):
        out.write(",\n " if n else "\n ")
        said = {name: _finite(v) for name, v in zip(names, row, strict=True)}
        json.dump(said, out, default=_json_value)
    out.write("\n]\n")


def _finite(value: Any) -> Any:
    """JSON knows neither infinity nor a number that is none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_value(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else str(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    # A name may hold marks that steer a terminal, or break a line of the table.
    return "".join(c if c.isprintable() else "\ufffd" for c in str(value))


def _write_markdown(
    names: list[str], rows: Iterator[Sequence[Any]], out: TextIO
) -> None:
    out.write("| " + " | ".join(names) + " |\n")
    out.write("|" + " --- |" * len(names) + "\n")
    for row in rows:
        cells = [_text(value).replace("|", "\\|") for value in row]
        out.write("| " + " | ".join(cells) + " |\n")


def _write_table(
    names: list[str], rows: list[Sequence[Any]], limit: int, out: TextIO
) -> None:
    cells = [[_text(value) for value in row] for row in rows]
    widths = [
        max(len(name), *(len(row[place]) for row in cells), 1)
        for place, name in enumerate(names)
    ]
    is_number = [
        bool(rows) and all(isinstance(row[p], int | float | None) for row in rows)
        for p in range(len(names))
    ]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, is_number, strict=True)
        ).rstrip()

    out.write(line(names) + "\n")
    out.write("  ".join("─" * width for width in widths) + "\n")
    for row in cells:
        out.write(line(row) + "\n")
    if limit and len(rows) == limit:
        print(f"first {limit} rows; --limit 0 shows all", file=sys.stderr)


def _write_parquet(settings: Settings, query: str, limit: int) -> None:
    """Write Parquet bytes to stdout.

    The engine may write one file only, named before it is closed to the outside.
    """
    if sys.stdout.isatty():
        raise UsageError(
            "parquet is not for a terminal",
            next_step="send it to a file: … > out.parquet",
        )
    import tempfile

    from rapport.warehouse.connections import plain_folder

    with tempfile.TemporaryDirectory(dir=plain_folder(settings, 1 << 30)) as folder:
        path = Path(folder) / "answer.parquet"
        with open_published(settings, may_write=path) as con:
            statement = _statement(con, query)
            if limit:
                statement = f"select * from ({statement}\n) limit {limit}"
            try:
                con.execute(f"copy ({statement}\n) to '{path}' (format parquet)")
            except duckdb.Error as error:
                raise UsageError(str(error), reason="query_invalid") from None
        sys.stdout.buffer.write(path.read_bytes())
