"""What Airflow adds to a night in one process, and dbt to the very SQL that it runs.

``python benchmarks/overhead.py [ROUNDS]`` (3). Each round lays the tracked sample into two
homes and lives, in turn, a first night and one without news: by ``make night``'s program,
and by ``rapport night``. Then dbt builds all in the second home once more, and one bare
connection runs the same statements. CPU seconds of all processes; medians of the rounds.

Writes benchmarks/results/overhead.json.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

from measured import run_apart, save, summary
from scale_build import bare, one_build

from rapport.settings import PROJECT_ROOT, load_settings

AS_OF = date(2026, 6, 30)
AIRFLOW = [sys.executable, "-m", "rapport.airflow_night"]
ALONE = [str(Path(sys.executable).with_name("rapport")), "night"]


def main() -> None:
    """Live the rounds; keep medians, and what each layer adds."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    taken: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for side, cost in one_round(Path(folder)).items():
                taken.setdefault(side, []).append(cost)
    sides = {side: summary(runs) for side, runs in taken.items()}

    def added(more: str, less: str) -> float:
        return round(sides[more]["cpu_s"]["median"] - sides[less]["cpu_s"]["median"], 1)

    save(
        "overhead",
        {
            "sides": sides,
            "cpu_s_added": {
                "Airflow, its database laid, to a first night of the tracked sample": added(
                    "first night by Airflow", "first night in one process"
                ),
                "Airflow to a night without news": added(
                    "no news by Airflow", "no news in one process"
                ),
                "dbt to the same SQL bare, a full build of the tracked sample": added(
                    "dbt", "bare"
                ),
            },
        },
    )


def one_round(folder: Path) -> dict[str, dict[str, float]]:
    """Return CPU and wall seconds of each side, once."""
    cost: dict[str, dict[str, float]] = {}
    for side, command in (("by Airflow", AIRFLOW), ("in one process", ALONE)):
        home = folder / side.replace(" ", "-")
        shutil.copytree(PROJECT_ROOT / "data" / "sample" / "inbox", home / "inbox")
        environment = {**os.environ, "RAPPORT_HOME": str(home)}
        for night in ("first night", "no news"):
            cost[f"{night} {side}"], _ = run_apart(command, env=environment)
    settings = load_settings({"RAPPORT_HOME": str(home)})
    full = one_build(settings, AS_OF, full_refresh=True)
    cost["dbt"] = {"cpu_s": full["cost"]["child_cpu_s"]}
    cost["bare"] = {"cpu_s": bare(settings, AS_OF, full)["cpu_s"]}
    return cost


if __name__ == "__main__":
    main()
