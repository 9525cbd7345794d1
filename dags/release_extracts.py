"""Build what researchers ask for, wait for a person to decide, then release or refuse."""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, task_group

import approval_page as page
import tasks
from assets import REQUESTS


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"),
        assets=[REQUESTS],
    ),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={"request": page.ONE_REQUEST},
    tags=["rapport"],
)
def release_extracts():
    """One run: prepare, then for each request alone show, wait for a person, settle."""

    @task_group
    def one_request(request_id: str):
        """A request that nobody answers, or a wrong answer, holds no other one up."""
        sign_off = HITLOperator(
            task_id="sign_off",
            subject=page.SUBJECT,
            body=page.BODY,
            options=["Approve", "Refuse", "Later"],
            defaults="Later",
            params={"reason_to_refuse": page.WHY_REFUSED},
            response_timeout=timedelta(hours=23),
        )
        tasks.report_figures(request_id) >> sign_off
        tasks.settle_extract(request_id, sign_off.output)

    one_request.expand(request_id=tasks.prepare_requests("{{ params.request }}"))


release_extracts()
