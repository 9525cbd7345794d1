"""A lead of quality improvement's morning, as the tutorial tells it, on a service with limits."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from browser.conftest import AS_OF, Shown, laid_for
from conftest import ROOT
from lib.laid_snapshots import lay_snapshot
from rapport.settings import Settings, load_settings
from rapport.warehouse import open_published

PAGE = ROOT / "docs" / "tutorial" / "a-quality-leads-morning.md"
CHART = "where chart_id = 'completion.alliance_client' and clinic_key = 'all'"


@dataclass(frozen=True)
class Morning:
    """What each command of the page said, in its order, and where its files are."""

    folder: Path
    settings: Settings
    said: list[str]

    def json(self, name: str) -> dict:
        return json.loads((self.folder / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def morning(
    shown: Callable[[str], Shown], tmp_path_factory: pytest.TempPathFactory
) -> Morning:
    lines = "".join(
        re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), flags=re.S)
    ).splitlines()
    folder = tmp_path_factory.mktemp("morning")
    shutil.copytree(shown("plain").settings.home, folder / "home")
    bin_ = Path(sys.executable).parent
    said = []
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False,
            env={**os.environ, "RAPPORT_HOME": str(folder / "home"),
                 "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"},
        )  # fmt: skip
        assert done.returncode == 0, line + done.stderr
        said.append(done.stdout + done.stderr)
    assert len(said) == 9
    settings = load_settings({"RAPPORT_HOME": str(folder / "home")})
    return Morning(folder, settings, said)


def test_their_own_chart_is_the_page_s(morning: Morning) -> None:
    chart = morning.json("completion.json")
    with open_published(morning.settings) as con:
        shown = con.execute(
            "select month, value, numerator, denominator, cl, lcl, ucl, limits, rule, icon"
            f" from qi.spc_point {CHART} and used order by month"
        )
        names = [column[0] for column in shown.description]
        drawn = [dict(zip(names, row, strict=True)) for row in shown.fetchall()]
    assert len(drawn) > 12
    assert all(point["ucl"] is not None for point in drawn[-12:])
    assert [tuple(p[name] for name in names) for p in chart["points"] if p["used"]] == [
        (str(p.pop("month")), *p.values()) for p in drawn
    ]
    assert chart["sentence"] in (morning.folder / "completion.svg").read_text("utf-8")


def test_a_change_begins_anew_and_too_few_months_are_said(morning: Morning) -> None:
    assert "Too little data to say" in morning.said[5]


def test_the_recorded_change_splits_the_chart_of_the_next_night(
    morning: Morning,
) -> None:
    found = re.search(
        r"Recorded: ([0-9]+) of \d+ series begin a new segment", morning.said[6]
    )
    assert found
    assert int(found[1]) > 0
    assert (
        "2026-03-01  completion.alliance_client: Forms on a tablet" in morning.said[7]
    )
    segments = (
        f"select segment, start_month from qi.spc_series {CHART} order by segment"
    )
    with open_published(morning.settings) as con:
        before = con.execute(segments).fetchall()
    lay_snapshot(
        morning.settings.home,
        replace(laid_for("plain"), as_of=AS_OF + timedelta(days=1)),
    )
    with open_published(morning.settings) as con:
        after = con.execute(segments).fetchall()
    assert len(before) == 1
    assert after == [*before, (before[-1][0] + 1, date(2026, 3, 1))]


def test_of_a_small_clinic_s_months_nothing_shows_but_that_they_are_hidden(
    morning: Morning,
) -> None:
    small = [
        line.split()
        for line in morning.said[8].splitlines()
        if line.startswith("2026-")
    ]
    assert len(small) == 6
    # One without people is no secret.
    assert {tuple(row[1:]) for row in small} <= {("True",), ("0", "False")}
    assert ["True"] in [row[1:] for row in small]
