"""Build, judge and publish the night when bronze changed, and at the nightly hour."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import (
    AssetOrTimeSchedule,
    AsyncCallback,
    CronTriggerTimetable,
    DeadlineAlert,
    DeadlineReference,
    dag,
    task,
)

import tasks
from assets import BRONZE, LIVE, SNAPSHOT
from rapport.alerts import night_is_slow


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(
            tasks.daily(LIVE.nightly_at), timezone=LIVE.timezone
        ),
        assets=[BRONZE],
    ),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
    },
    on_failure_callback=tasks.tell_of_failure,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=LIVE.deadline_minutes),
        callback=AsyncCallback(night_is_slow),
    ),
    tags=["rapport"],
)
def build_marts():
    """One run: build, validate, publish, dashboard, digest; then the snapshot is new."""

    @task(outlets=[SNAPSHOT])
    def snapshot_published() -> None:
        """Say that there is a new snapshot."""

    run_id = tasks.start_run()
    (
        tasks.build(run_id)
        >> tasks.validate(run_id)
        >> tasks.publish(run_id)
        >> tasks.dashboard(run_id)
        >> tasks.digest(run_id)
        >> snapshot_published()
    )


build_marts()
