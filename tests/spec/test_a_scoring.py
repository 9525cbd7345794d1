"""A. From a form's answers to its scores."""

import pytest

from spec.conftest import Clinic, Night, wai


def cases(clinic: Clinic) -> None:
    full = {str(k): 1 for k in range(1, 21)}
    clinic.form("pcl", "PCL-5", "2026-01-01", full)
    clinic.form("pcl4", "PCL-5", "2026-01-01", dict(list(full.items())[:16]))
    clinic.form("pcl5", "PCL-5", "2026-01-01", dict(list(full.items())[:15]))
    odd = {**full, "1": 9, "2": "1.5", "3": "n/a", "04": 1}
    clinic.form("odd", "pcl_5", "2026-01-01", odd)
    clinic.form("sum", "WAI-SR", "2026-01-01", {}, total="42")
    clinic.form("mean", "WAI-SR", "2026-01-01", {}, total="3.5")
    clinic.form("outside", "WAI-SR", "2026-01-01", {}, total="9")
    clinic.form("nothing", "WAI-SR", "2026-01-01", {})
    clinic.form("mood", "MOOD", "2026-01-01", {"1": 1})
    clinic.form("alias", "WAI-SRT", "2026-01-01", wai(4, 4, 4), rater="client")
    ten = {str(k): 4 for k in range(1, 11)}
    clinic.form("ten", "WAI-SRT", "2026-01-01", ten, rater="therapist")
    clinic.form("srs", "SRS", "2026-01-01", {"1": 91.5, "2": 90, "3": 88, "4": 92})
    clinic.form("wais", "WAI-S", "2026-01-01", {str(k): 7 for k in range(1, 13)})
    three = {k: v for k, v in wai(4, 4, 4).items() if k != "4"}
    clinic.form("three", "WAI-SR", "2026-01-01", three)
    two = {k: v for k, v in three.items() if k != "6"}
    clinic.form("two", "WAI-SR", "2026-01-01", two)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("pcl", (20.0, 20, 20, "items", None)),
        ("pcl4", (20.0, 16, 20, "prorated", None)),
        ("pcl5", (None, 15, 20, "prorated", "too_many_missing")),
        ("odd", (20.0, 17, 20, "prorated", None)),
        ("sum", (3.5, 0, 12, "reported", None)),
        ("mean", (3.5, 0, 12, "reported", None)),
        ("outside", (None, 0, 12, "reported", "reported_out_of_range")),
        ("nothing", (None, 0, 12, "items", "no_items")),
        ("mood", (None, 0, None, None, "unknown_instrument")),
        ("alias", (None, 0, None, None, "wrong_rater")),
        ("ten", (None, 10, 12, "prorated", "form_mismatch")),
        ("srs", (36.15, 4, 4, "items", None)),
        ("wais", (6.0, 12, 12, "items", None)),
        ("three", (4.0, 11, 12, "prorated", None)),
        ("two", (None, 10, 12, "prorated", "subscale_invalid")),
    ],
)
def test_a_total_is_scored_by_its_rule(
    night: Night, client: str, expected: tuple
) -> None:
    """A4: items, proration, reported totals, and each reason why there is no score."""
    score, *rest = night.total(client)
    assert tuple(rest) == expected[1:]
    assert score == (None if expected[0] is None else pytest.approx(expected[0]))


def test_wai_s_reverses_two_goal_and_task_items(night: Night) -> None:
    """A1, A4.2: WAI-S items 4 and 10 are reversed: min + max − v."""
    sql = ("select subscale, score from core.fct_measure_score where client_key = @"
           " and subscale <> 'total' order by 1")  # fmt: skip
    assert night.of("wais", sql) == [("bond", 7.0), ("goal", 4.0), ("task", 7.0)]
