"""The words of the pages: rounding, hidden cells, and what a chart says."""

import re
from datetime import date
from typing import Any

import pytest

from conftest import ROOT
from rapport.dashboard import words
from rapport.dashboard.charts import (
    Bar,
    BarChart,
    Dot,
    DotChart,
    TimeChart,
    laid_out,
    nice_ticks,
)
from rapport.dashboard.pages import chart_svg

TEMPLATES = ROOT / "src" / "rapport" / "dashboard" / "templates"


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [
        (28.5, 0, "29"),
        (0.285 * 100, 0, "29"),  # 28.499999999999996 in floats
        (2.45, 1, "2.5"),
        (-0.25, 1, "−0.3"),
        (-0.04, 1, "0.0"),
        (1234567.0, 0, "1,234,567"),
        (1e-12, 2, "0.00"),
    ],
)
def test_numbers_are_rounded_half_up(value: float, digits: int, said: str) -> None:
    assert words.half_up(value, digits) == said


def test_a_null_is_hidden_only_where_something_was_hidden() -> None:
    """A share of nothing in a partly hidden row has its denominator, which is 0."""
    row = {"share": None, "n": 0, "other": None, "m": None, "partly_suppressed": True}
    assert words.cell(row, "share", "share", "n") == "–"
    assert words.cell(row, "other", "share", "m") == "hidden"
    assert words.said(row, "other", "share", "m") == "hidden to protect small groups"
    assert words.said({"share": None, "n": 0}, "share", "share", "n") == "no data"
    assert words.cell({"n": None, "suppressed": True}, "n", "count") == "hidden"


@pytest.mark.parametrize(
    ("start", "months", "said"),
    [
        (date(2026, 7, 1), 3, "July–September 2026"),
        (date(2026, 11, 1), 2, "November–December 2026"),
        (date(2026, 2, 1), 1, "February 2026"),
        (date(2026, 1, 1), 12, "2026"),
    ],
)
def test_periods_are_named_by_their_months(start: date, months: int, said: str) -> None:
    assert words.period_name(start, months) == said


def test_a_name_can_not_turn_the_words_around_it() -> None:
    assert words.isolated("A\u202eB\u2069") == "AB"
    assert words.isolated("مركز") == "\u2068مركز\u2069"
    assert words.isolated("Söhne") == "Söhne"


def series(**said: Any) -> dict[str, Any]:
    return {
        "segment": 0, "limits": "fixed", "direction": "up", "n_points": 24,
        "run_n_useful": 20, "run_signal": None, "run_longest": 4, "run_longest_max": 7,
        "run_crossings": 9, "run_crossings_min": 6, **said,
    }  # fmt: skip


def point(**said: Any) -> dict[str, Any]:
    return {
        "month": date(2026, 5, 1), "segment": 0, "used": True, "rule": "none",
        "side": None, **said,
    }  # fmt: skip


LATER = point(month=date(2026, 6, 1), used=False, rule=None)
VERDICTS = [
    (series(), point(),
     "No sign of change: the variation is what this process normally produces."),
    (series(limits="trial"), point(),
     "No sign of change: the variation is what this process normally produces; limits are "
     "provisional."),
    (series(), point(rule="outside", side="up"),
     "Worth a look: May 2026 is above the upper limit (better direction)."),
    (series(direction="down"), point(rule="outside", side="up"),
     "Worth a look: May 2026 is above the upper limit (worse direction)."),
    (series(direction="neutral"), point(rule="outside", side="down"),
     "Worth a look: May 2026 is below the lower limit."),
    (series(), point(rule="trend", side="down"),
     "Worth a look: 6 months falling in a row."),
    (series(), point(rule="trend", side="up"), "Worth a look: 6 months rising in a row."),
    (series(), point(rule="two_of_three", side="down"),
     "Worth a look: 2 of 3 months near the lower limit."),
    (series(), point(rule="shift", side="up"),
     "Worth a look: 8 months in a row above the centre."),
    (series(limits="trial"), point(rule="shift", side="down"),
     "Worth a look: 8 months in a row below the centre; limits are provisional."),
    (series(limits="none", run_signal=False), point(),
     "Run chart (24 months): no sign of change."),
    (series(limits="none", run_signal=True, run_longest=8), point(),
     "Run chart (24 months): an unusually long run below the median."),
    (series(limits="none", run_signal=True, run_crossings=5), point(),
     "Run chart (24 months): too few crossings."),
    (series(limits="none", run_signal=True, run_longest=8, run_crossings=5), point(),
     "Run chart (24 months): an unusually long run below the median and too few "
     "crossings."),
    (series(limits="none", n_points=7), point(),
     "Too little data to say (7 of 12 months)."),
    (series(limits="none", n_points=26, run_n_useful=3), point(),
     "Too little data to say (3 of 10 months that differ from the median)."),
]  # fmt: skip


