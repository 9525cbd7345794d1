"""One day of the live system without Airflow: the functions that its DAGs call, in order.

    python one_day.py HOME night|morning

``night`` is ``ingest_exports`` and then ``build_marts``, with what Airflow does when a run
failed; ``morning`` is ``watch_morning``. The clock is whatever the process was given.
"""

import sys
from pathlib import Path

from rapport import night
from rapport.errors import RapportError
from rapport.settings import load_settings


def run_night(home: Path) -> str:
    """Take in what is there, then build, judge and publish; say what it came to."""
    settings = load_settings({"RAPPORT_HOME": str(home)})
    for batch in night.discover_deliveries(settings):
        night.load_delivery(settings, batch)
    try:
        run_id = night.start_night(settings)
        for step in night.STEP_FUNCTIONS.values():
            step(settings, run_id)
    except RapportError as error:
        night.tell_of_failure(settings)
        return error.reason
    return "published"


def watch_morning(home: Path) -> str:
    """Look for what is late; say how many were told."""
    told = night.check_morning(load_settings({"RAPPORT_HOME": str(home)}))
    return f"{told['n_told']} told"


if __name__ == "__main__":
    print(
        {"night": run_night, "morning": watch_morning}[sys.argv[2]](Path(sys.argv[1]))
    )
