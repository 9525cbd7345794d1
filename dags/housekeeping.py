"""Once a day: delete what is over its time, hold every file against the ledger, tidy up."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag

import tasks


@dag(
    schedule="30 12 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["rapport"],
)
def housekeeping():
    """One run: each step by itself, so that one that fails does not stop the others."""
    tasks.retire()
    tasks.rotate_logs()
    tasks.clean_airflow()
    tasks.verify()
    tasks.rehearse_restore()
    tasks.vacuum()


housekeeping()
