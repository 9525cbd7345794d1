"""A night killed at five moments, then run again: the same tables as undisturbed."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckdb

from conftest import ROOT, Home

AS_OF = "2026-06-30"


def _tables(home: Home) -> dict[str, list]:
    con = duckdb.connect(home.path / "published" / "rapport.duckdb", read_only=True)
    names = ("core.fct_session", "core.fct_measure_score", "alliance.rupture_cohort")
    found = {
        n: sorted(con.execute(f"select * from {n}").fetchall(), key=repr) for n in names
    }
    con.close()
    return found


def test_a_killed_night_loses_nothing(home: Home, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "data" / "sample" / "inbox", home.path / "inbox")
    undisturbed = Home(tmp_path / "undisturbed")
    moments = random.Random(20261124)
    for _ in range(5):
        night = subprocess.Popen(
            [str(Path(sys.executable).with_name("rapport")), "night", "--as-of", AS_OF],
            env={**os.environ, "RAPPORT_HOME": str(home.path)},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            night.wait(timeout=moments.uniform(0.5, 14))
        except subprocess.TimeoutExpired:
            os.killpg(night.pid, signal.SIGKILL)
            night.wait()
        snapshot = home.path / "published" / "rapport.duckdb"
        if snapshot.exists():
            duckdb.connect(snapshot, read_only=True).close()
    home.run("night", "--as-of", AS_OF)
    shutil.copytree(home.path / "inbox", undisturbed.path / "inbox")
    shutil.copytree(home.path / "vault" / "keys", undisturbed.path / "vault" / "keys")
    undisturbed.run("night", "--as-of", AS_OF)
    assert _tables(home) == _tables(undisturbed)
    assert not list(home.path.rglob("*.building"))
