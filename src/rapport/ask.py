"""``rapport sql``: questions to the published snapshot, read-only and closed off."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import duckdb

from rapport.errors import UsageError
from rapport.settings import Settings
from rapport.warehouse import open_published

FORMATS = ("table", "csv", "json", "markdown", "parquet")
TABLE_LIMIT = 200
EXAMPLES = (
    # completion, the last 12 months of the whole service
    "select month, completion from qi.completion_monthly where clinic_key = 'all'"
    " and form = 'alliance_client' and not is_partial order by month desc limit 12",
    # charts that are signalling
    "select chart_id, clinic_key, variation, limits from qi.spc_series qualify"
    " row_number() over (partition by chart_id, clinic_key order by segment desc) = 1"
    " and (variation like 'concern%' or variation = 'run_signal')",
    # goal, task and bond side by side
    "pivot (select month, component, mean_score from qi.alliance_monthly"
    " where clinic_key = 'all' and rater = 'client' and component <> 'total'"
    " and instrument = 'WAI-SR') on component using first(mean_score) order by month",
    # where ruptures start, and whether they are repaired
    "select lead_component, sum(n_ruptures) as n, sum(n_settled) as settled,"
    " (sum(n_resolved) + sum(n_late_repair)) / nullif(sum(n_settled), 0) as repaired"
    " from qi.rupture_repair_monthly where clinic_key = 'all'"
    " and method = 'default_rc3' and instrument = 'WAI-SR'"
    " and lead_component <> 'all' group by all order by 1",
    # weak starts and dropout
    "select period_start, band, n_ended, dropout_share from qi.early_alliance"
    " where clinic_key = 'all' and band in ('weak', 'moderate', 'strong') order by all",
    # dropout by rupture pattern, the last year
    "select pattern, sum(n_dropout) / nullif(sum(n_dropout_known), 0) as share,"
    " sum(n_dropout_known) as n from qi.endings where clinic_key = 'all'"
    " and pattern <> 'all' and month >= (select max(month) from qi.endings)"
    " - interval 12 month group by all order by 1",
    # clinics outside the funnel, by name, not by value
    "select indicator, clinic_name, value, target, position from qi.clinic_funnel"
    " join core.dim_clinic using (clinic_key) where position <> 'inside'"
    " order by indicator, clinic_name",
    # equity intervals that exclude the overall figure
    "select dimension, group_value, indicator, value, ci_low, ci_high, overall_value"
    " from qi.equity where overall_value not between ci_low and ci_high order by all",
    # how far the methods agree
    "select method_a, method_b, n_episodes, agreement, kappa from qi.method_comparison",
    # how much is hidden, and whether last night's checks are green
    "select 'rows hidden' as what, count(*) filter (suppressed) as n"
    " from qi.completion_monthly union all"
    " select 'checks failed', count(*) filter (not passed) from ops.check_result",
    "select session_number, mean_score from alliance.trajectory_by_session"
    " where component = 'bond' and instrument = 'WAI-SR' and trauma_focused = 'true'"
    " order by 1",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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
    if format_ == "parquet":
        _write_parquet(settings, query, limit)
        return
    with open_published(settings) as con:
        _answer(con, query, format_, limit, sys.stdout)


def prompt(settings: Settings, format_: str, limit: int | None) -> None:
    """Ask again and again; a line ends a query with ``;``. Nothing is remembered on disk.

    The snapshot is opened anew for each query, so that a new night is seen at once.
    """
    import contextlib

    with contextlib.suppress(ImportError):
        import readline

        readline.set_auto_history(True)
    print("rapport sql · .tables, .examples, .describe TABLE, .exit", file=sys.stderr)
    lines: list[str] = []
    while True:
        try:
            line = input("rapport> " if not lines else "      …> ")
        except (EOFError, KeyboardInterrupt):
            return
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


def clients_with_open_signals(settings: Settings) -> frozenset[str]:
    """Return the keys of the clients who have an open care signal in the snapshot."""
    with open_published(settings) as con:
        rows = con.execute(
            "select client_key from outcomes.fct_care_signal where status = 'open'"
        ).fetchall()
    return frozenset(key for (key,) in rows)


def _statement(query: str) -> tuple[str, list[object]]:
    """Return the SQL behind a query or one of the dot words."""
    word, _, rest = query.strip().rstrip(";").partition(" ")
    if word == ".tables":
        return (
            "select schema_name || '.' || table_name as table_name,"
            " estimated_size as n_rows, comment as description from duckdb_tables()"
            " where not internal order by 1",
            [],
        )
    if word == ".describe":
        return (
            "select column_name, data_type, comment as description from duckdb_columns()"
            " where schema_name || '.' || table_name = ? order by column_index",
            [rest.strip()],
        )
    if word == ".examples":
        return "select unnest(?::varchar[]) as query", [list(EXAMPLES)]
    return query, []


def _answer(
    con: duckdb.DuckDBPyConnection, query: str, format_: str, limit: int, out: TextIO
) -> None:
    statement, arguments = _statement(query)
    try:
        cursor = con.execute(statement, arguments)
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
        json.dump(dict(zip(names, row, strict=True)), out, default=_json_value)
    out.write("\n]\n")


def _json_value(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else str(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


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

    from rapport.warehouse.connections import temp_folder

    statement = query.strip().rstrip(";")
    if limit:
        statement = f"select * from ({statement}) limit {limit}"
    with tempfile.TemporaryDirectory(dir=temp_folder(settings)) as folder:
        path = Path(folder) / "answer.parquet"
        with open_published(settings, may_write=path) as con:
            try:
                con.execute(f"copy ({statement}) to '{path}' (format parquet)")
            except duckdb.Error as error:
                raise UsageError(str(error), reason="query_invalid") from None
        sys.stdout.buffer.write(path.read_bytes())
