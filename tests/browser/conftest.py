"""Dashboards of many services, each laid once; one browser for all tests of this folder."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pytest

from conftest import ROOT
from lib.chromium import (
    HOW_TO_GET_IT,
    Visit,
    Visitor,
    chromium_path,
    must_have_chromium,
    started_chromium,
)
from lib.laid_clinics import ODD_NAMES, Clinic, Service, facts_of
from lib.laid_snapshots import Laid, lay_snapshot
from lib.laid_verdicts import laid_verdicts
from rapport import night
from rapport.settings import Settings
from rapport.state import ControlState, Run

AS_OF = date(2026, 6, 30)
SCREENSHOTS = ROOT / "build" / "screenshots"
PAGES = (
    "index", "completion", "alliance", "early", "ruptures", "stalls", "outcomes",
    "endings", "clinics", "equity", "strengthening", "quality", "glossary",
)  # fmt: skip
_FOUR = (
    Clinic("Desert Clinic", 1.2, -0.05),
    Clinic("Eastside Clinic", 1.0, 0.08),
    Clinic("Lakeside Clinic", 1.0),
    Clinic("Small Practice", 0.015),
)
# What each service is for: see the tests that name it.
LAID = {
    "plain": Service(_FOUR, 1100, date(2024, 1, 8), AS_OF),
    "one_client": Service(_FOUR[:1], 1, date(2026, 1, 12), date(2026, 6, 30)),
    "one_month": Service(_FOUR[1:2], 60, date(2026, 6, 1), AS_OF),
    "no_values": Service(_FOUR[:2], 60, date(2026, 1, 5), AS_OF, fills=-1),
    "odd": Service(
        tuple(
            Clinic(name, 1.0, closed_after=date(2025, 11, 20) if n == 3 else None)
            for n, name in enumerate(ODD_NAMES)
        ),
        500,
        date(2025, 1, 6),
        AS_OF,
        without=date(2025, 8, 1),
    ),
    "hidden": Service(_FOUR[:3], 120, date(2025, 6, 2), AS_OF),
    "forty": Service(
        tuple(
            Clinic(f"Clinic {n + 1:02}", 1 + n % 3, (n % 7 - 3) / 9) for n in range(40)
        ),
        1000,
        date(2025, 6, 2),
        AS_OF,
    ),
    "long": Service(
        tuple(Clinic(f"Practice {n + 1:02}") for n in range(20)),
        2500,
        date(2016, 7, 4),
        AS_OF,
    ),
}  # fmt: skip
_SETTINGS = {
    "long": "[qi]\nsmall_cell_min = 0\n",  # nothing hidden: the largest pages
    "hidden": "[qi]\nsmall_cell_min = 1000\n",
    "odd": '[[qi.process_change]]\nchart = "completion.*"\nfrom = "2026-01-01"\n'
    'note = "<b>tablets</b> & \\"reminders\\""\n',
}


@dataclass(frozen=True)
class Shown:
    """One service's home with its pages and digest, as a night leaves them."""

    name: str
    settings: Settings

    @property
    def folder(self) -> Path:
        """The pages."""
        return self.settings.home / "dashboard"

    @property
    def snapshot(self) -> Path:
        """What they were made from."""
        return self.settings.home / "published" / "rapport.duckdb"

    def page(self, name: str) -> Path:
        """Return the file of a page."""
        return self.folder / f"{name}.html"

    def text(self) -> dict[str, str]:
        """Return each page's bytes, read as text."""
        return {
            path.stem: path.read_text("utf-8") for path in sorted(self.folder.iterdir())
        }


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Shown]:
    """Return the dashboard of a service by its name; each is laid when first asked for."""
    root = tmp_path_factory.mktemp("dashboards")

    @cache
    def lay(name: str) -> Shown:
        laid = laid_for(name)
        if name == "one_month":  # the second of two nights
            lay_snapshot(root / name, replace(laid, as_of=AS_OF - timedelta(days=1)))
        settings = lay_snapshot(root / name, laid)
        if name == "odd":
            _refuse_a_night(settings)
        night.dashboard(settings)
        night.digest(settings)
        return Shown(name, settings)

    return lay


def laid_for(name: str) -> Laid:
    """Return what a service's snapshot is laid from."""
    if name == "empty":
        return Laid(AS_OF)
    if name == "verdicts":
        return laid_verdicts()
    failed = {"core_scores_in_range": "warning"} if name == "plain" else {}
    return Laid(AS_OF, facts_of(LAID[name]), _SETTINGS.get(name, ""), failed)


def _refuse_a_night(settings: Settings) -> None:
    """Let the control state know of a later night that the gate refused."""
    state = ControlState(settings.home)
    last = state.runs()[-1]
    later = replace(
        last,
        run_id="r_laid_refused",
        as_of=last.as_of + timedelta(days=1),
        started_at=last.started_at + timedelta(days=1),
        ended_at=last.started_at + timedelta(days=1, minutes=3),
        outcome="refused",
    )
    assert isinstance(later, Run)
    state.start_run(later)


@pytest.fixture(scope="session")
def visitor() -> Iterator[Visitor]:
    """Start the browser; without one, fail where ``.ci/run`` asked for it, else skip."""
    if chromium_path() is None:
        if must_have_chromium():
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with started_chromium() as browser:
        yield Visitor(browser)


@pytest.fixture(scope="session")
def visited(
    shown: Callable[[str], Shown], visitor: Visitor
) -> Callable[[str, str], Visit]:
    """Return what a page of a service showed in every theme and width."""

    @cache
    def visit(service: str, page: str) -> Visit:
        shots = SCREENSHOTS if service == "plain" else None
        return visitor.visit(shown(service).page(page), shots)

    return visit


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, in one line, why pages were not opened."""
    skipped = terminalreporter.stats.get("skipped", [])
    if any(HOW_TO_GET_IT in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(f"tests/browser: {HOW_TO_GET_IT}")
