"""The live system: Airflow's four processes on this machine, started, watched, stopped.

No module here imports Airflow: its processes are children, spoken to over loopback.
"""

from rapport.live.airflow import (
    airflow_environment,
    laid_version,
    metadata_url,
    migrate,
)
from rapport.live.control import LiveState, down, live_state, run_in_foreground, up

__all__ = [
    "LiveState",
    "airflow_environment",
    "down",
    "laid_version",
    "live_state",
    "metadata_url",
    "migrate",
    "run_in_foreground",
    "up",
]
