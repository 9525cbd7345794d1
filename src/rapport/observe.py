"""What rapport says while it works: structured logs to file, progress to stderr.

A log line is a code and fields. Field names come from one list; a value is a number, a
boolean, an enum, a date or an opaque id. Any other string is dropped before it is
written, so a patient's value has no way into a log (privacy.md B1).
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from rapport.files import private_folder

Loggable: TypeAlias = int | float | bool | Enum | date | str | None

FIELDS = frozenset(
    [
        "as_of",
        "batch_id",
        "check_name",
        "cpu_seconds",
        "error_type",
        "exit_code",
        "file",
        "known_on",
        "layer",
        "line",
        "module",
        "n_batches",
        "n_bytes",
        "n_checks",
        "n_damaged",
        "n_deleted",
        "n_failed",
        "n_files",
        "n_rows_blank",
        "n_rows_filtered",
        "n_rows_footer",
        "n_rows_in",
        "n_rows_loaded",
        "n_rows_quarantined",
        "outcome",
        "reason",
        "run_id",
        "severity",
        "source",
        "status",
        "step",
        "table_name",
        "wall_seconds",
    ]
)
# An opaque id, a code of ours, a file's opaque name, a date: nothing that a person wrote.
_OPAQUE = re.compile(
    r"^(b_[a-z2-7]{12}|r_[0-9a-z_]{8,40}|[a-z][a-z0-9_]{0,48}(-[0-9]{1,5})?"
    r"|\d{4}-\d{2}-\d{2})$"
)

_log_path: Path | None = None
_run_id: str | None = None
dropped_fields = 0


def log_to(folder: Path, run_id: str | None = None) -> None:
    """Write the events of this process to ``<folder>/rapport.jsonl``."""
    global _log_path, _run_id
    private_folder(folder)
    _log_path = folder / "rapport.jsonl"
    _run_id = run_id
    logging.getLogger().setLevel(logging.WARNING)


def is_logging_to(folder: Path) -> bool:
    """Tell whether the events of this process go into a folder."""
    return _log_path == folder / "rapport.jsonl"


def event(code: str, **fields: Loggable) -> None:
    """Write one structured log line; fields that could carry a value are dropped."""
    global dropped_fields
    line: dict[str, object] = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds")
    }
    line["event"] = code if _OPAQUE.match(code) else "unnamed"
    if _run_id is not None:
        line["run_id"] = _run_id
    for name, value in fields.items():
        safe = _safe(value)
        if name not in FIELDS or (safe is None and value is not None):
            dropped_fields += 1
            continue
        line[name] = safe
    if _log_path is None:
        return
    handle = os.open(_log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as log:
        log.write(json.dumps(line, separators=(",", ":")) + "\n")


def _safe(value: Loggable) -> int | float | bool | str | None:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and _OPAQUE.match(value):
        return value
    return None


def say(text: str) -> None:
    """Tell the person at the terminal something, on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(name: str, label: str) -> Iterator[None]:
    """Show one step on stderr while it runs, and log its wall and CPU seconds.

    CPU seconds include the processes that the step waited for.
    """
    import resource

    def cpu() -> float:
        own = resource.getrusage(resource.RUSAGE_SELF)
        below = resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime

    began, cpu_began = time.monotonic(), cpu()
    outcome = "failed"
    is_terminal = sys.stderr.isatty()
    if is_terminal:
        print(f"  … {label}", end="", file=sys.stderr, flush=True)
    try:
        yield
        outcome = "done"
    finally:
        wall, used = time.monotonic() - began, cpu() - cpu_began
        mark = "✓" if outcome == "done" else "✗"
        text = f"  {mark} {label:<44} {wall:6.1f} s"
        print(f"\r\x1b[2K{text}" if is_terminal else text, file=sys.stderr, flush=True)
        event(
            "step",
            step=name,
            outcome=outcome,
            wall_seconds=round(wall, 3),
            cpu_seconds=round(used, 3),
        )


_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_NUMBER = re.compile(r"\d{4,}")
_WORD = re.compile(r"[^\W\d_][\w-]*", re.UNICODE)
_KNOWN_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "at",
        "be",
        "binder",
        "by",
        "cannot",
        "cast",
        "catalog",
        "column",
        "columns",
        "compilation",
        "complete",
        "completed",
        "conflict",
        "constraint",
        "contract",
        "conversion",
        "convert",
        "could",
        "data",
        "database",
        "dbt",
        "does",
        "duplicate",
        "error",
        "exist",
        "exists",
        "expected",
        "failed",
        "failure",
        "file",
        "for",
        "found",
        "from",
        "function",
        "got",
        "have",
        "in",
        "input",
        "integer",
        "internal",
        "invalid",
        "io",
        "is",
        "key",
        "line",
        "lock",
        "macro",
        "match",
        "memory",
        "model",
        "models",
        "name",
        "no",
        "node",
        "not",
        "null",
        "of",
        "on",
        "or",
        "out",
        "parse",
        "parser",
        "query",
        "relation",
        "required",
        "row",
        "rows",
        "runtime",
        "schema",
        "seed",
        "source",
        "sql",
        "syntax",
        "table",
        "test",
        "tests",
        "the",
        "to",
        "type",
        "types",
        "unique",
        "value",
        "values",
        "view",
        "violated",
        "was",
        "with",
        "double",
        "varchar",
        "bigint",
        "date",
        "timestamp",
        "boolean",
    ]
)


def redact(text: str) -> str:
    """Make an engine's message safe: quoted runs, long numbers, unknown words go.

    Engines quote the offending value in their messages; names of ours (with ``_``) and
    the engine's own vocabulary stay.
    """
    text = _QUOTED.sub("<quoted>", text)
    text = _NUMBER.sub("<number>", text)

    def word(match: re.Match[str]) -> str:
        said = match.group()
        known = said.lower() in _KNOWN_WORDS or said in {"quoted", "number"}
        return said if known or _NAMES.match(said) else "<word>"

    return _WORD.sub(word, text)


_NAMES = re.compile(
    r"^(stg|int|fct|dim|core|alliance|outcomes|ops|qi|rupture)(_[a-z0-9_]+)?$"
)


def place_of(trace: TracebackType | None) -> tuple[str, int]:
    """Return the module and the line of ours in which an error came about."""
    module, line = "unknown", 0
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith("rapport"):
            module, line = name, trace.tb_lineno
        trace = trace.tb_next
    return module, line


def quiet_excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print type, module and line of an unexpected error: its text may hold a value."""
    module, line = place_of(trace)
    say(f"rapport: unexpected {kind.__name__} in {module}, line {line}")
    say(
        "  The text is not shown, since it may hold a value. The earlier snapshot stands."
    )
    say("  Next: rapport doctor; if it repeats, report type, module and line.")
    event("unexpected", error_type=kind.__name__.lower(), line=line)
