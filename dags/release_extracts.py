"""Build what researchers ask for, wait for a person to decide, then release or refuse."""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import dag, task

import tasks
from assets import RELEASE

_SUBJECT = (
    "Release extract {{ ti.xcom_pull(task_ids='prepare_requests')[ti.map_index] }}?"
)


def _body(figures: dict) -> str:
    """Return what the approval page shows: counts and measures, no patient value."""
    said = "\n".join(f"- {name}: {value}" for name, value in figures.items())
    return (
        f"Figures of the disclosure report:\n\n{said}\n\nRead the whole of it with "
        "rapport extract review. You must be among [extracts] approvers, and not the "
        "one who asked."
    )


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["rapport"],
)
def release_extracts():
    """One run: prepare, show the figures, wait for a person, settle."""

    @task(outlets=[RELEASE])
    def releases_settled() -> None:
        """Say that there may be a new release."""

    waiting = tasks.prepare_requests()
    figures = tasks.report_figures.expand(request_id=waiting)
    sign_off = HITLOperator.partial(
        task_id="sign_off",
        subject=_SUBJECT,
        options=["Approve", "Refuse"],
        response_timeout=timedelta(days=7),
    ).expand(body=figures.map(_body))
    decided = waiting.zip(sign_off.output)
    tasks.settle_extract.expand(decided=decided) >> releases_settled()


release_extracts()
