"""The expectation suites under ``expectations/suites/``, as data.

One YAML a suite. Each entry is one Great Expectations expectation with a stable id, its
severity, why it exists and what to do when it fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from rapport.errors import RapportError

Severity = Literal["critical", "warning", "info"]
KINDS = frozenset({"not_null", "unique", "in_set", "between", "no_rows"})


@dataclass(frozen=True)
class Check:
    """One expectation of one table.

    Attributes:
        id: stable name, as in ``ops.check_result``.
        layer: bronze, marts or ledger.
        database: which file it reads, ``work`` or ``candidate``.
        table: schema and name.
        kind: what is expected (one of KINDS).
        arguments: column, values, bounds or the query of rows that must not exist.
        expected: what it asks for, in words.
        why: why it exists.
        advice: what to do when it fails.
    """

    id: str
    layer: str
    database: Literal["work", "candidate"]
    table: str
    kind: str
    arguments: dict[str, Any]
    severity: Severity
    expected: str
    why: str
    advice: str

    @property
    def broken_rows(self) -> str:
        """SQL that counts the rows that break the expectation."""
        table, said = self.table, self.arguments
        if self.kind == "no_rows":
            query = said["query"].replace("{batch}", table)
            return f"select count(*) from ({query}) as broken"
        column = said.get("column")
        if self.kind == "not_null":
            return f"select count(*) from {table} where {column} is null"
        if self.kind == "unique":
            columns = ", ".join(said["columns"])
            return (
                f"select coalesce(sum(n - 1), 0) from (select count(*) as n from {table}"
                f" group by {columns} having count(*) > 1) as repeated"
            )
        if self.kind == "in_set":
            values = ", ".join(f"'{value}'" for value in said["values"])
            return f"select count(*) from {table} where {column} not in ({values})"
        return (
            f"select count(*) from {table}"
            f" where {column} < {said['min']} or {column} > {said['max']}"
        )


def load_suites(project_root: Path) -> list[Check]:
    """Read every suite, in file order.

    Raises:
        RapportError: a suite is not what it must be, or an id stands twice.
    """
    checks: list[Check] = []
    for path in sorted((project_root / "expectations" / "suites").glob("*/*.yml")):
        if path.parent.name == "extracts":
            continue
        suite = yaml.safe_load(path.read_text("utf-8"))
        for entry in suite["expectations"]:
            check = Check(
                id=entry["id"],
                layer=suite["layer"],
                database=suite["database"],
                table=entry.get("table", suite.get("table", "")),
                kind=entry["kind"],
                arguments={
                    name: entry[name]
                    for name in ("column", "columns", "values", "min", "max", "query")
                    if name in entry
                },
                severity=entry["severity"],
                expected=entry["expected"],
                why=entry["why"],
                advice=entry["advice"],
            )
            if check.kind not in KINDS or not check.table:
                raise RapportError(f"{path.name}: {check.id}: unknown kind or table")
            checks.append(check)
    ids = [check.id for check in checks]
    if len(set(ids)) != len(ids) or not ids:
        raise RapportError("expectations/suites: an id stands twice, or there is none")
    return checks
