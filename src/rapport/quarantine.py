"""What waits in quarantine, told to a person: reasons and row numbers, and on request values.

Values are shown on a terminal only, and each look is written to the audit log
(privacy.md A4, B1).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import duckdb

from rapport import observe
from rapport.errors import UsageError
from rapport.ingest.reasons import PAGE, REASONS
from rapport.privacy import append_audit
from rapport.settings import Settings
from rapport.state import ControlState, Delivery
from rapport.warehouse.connections import parquet, scratch

_MOST_ROWS = 100
_LONGEST_VALUE = 200


def quarantined(settings: Settings) -> list[dict[str, Any]]:
    """List the deliveries of which something is in quarantine, as plain data."""
    state = ControlState(settings.home)
    deliveries = {delivery.batch_id: delivery for delivery in state.deliveries()}
    n_rows: dict[str, int] = {}
    for row in state.ledger():
        n_rows[row[0]] = n_rows.get(row[0], 0) + row[6]
    found: dict[str, dict[str, Any]] = {}
    for refusal in state.refusals():
        batch = refusal["batch_id"]
        delivery = deliveries[batch]
        entry = found.setdefault(
            batch,
            {
                "batch_id": batch,
                "source": delivery.source,
                "outcome": delivery.outcome,
                "picked_up_at": delivery.picked_up_at,
                "n_rows": n_rows.get(batch, 0),
                "reasons": {},
            },
        )
        reasons = entry["reasons"]
        reasons[refusal["reason"]] = reasons.get(refusal["reason"], 0) + 1
    return [found[batch] for batch in sorted(found)]


def print_quarantined(found: list[dict[str, Any]]) -> None:
    """Print the list for a person, on stdout."""
    if not found:
        print("Nothing is in quarantine.")
        return
    for entry in found:
        reasons = ", ".join(sorted(entry["reasons"]))
        print(
            f"{entry['batch_id']}  {entry['source']}  {entry['outcome']}  "
            f"{entry['n_rows']:,} rows  [{reasons}]"
        )
    print("Next: rapport quarantine show BATCH")


def delivery_of(settings: Settings, batch_id: str) -> Delivery:
    """Return a delivery by its opaque id.

    Raises:
        UsageError: the ledger knows no such delivery (exit 2).
    """
    for delivery in ControlState(settings.home).deliveries():
        if delivery.batch_id == batch_id:
            return delivery
    raise UsageError(
        "no such delivery in the ledger",
        next_step="rapport quarantine list names those that wait",
        reason="batch_unknown",
    )


def shown(settings: Settings, batch_id: str, *, values: bool) -> dict[str, Any]:
    """Return why a delivery's rows and files were refused, and which rows.

    Raises:
        UsageError: no such delivery, or values are asked for without a terminal.
    """
    delivery = delivery_of(settings, batch_id)
    if values and not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise UsageError(
            "values are shown on a terminal only",
            next_step="run it at a terminal, without a pipe or a file behind it",
            reason="terminal_needed",
        )
    append_audit(
        settings.home,
        "quarantine_show",
        batch_id,
        "with values" if values else "reasons and row numbers",
    )
    state = ControlState(settings.home)
    folder = settings.home / "quarantine" / delivery.source / batch_id
    rows = _Rows(settings, folder)
    refusals = []
    for row in state.refusals([batch_id]):
        reason = REASONS.get(row["reason"])
        refusals.append(
            {
                "file": row["file"],
                "table_name": row["table_name"],
                "column_name": row["column_name"],
                "reason": row["reason"],
                "n_rows": row["n_rows"],
                "first_row": row["first_row"],
                "rows": rows.numbers(row["file"], row["column_name"], row["reason"]),
                "meaning": reason.meaning if reason else row["reason"],
                "mend": reason.mend if reason else "",
                "page": reason.link if reason else PAGE,
            }
        )
    notices = [
        {
            key: row[key]
            for key in ("file", "table_name", "column_name", "reason", "n_rows")
        }
        for row in state.notices([batch_id])
    ]
    found: dict[str, Any] = {
        "batch_id": batch_id,
        "source": delivery.source,
        "outcome": delivery.outcome,
        "received_at": delivery.received_at,
        "picked_up_at": delivery.picked_up_at,
        "reasons": refusals,
        "notices": notices,
    }
    if values:
        found["values"] = rows.values()
    return found


class _Rows:
    """The refused rows of one delivery, as they lie in its quarantine folder."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder

    def numbers(self, file: str, column: str, reason: str) -> list[int]:
        """Return the numbers of the rows refused for one reason; at most 100."""
        said = f"{column}:{reason}"
        questions = (
            (".rows", "list_contains(reasons, ?)", said),
            (".unreadable", "reason = ?", reason),
            (".cycles", "reason = ?", reason),
        )
        found: list[int] = []
        with scratch(self._settings) as con:
            for ending, condition, argument in questions:
                path = self._folder / f"{file}{ending}.parquet"
                if path.exists():
                    found += [
                        number
                        for (number,) in con.execute(
                            f"select row_no::bigint from {parquet(path)}"
                            f" where {condition} order by 1 limit {_MOST_ROWS}",
                            [argument],
                        ).fetchall()
                    ]
        return sorted(set(found))[:_MOST_ROWS]

    def values(self) -> list[dict[str, Any]]:
        """Return the cells of refused rows, by file; at most 100 rows a file."""
        found = []
        with scratch(self._settings) as con:
            for path in sorted(self._folder.glob("*.parquet")):
                file, kind = path.name.removesuffix(".parquet").rsplit(".", 1)
                if kind in ("rows", "unreadable"):
                    found += _cells(con, path, file)
        return found


