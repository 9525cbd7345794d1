"""The gate's process: ``python -m rapport.validate ROOT WORK CANDIDATE``.

Prints one JSON list of verdicts on its last line of stdout. Results are BOOLEAN_ONLY and
of an exception only the fact is kept: its text quotes data. What a failed check observed
is one number, from a count query beside the expectation.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import sqlalchemy
import sqlalchemy.exc

from rapport.validate.suites import Check, load_suites


def main(root: str, work: str, candidate: str) -> None:
    """Validate both databases, read-only, and print the verdicts."""
    checks = load_suites(Path(root))
    chatter = io.StringIO()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
        import great_expectations  # noqa: F401  # loaded ahead, while models are built

        if sys.stdin.readline() != "judge\n":
            return
        statuses = _statuses(checks, {"work": work, "candidate": candidate})
    observed = {
        name: _observed(path, [c for c in checks if c.database == name], statuses)
        for name, path in (("work", work), ("candidate", candidate))
    }
    verdicts = [
        {
            "layer": check.layer,
            "table_name": check.table,
            "check_name": check.id,
            "severity": check.severity,
            "status": statuses[check.id],
            "passed": statuses[check.id] == "pass",
            "observed": observed[check.database].get(check.id),
            "expected": check.expected,
        }
        for check in checks
    ]
    print(json.dumps(verdicts))


def _statuses(checks: list[Check], databases: dict[str, str]) -> dict[str, str]:
    import great_expectations as gx

    import rapport.validate.dialect  # noqa: F401

    context = gx.get_context(mode="ephemeral")
    statuses: dict[str, str] = {}
    for database, path in databases.items():
        source = context.data_sources.add_sql(
            database,
            connection_string=f"duckdb+gxro:///{path}",
            kwargs={"connect_args": {"read_only": True}},
        )
        mine = [check for check in checks if check.database == database]
        for table in dict.fromkeys(check.table for check in mine):
            of_table = [check for check in mine if check.table == table]
            statuses.update(_validate_table(gx, context, source, table, of_table))
    return statuses


def _validate_table(
    gx: Any, context: Any, source: Any, table: str, checks: list[Check]
) -> dict[str, str]:
    """Validate one table; a table that is not there makes each of its checks an error."""
    schema, name = table.split(".")
    statuses = {check.id: "error" for check in checks}
    try:
        asset = source.add_table_asset(table, table_name=name, schema_name=schema)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        suite = gx.ExpectationSuite(name=table)
        for check in checks:
            suite.add_expectation(_expectation(gx, check))
        result = batch.validate(suite, result_format="BOOLEAN_ONLY")
    except Exception:
        return statuses
    for verdict in result.results:
        id_ = verdict.expectation_config.meta["id"]
        if _raised(verdict.exception_info or {}):
            statuses[id_] = "error"
        else:
            statuses[id_] = "pass" if verdict.success else "fail"
    return statuses


def _expectation(gx: Any, check: Check) -> Any:
    gxe = gx.expectations
    about = {"meta": {"id": check.id}, "severity": check.severity}
    said = check.arguments
    if check.kind == "not_null":
        return gxe.ExpectColumnValuesToNotBeNull(column=said["column"], **about)
    if check.kind == "unique":
        if len(said["columns"]) == 1:
            return gxe.ExpectColumnValuesToBeUnique(column=said["columns"][0], **about)
        return gxe.ExpectCompoundColumnsToBeUnique(column_list=said["columns"], **about)
    if check.kind == "in_set":
        return gxe.ExpectColumnValuesToBeInSet(
            column=said["column"], value_set=said["values"], **about
        )
    if check.kind == "between":
        return gxe.ExpectColumnValuesToBeBetween(
            column=said["column"], min_value=said["min"], max_value=said["max"], **about
        )
    return gxe.UnexpectedRowsExpectation(unexpected_rows_query=said["query"], **about)


def _raised(info: dict[str, Any]) -> bool:
    """Tell whether a check raised: the information is flat, or one entry a metric."""
    return bool(info.get("raised_exception")) or any(
        isinstance(part, dict) and part.get("raised_exception")
        for part in info.values()
    )


def _observed(
    path: str, checks: list[Check], statuses: dict[str, str]
) -> dict[str, float]:
    """Count the rows that break each failed check."""
    failed = [check for check in checks if statuses[check.id] == "fail"]
    counts: dict[str, float] = {}
    if not failed:
        return counts
    # The same engine as the checks: one process can't open a file in two ways.
    engine = sqlalchemy.create_engine(
        f"duckdb+gxro:///{path}", connect_args={"read_only": True}
    )
    with engine.connect() as con:
        for check in failed:
            with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                counts[check.id] = float(
                    con.execute(sqlalchemy.text(check.broken_rows)).scalar_one()
                )
    return counts


if __name__ == "__main__":
    main(*sys.argv[1:])
