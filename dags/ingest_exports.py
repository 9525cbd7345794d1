"""Take deliveries in when the inbox rings, and every quarter of an hour all the same."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, task

from assets import BRONZE, INBOX, LIVE
from tasks import discover_deliveries, load_delivery


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(
            f"*/{LIVE.sweep_minutes} * * * *", timezone="UTC"
        ),
        assets=[INBOX],
    ),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
    },
    tags=["rapport"],
)
def ingest_exports():
    """Discover, then one task a delivery, one writer at a time; then bronze changed."""

    @task(outlets=[BRONZE])
    def bronze_changed() -> None:
        """Say that bronze may have changed."""

    loaded = load_delivery.expand(batch_id=discover_deliveries())
    loaded >> bronze_changed()


ingest_exports()