def _cells(
    con: duckdb.DuckDBPyConnection, path: Path, file: str
) -> list[dict[str, Any]]:
    rows = con.execute(
        f"select * from {parquet(path)} order by row_no limit {_MOST_ROWS}"
    )
    names = [column[0] for column in rows.description or []]
    found = []
    for row in rows.fetchall():
        said = dict(zip(names, row, strict=True))
        reasons = said.pop("reasons", None) or [said.pop("reason", "")]
        found.append(
            {
                "file": file,
                "row": said.pop("row_no"),
                "reasons": reasons,
                "cells": [_printable(value) for value in said.values()],
            }
        )
    return found


def _printable(value: str | None) -> str:
    """Return a value that cannot steer the terminal it is shown on."""
    text = "".join(
        c if c.isprintable() else f"\\x{ord(c):02x}" for c in (value or "")[:1000]
    )
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def print_shown(found: dict[str, Any]) -> None:
    """Print what was refused for a person, on stdout."""
    print(f"{found['batch_id']} · source {found['source']} · {found['outcome']}")
    for row in found["reasons"]:
        where = row["file"] + (
            f", column {row['column_name']}" if row["column_name"] else ""
        )
        print(f"  {where}: {row['meaning']} [{row['reason']}]")
        if row["rows"]:
            more = " …" if row["n_rows"] > len(row["rows"]) else ""
            print("    rows " + ", ".join(str(n) for n in row["rows"]) + more)
        elif row["n_rows"]:
            print(f"    {row['n_rows']:,} rows")
        print(f"    {row['mend']}")
        print(f"    {row['page']}")
    for row in found["notices"]:
        where = row["file"] + (
            f", column {row['column_name']}" if row["column_name"] else ""
        )
        times = f" × {row['n_rows']:,}" if row["n_rows"] else ""
        print(f"  noticed {where}: {row['reason']}{times}")
    for row in found.get("values", []):
        print(f"  {row['file']} row {row['row']} [{', '.join(row['reasons'])}]")
        print("    " + " | ".join(row["cells"]))
    if found["reasons"]:
        observe.say(
            f"Next: correct it, then rapport quarantine retry {found['batch_id']}"
        )
