"""The gate's process: ``python -m rapport.validate ROOT``.

It loads its engine, then answers questions until its input ends: a line of JSON
(``{"databases": {"work": PATH, "candidate": PATH}, "checks": null, "limits": {}, "key":
""}``: what to judge, by which checks if not all, what the engine may take of the machine,
and what opens the files if they are encrypted) is answered by a line of JSON, one verdict
a check. Results are BOOLEAN_ONLY and of an exception only the fact is kept: its text
quotes data. What a failed check observed is one number, from a count query beside the
expectation; where it failed is told by opaque names alone.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import logging
import os
import sys
import warnings
from base64 import b64decode
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import sqlalchemy
import sqlalchemy.exc

from rapport.privacy.at_rest import DiskKey
from rapport.validate.suites import FINDING_COLUMNS, Check, load_suites

_MOST_FINDINGS = 20
_name = count()


def main(root: str) -> None:
    """Load the engine, then judge whatever is asked."""
    checks = load_suites(Path(root))
    answers = _answers_alone()
    chatter = io.StringIO()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # What it loads lives as long as the process: no garbage to look for among it.
    gc.disable()
    with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
        # Loaded ahead, while models are built; the dialect registers itself.
        import great_expectations as gx

        dialect = importlib.import_module("rapport.validate.dialect")
        gc.freeze()
        gc.enable()

        for line in sys.stdin:
            asked = json.loads(line)
            names = asked["checks"]
            dialect.take_limits(asked["limits"])
            if asked["key"]:
                key = DiskKey("gate", b64decode(asked["key"]))
                dialect.take_keys([key])
            named = [c for c in checks if names is None or c.id in names]
            verdicts = judge(gx, named, asked["databases"])
            print(json.dumps(verdicts), file=answers, flush=True)


def _answers_alone() -> TextIO:
    """Keep stdout for answers: engines write progress to it below Python's own stream."""
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def judge(
    gx: Any, checks: Sequence[Check], databases: dict[str, str]
) -> list[dict[str, Any]]:
    """Return one verdict for each check of the databases that were named."""
    verdicts = []
    for database, path in databases.items():
        mine = [check for check in checks if check.database == database]
        statuses = _statuses(gx, path, mine)
        observed = _observed(path, mine, statuses)
        verdicts += [
            {
                "layer": check.layer,
                "table_name": check.table,
                "check_name": check.id,
                "severity": check.severity,
                "status": statuses[check.id],
                "observed": observed[check.id][0],
                "expected": check.expected,
                "findings": observed[check.id][1],
            }
            for check in mine
        ]
    return verdicts


def _statuses(gx: Any, path: str, checks: Sequence[Check]) -> dict[str, str]:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sql(
        f"database_{next(_name)}",
        connection_string=f"duckdb+gxro:///{path}",
        kwargs={"connect_args": {"read_only": True}},
    )
    statuses: dict[str, str] = {}
    try:
        for table in dict.fromkeys(check.table for check in checks):
            of_table = [check for check in checks if check.table == table]
            statuses.update(_validate_table(gx, source, table, of_table))
    finally:
        # An open connection would pin the file that was judged (stack.md, 6).
        source.get_engine().dispose()
    return statuses


def _validate_table(
    gx: Any, source: Any, table: str, checks: Sequence[Check]
) -> dict[str, str]:
    """Validate one table; a table that is not there makes each of its checks an error."""
    schema, name = table.split(".")
    try:
        asset = source.add_table_asset(table, table_name=name, schema_name=schema)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        suite = gx.ExpectationSuite(name=table)
        for check in checks:
            suite.add_expectation(_expectation(check))
        result = batch.validate(suite, result_format="BOOLEAN_ONLY")
    except Exception:
        return {check.id: "error" for check in checks}
    return statuses_of(checks, result.results)


def statuses_of(checks: Sequence[Check], results: Iterable[Any]) -> dict[str, str]:
    """Return pass, fail or error for each check; one without a result is an error.

    The results come in another order than the suite: each is known by its id alone.
    """
    statuses = {check.id: "error" for check in checks}
    for result in results:
        id_ = result.expectation_config.meta["id"]
        if id_ in statuses and not _raised(result.exception_info or {}):
            statuses[id_] = "pass" if result.success else "fail"
    return statuses


def _expectation(check: Check) -> Any:
    # It loads Great Expectations, which this process does when its streams are set aside.
    from rapport.validate.expectations import ExpectNoRowCounted, ExpectNoRowWhere

    about = {"meta": {"id": check.id}, "severity": check.severity}
    if check.condition is not None:
        return ExpectNoRowWhere(condition=check.condition, **about)
    return ExpectNoRowCounted(count_query=check.broken_rows, **about)


def _raised(info: dict[str, Any]) -> bool:
    """Tell whether a check raised: the information is flat, or one entry a metric."""
    return bool(info.get("raised_exception")) or any(
        isinstance(part, dict) and part.get("raised_exception")
        for part in info.values()
    )


def _observed(
    path: str, checks: Sequence[Check], statuses: dict[str, str]
) -> dict[str, tuple[float | None, list[list[Any]]]]:
    """Count the rows that break each failed check, and say where, by opaque names."""
    nothing: tuple[float | None, list[list[Any]]] = (None, [])
    found = {check.id: nothing for check in checks}
    failed = [check for check in checks if statuses[check.id] == "fail"]
    if not failed:
        return found
    # The same engine as the checks: one process can't open a file in two ways.
    engine = sqlalchemy.create_engine(
        f"duckdb+gxro:///{path}", connect_args={"read_only": True}
    )
    try:
        with engine.connect() as con:
            for check in failed:
                with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                    n = con.exec_driver_sql(check.broken_rows).scalar_one()
                    found[check.id] = (float(n), _findings(con, check))
    finally:
        engine.dispose()
    return found


def _findings(con: sqlalchemy.Connection, check: Check) -> list[list[Any]]:
    if check.table != "gate.judged":
        return []
    columns = ", ".join(FINDING_COLUMNS)
    rows = con.exec_driver_sql(
        f"select {columns} from {check.table} where {check.condition}"
        f" order by {columns} limit {_MOST_FINDINGS}"
    )
    return [list(row) for row in rows]


if __name__ == "__main__":
    main(*sys.argv[1:])
