"""The gate's own expectations for Great Expectations: no row is broken (ADR 59).

Only the gate's process imports this module, for it loads Great Expectations. Neither
expectation observes a value: what is computed is one count.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import (
    metric_partial,
    metric_value,
)
from great_expectations.expectations.metrics.table_metric_provider import (
    TableMetricProvider,
)


class BrokenRows(TableMetricProvider):
    """How many rows of the table break a condition that one row alone decides.

    An aggregate: Great Expectations asks for those of one table in one query, so one scan
    counts for every check. If that query fails it asks for each alone, and the check whose
    condition can't run is the only one that errs.
    """

    metric_name = "table.broken_rows"
    value_keys = ("condition",)

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        condition = metric_value_kwargs["condition"]
        counted = sa.literal_column(f"count(*) filter (where {condition})")
        return counted, metric_domain_kwargs, {}


class BrokenRowsCounted(TableMetricProvider):
    """How many rows break a check that looks at more than one row: what its query counts.

    None where the query fails. Were it raised, Great Expectations would throw away what
    else it computed in the same round and compute that again, three times.
    """

    metric_name = "table.broken_rows_counted"
    value_keys = ("count_query",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> int | None:
        query = sa.text(metric_value_kwargs["count_query"].replace(":", r"\:"))
        try:
            return int(execution_engine.execute_query(query).fetchone()[0])
        except sa.exc.SQLAlchemyError:
            return None


class ExpectNoRowWhere(BatchExpectation):
    """No row of the table meets a condition that one row alone decides."""

    condition: str

    metric_dependencies: ClassVar[tuple[str, ...]] = (BrokenRows.metric_name,)
    success_keys: ClassVar[tuple[str, ...]] = ("condition",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        return {"success": metrics[BrokenRows.metric_name] == 0}


class ExpectNoRowCounted(BatchExpectation):
    """A query counts no row that breaks the check.

    Raises:
        RuntimeError: the query could not be run; Great Expectations makes it an error.
    """

    count_query: str

    metric_dependencies: ClassVar[tuple[str, ...]] = (BrokenRowsCounted.metric_name,)
    success_keys: ClassVar[tuple[str, ...]] = ("count_query",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        n_broken = metrics[BrokenRowsCounted.metric_name]
        if n_broken is None:
            raise RuntimeError("the query could not be run")
        return {"success": n_broken == 0}
