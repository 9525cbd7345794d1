"""In the morning: is there a new snapshot, and has every source delivered?"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import CronTriggerTimetable, dag

import tasks
from assets import LIVE


@dag(
    schedule=CronTriggerTimetable(tasks.daily(LIVE.morning_at), timezone=LIVE.timezone),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["rapport"],
)
def watch_morning():
    """One run: look, and tell whoever is set in [alerts] of what is late."""
    tasks.check_morning()


watch_morning()
