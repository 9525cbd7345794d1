"""The expectation suites under ``expectations/suites/``, as data.

One YAML a suite. Each entry is one Great Expectations expectation with a stable id, its
severity, its owner, why it exists and what to do when it fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from rapport.errors import RapportError, UsageError

Severity = Literal["critical", "warning", "info"]
Database = Literal["work", "candidate", "extract"]
Owner = Literal["data_lead", "maintainer"]
KINDS = frozenset({"not_null", "unique", "in_set", "between", "no_rows"})
# What a check of gate.judged may tell: names of ours, opaque ids and numbers.
FINDING_COLUMNS = (
    "source",
    "batch_id",
    "table_name",
    "metric",
    "value",
    "lower",
    "upper",
)
_ARGUMENTS = ("column", "columns", "values", "min", "max", "where", "query")


@dataclass(frozen=True)
class Check:
    """One expectation of one table.

    Attributes:
        id: stable name, as in ``ops.check_result``.
        layer: bronze, history, marts, ledger or extracts.
        database: which file it reads.
        table: schema and name.
        kind: what is expected (one of KINDS).
        arguments: column, values, bounds; of rows that must not exist, ``where`` says
            what one row alone shows, and ``query`` what takes more than that row.
        expected: what it asks for, in words.
        why: why it exists.
        advice: what to do when it fails.
        owner: who acts: the clinic's data lead, or the maintainers of rapport.
        waivable: whether a person may let a night pass although it does not hold.
        suite: the file, below ``expectations/suites/``.
    """

    id: str
    layer: str
    database: Database
    table: str
    kind: str
    arguments: dict[str, Any]
    severity: Severity
    expected: str
    why: str
    advice: str
    owner: Owner
    waivable: bool
    suite: str

    @property
    def has_source(self) -> bool:
        """Whether its findings name a source, so that one source can be waived."""
        return self.table == "gate.judged"

    @property
    def condition(self) -> str | None:
        """SQL of a row that breaks the expectation; none where it takes more than a row."""
        said = self.arguments
        column = said.get("column")
        if self.kind == "not_null":
            return f"{column} is null"
        if self.kind == "in_set":
            values = ", ".join(f"'{value}'" for value in said["values"])
            return f"{column} not in ({values})"
        if self.kind == "between":
            return f"{column} < {said['min']} or {column} > {said['max']}"
        where: str | None = said.get("where")
        return where

    @property
    def broken_rows(self) -> str:
        """SQL that counts the rows that break the expectation."""
        table, said = self.table, self.arguments
        if self.condition is not None:
            return f"select count(*) from {table} where {self.condition}"
        if self.kind == "unique":
            columns = ", ".join(said["columns"])
            return (
                f"select coalesce(sum(n - 1), 0) from (select count(*) as n from {table}"
                f" group by {columns} having count(*) > 1) as repeated"
            )
        query = said["query"].replace("{batch}", table)
        return f"select count(*) from ({query}) as broken"


@cache
def load_suites(project_root: Path) -> tuple[Check, ...]:
    """Read every suite, in file order.

    Raises:
        RapportError: a suite is not what it must be, or an id stands twice.
    """
    folder = project_root / "expectations" / "suites"
    checks: list[Check] = []
    for path in sorted(folder.glob("*/*.yml")):
        suite = yaml.safe_load(path.read_text("utf-8"))
        name = path.relative_to(folder).as_posix()
        checks += [_check(suite, said, name) for said in suite["expectations"]]
    ids = [check.id for check in checks]
    if len(set(ids)) != len(ids) or not ids:
        raise RapportError("expectations/suites: an id stands twice, or there is none")
    return tuple(checks)


def _check(suite: dict[str, Any], said: dict[str, Any], name: str) -> Check:
    check = Check(
        id=said["id"],
        layer=suite["layer"],
        database=suite["database"],
        table=said.get("table", suite.get("table", "")),
        kind=said["kind"],
        arguments={part: said[part] for part in _ARGUMENTS if part in said},
        severity=said["severity"],
        expected=said["expected"],
        why=said["why"],
        advice=said["advice"],
        owner=said["owner"],
        waivable=said.get("waivable", True),
        suite=name,
    )
    wrong = [
        what
        for what, holds in (
            ("kind", check.kind in KINDS),
            ("table", check.table.count(".") == 1),
            ("severity", check.severity in get_args(Severity)),
            ("database", check.database in get_args(Database)),
            ("owner", check.owner in get_args(Owner)),
            (
                "where (or query)",
                check.kind != "no_rows" or ("where" in said) != ("query" in said),
            ),
        )
        if not holds
    ]
    if wrong:
        raise RapportError(f"{name}: {check.id}: unknown or wrong {', '.join(wrong)}")
    return check


def find_check(project_root: Path, name: str) -> Check:
    """Return a check by its id.

    Raises:
        UsageError: there is no such check (exit 2); the nearest names are told.
    """
    known = {check.id: check for check in load_suites(project_root)}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=3, cutoff=0.4)
    raise UsageError(
        "there is no such check"
        + (f"; the nearest are {', '.join(near)}" if near else ""),
        next_step="docs/reference/checks.md lists every check",
        reason="check_unknown",
    )