@pytest.mark.parametrize(("last", "newest", "said"), VERDICTS)
def test_a_chart_says_what_its_last_counted_month_says(
    last: dict[str, Any], newest: dict[str, Any], said: str
) -> None:
    """A month that is not complete comes after it, and says nothing."""
    before = point(month=date(2026, 4, 1), rule="outside", side="down")
    assert words.verdict(last, [before, newest, LATER], "below") == said


def test_trend_and_shift_say_the_lengths_that_are_set() -> None:
    trend = words.verdict(series(), [point(rule="trend", side="up")], trend_points=7)
    shift = words.verdict(series(), [point(rule="shift", side="up")], shift_points=7)
    assert trend == "Worth a look: 7 months rising in a row."
    assert shift == "Worth a look: 7 months in a row above the centre."


def test_every_sentence_of_the_templates_is_said_on_a_page() -> None:
    told = (TEMPLATES / "sentences.html").read_text("utf-8")
    names = set(re.findall(r"{% macro (\w+)\(", told)) - {
        "limits_of",
        "equity_group",
        "some",
    }
    pages = "".join(p.read_text("utf-8") for p in TEMPLATES.glob("*.html"))
    assert len(names) > 15
    assert names == set(re.findall(r"sentences\.(\w+)\(", pages))


# --- charts


def test_ticks_are_round_and_hold_every_value() -> None:
    assert nice_ticks(0.83, 0.94, 6) == [0.82, 0.84, 0.86, 0.88, 0.9, 0.92, 0.94]
    for low, high in ((0.0, 1.0), (3.6, 4.1), (26.0, 36.0), (5.0, 5.0), (0.0, 1e-6)):
        ticks = nice_ticks(low, high)
        assert ticks[0] <= low <= high <= ticks[-1]
        assert len(ticks) <= 9


def months(values: list[float | None]) -> list[dict[str, Any]]:
    limits = {"cl": 0.5, "lcl": 0.25, "ucl": 0.75, "limits": "fixed"}
    return [
        {
            "month": date(2025, n + 1, 1), "value": value, "segment": 0, "used": True,
            "icon": "concern_low" if value == 0.2 else "common_cause", "rule": "none",
            "side": "down" if value == 0.2 else None, **limits,
        }
        for n, value in enumerate(values)
    ]  # fmt: skip


SEGMENT = {
    "segment": 0, "limits": "fixed", "start_month": date(2025, 1, 1), "target": None,
    "run_median": 0.5, "change_note": None,
}  # fmt: skip


def test_a_special_cause_is_a_shape_with_a_letter_and_not_a_colour_alone() -> None:
    chart = TimeChart("c", "A < B", "share", months([0.5, 0.2, 0.6]), [SEGMENT])
    svg = chart_svg(chart, "Said & done.")
    assert '<rect class="concern"' in svg
    assert re.search(r"<text [^>]*>L</text>", svg)
    assert '<title id="c-t">A &lt; B</title>' in svg
    assert '<desc id="c-d">Said &amp; done.</desc>' in svg


def test_limits_lie_where_their_months_are_and_break_where_one_has_none() -> None:
    points = months([0.5, 0.6, 0.5, 0.6])
    points[1] |= {"cl": None, "lcl": None, "ucl": None, "limits": "none"}
    _, drawing = laid_out(TimeChart("c", "t", "share", points, [SEGMENT]))
    assert len(drawing.bands) == 2
    assert [css for css, _ in drawing.lines].count("centre") == 2


def test_a_point_lies_between_the_ticks_around_it() -> None:
    _, drawing = laid_out(
        TimeChart("c", "t", "share", months([0.5, 0.2, 0.75]), [SEGMENT])
    )
    levels = {text: y for y, text in drawing.levels}
    (mark,) = drawing.marks
    assert levels["20 %"] == mark[2]


def test_a_chart_of_nothing_is_drawn_all_the_same() -> None:
    """The page says why; the macro must not fail on it."""
    nothing = TimeChart("c", "t", "score", months([None, None]), [])
    assert "<svg" in chart_svg(nothing, "Nothing.")
    assert "<svg" in chart_svg(TimeChart("c", "t", "share", [], []), "Nothing.")
    assert "<svg" in chart_svg(BarChart("b", "t", []), "Nothing.")


def test_an_axis_of_shares_ends_where_its_intervals_end() -> None:
    low = DotChart("d", "t", [Dot("a", 0.02, 0.0, 0.09), Dot("b", None, said="hidden")])
    _, laid = laid_out(low)
    assert laid.scale == 0.1
    assert [text for _, text in laid.ticks] == ["0 %", "2.5 %", "5 %", "7.5 %", "10 %"]


def test_a_bar_without_a_label_stands_close_to_its_pair() -> None:
    bars = [Bar("a", (("", 0.5),)), Bar("", ()), Bar("b", ())]
    _, laid = laid_out(BarChart("b", "t", bars, 1.0))
    first, second, third = (y for y, _ in laid.rows)
    assert second - first < third - second
