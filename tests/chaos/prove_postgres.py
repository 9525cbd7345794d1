"""Prove: the live system on Postgres, its metadata laid, used, cleaned and found again.

``make prove``, where a Postgres server is installed. A line of ``records/postgres.jsonl`` is
a system that starts on an empty database, takes in bursts of thirty deliveries while its
scheduler and triggerer are killed (those of ``prove_bursts.py``), is stopped and started
again, and cleans Airflow's records. SQLite's file must not have come about.
"""

import os
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import prove_bursts
from sqlalchemy import create_engine, text

from conftest import Home
from lib.live import live_system
from lib.postgres import postgres, postgres_programs
from lib.proving import Record
from lib.two_nights import canaries_outside
from rapport.housekeeping import clean_airflow
from rapport.settings import load_settings

N_BURSTS = 2
_SETTING = "RAPPORT_LIVE__DATABASE_URL_FILE"


def trial(folder: Path, url: str) -> dict[str, Any]:
    """Live through the bursts, start again, clean; return what was seen."""
    home, laid, secret = Home(folder / "home"), folder / "laid", folder / "url"
    laid.mkdir()
    secret.write_text(f"{url}\n")
    secret.chmod(0o600)
    os.environ[_SETTING] = str(secret)
    with live_system(home) as live:
        bursts = [prove_bursts.burst(live, laid, number) for number in range(N_BURSTS)]
    n_runs = _n_runs(url)
    laid_at = (home.path / "airflow" / "migrated").stat().st_mtime_ns
    with live_system(home):
        again = (home.path / "airflow" / "migrated").stat().st_mtime_ns == laid_at
    # As if its time had passed: Airflow keeps the last run of each pipeline.
    _age(url)
    settings = load_settings({"RAPPORT_HOME": str(home.path), _SETTING: str(secret)})
    cleaned = clean_airflow(settings)["n_airflow"]
    n_left = _n_runs(url)
    is_good = (
        all(line["good"] for line in bursts)
        and again
        and 0 < n_left < n_runs
        and cleaned > 0
        and not (home.path / "airflow" / "airflow.db").exists()
    )
    return {
        "n": sum(line["n"] for line in bursts),
        "n_killed": sum(line["n_killed"] for line in bursts),
        "published_s": max(line["published_s"] for line in bursts),
        "n_runs": n_runs,
        "n_cleaned": cleaned,
        "good": is_good,
        "canaries_in": canaries_outside(home.path),
    }


def _n_runs(url: str) -> int:
    with closing(create_engine(url).connect()) as con:
        return int(con.execute(text("select count(*) from dag_run")).scalar_one())


def _age(url: str) -> None:
    """Move what Airflow noted a year back."""
    with create_engine(url).begin() as con:
        for table, column in (
            ("dag_run", "start_date"),
            ("task_instance", "start_date"),
            ("log", "dttm"),
            ("xcom", "timestamp"),
        ):
            con.execute(
                text(f"update {table} set {column} = {column} - interval '1 year'")
            )


def main() -> int:
    """Make the one trial, where it can be made."""
    record = Record("postgres")
    if not record.lines:
        if postgres_programs() is None:
            print("postgres: no server is installed here (apt-get install postgresql)")
            return 0
        with tempfile.TemporaryDirectory(prefix="postgres_") as place:
            folder = Path(place)
            folder.chmod(0o711)  # its own account passes through
            with postgres(folder / "server") as url:
                record.add(trial(folder, url))
    print(f"postgres: {record.n} deliveries, {len(record.bad)} lines did not hold")
    return 1 if record.bad else 0


if __name__ == "__main__":
    sys.exit(main())
