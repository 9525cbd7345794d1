"""The disclosure report, as a privacy officer's browser shows it from a file."""

import json
from pathlib import Path

import pytest

from lib.chromium import THEMES, WIDTHS, Visitor
from lib.extract_home import spec
from rapport.extracts import words
from rapport.extracts.request import read_request

BOTH = {(theme, width) for theme in THEMES for width in WIDTHS}
REPORT = {
    "request_id": "q_7tthby47zfkf", "profile": "safe_harbor", "gates": "all",
    "data_as_of": "2026-06-30", "n_requested": 12_345, "n_released": 12_300,
    "n_masked": 26, "n_dropped": 45, "k_required": 11, "k_min": 12, "classes": 24,
    "l_required": 2, "l_min": {"dropout": 2, "pattern": 3}, "exempt": ["clinical_class"],
    "trajectory": {"p": 3, "mean": 0.031, "max": 0.41, "share_over_0_2": 0.012},
    "trajectory_limit": 0.05, "joint": {"mean": 0.27, "max": 0.98}, "joint_limit": None,
    "reidentification": {"prosecutor": 0.083, "journalist": 0.083, "marketer": 0.002},
    "rows": {"clients": 12_300, "episodes": 12_500}, "tables_withheld": ["sessions"],
    "canaries": {"planted": 40_011, "hits": 0}, "changed_since_frozen": 7,
    "levels": {"age_band": 1, "sex": 1, "state": 0}, "rung": {"weeks": 2, "score_bins": 12},
    "cut_off": {"sessions": 100, "sessions_later": 14, "persons": 50,
                "persons_longer": 20},
    "rows_trimmed": {"sessions": 3}, "values_suppressed": {"clients.age_band": 14},
    "differencing": [{"release_id": "r_isxwp7f27cel", "new": 40, "gone": 0}],
    "distributions": {
        "class_size": words.distribution([12, 15, 90, 2_000], (1, 11, 20, 50, 1_000)),
        "trajectory_risk": words.distribution([0.01, 0.02, 0.04, 0.41], (0, 0.02, 0.05)),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disclosure")
    (folder / "request.toml").write_text(spec())
    request = read_request(folder / "request.toml")
    path = folder / "risk_report.html"
    path.write_text(words.risk_page(request, REPORT), "utf-8")
    return path


def test_axe_finds_nothing_serious_in_the_disclosure_report(
    visitor: Visitor, page: Path
) -> None:
    assert visitor.search(page) == {look: [] for look in BOTH}


def test_the_disclosure_report_loads_nothing_and_never_scrolls_sideways(
    visitor: Visitor, page: Path
) -> None:
    visit = visitor.visit(page)
    assert visit.requests == [page.as_uri()]
    assert visit.messages == []
    assert visit.violations == []
    assert visit.wide == dict.fromkeys(BOTH, 0)


def test_each_plot_has_its_numbers_beside_it_and_in_the_twin(
    visitor: Visitor, page: Path
) -> None:
    twin = json.loads(json.dumps(REPORT))["distributions"]
    with visitor.opened(page) as (shown, _):
        figures = shown.locator("figure")
        assert figures.count() == 2
        for figure, counts in zip(figures.all(), twin.values(), strict=True):
            assert figure.locator("svg[role=img][aria-label]").count() == 1
            cells = figure.locator("table td:nth-child(2)").all_text_contents()
            bars = [int(cell) for cell in cells]
            assert bars == [row["n"] for row in counts]
            assert sum(bars) == 4
