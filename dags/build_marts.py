"""Build, judge and publish the night when bronze changed, and at the nightly hour."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, task

import tasks
from assets import BRONZE, SNAPSHOT


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("30 3 * * *", timezone="UTC"), assets=[BRONZE]
    ),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
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
