"""Charts of published examples, through the dbt SQL, to the precision that was printed.

Facts and figures only, each with its source. Where the printed example takes more than the
24 points that a baseline has here, the part of it that fits is taken. No source prints a
funnel of proportions: that is held against scipy in ``tests/property/test_funnel.py``.
"""

from collections.abc import Sequence
from datetime import date
from statistics import fmean

import pytest

from conftest import ROOT
from rapport.settings import Quality
from rapport.warehouse.own_numbers import OwnChart, Point, judged_charts

PROJECT = ROOT / "dbt_project"


def months(n: int) -> list[date]:
    return [date(2001 + k // 12, k % 12 + 1, 1) for k in range(n)]


def values(*of: float) -> list[Point]:
    return [Point(month, v) for month, v in zip(months(len(of)), of, strict=True)]


def counts(of: Sequence[float], out_of: Sequence[float] | float) -> list[Point]:
    sizes = [out_of] * len(of) if isinstance(out_of, int | float) else out_of
    rows = zip(months(len(of)), of, sizes, strict=True)
    return [Point(month, x / n, x, n) for month, x, n in rows]


# Montgomery, Introduction to Statistical Quality Control, example 6.5: cost of processing a
# mortgage loan, 20 weeks (stored in the tests of R qicharts2, ex_6.5_3).
LOANS = values(310, 288, 297, 298, 307, 303, 294, 297, 308, 306,
               294, 299, 297, 299, 314, 295, 293, 306, 301, 304)  # fmt: skip
# Example 7.1: cans of orange juice, samples 31 to 54 of 50 (R qcc, orangejuice).
JUICE = counts([9, 6, 12, 5, 6, 4, 6, 3, 7, 6, 2, 4,
                3, 6, 5, 4, 8, 5, 6, 7, 5, 6, 3, 5], 50)  # fmt: skip
# Example 7.3: nonconformities in 100 circuit boards; 26 samples but 6 and 20, then 20 more
# (R qcc, circuit; qicharts2, ex_7.3_3).
BOARDS = counts([21, 24, 16, 12, 15, 28, 20, 31, 25, 20, 24, 16, 19, 10, 17, 13, 22, 18,
                 30, 24, 16, 19, 17, 15, 16, 18, 12, 15, 24, 21, 28, 20, 25, 19, 18, 21,
                 16, 22, 19, 12, 14, 9, 16, 21], 1)  # fmt: skip
# Example 7.4: errors in 50 shipments a week, 20 weeks (qicharts2, ex_7.4_1).
SHIPMENTS = counts([2, 3, 8, 1, 1, 4, 1, 4, 5, 1, 8, 2, 4, 3, 4, 1, 8, 3, 7, 4], 50)
# Example 7.5: ten rolls of dyed cloth, in units of 50 square metres (qicharts2, ex_7.5_1).
# Ten are too few for limits here, so they are taken twice: it moves no limit.
CLOTH = counts([14, 12, 20, 11, 7, 10, 21, 16, 19, 23] * 2,
               [10, 8, 13, 10, 9.5, 10, 12, 10.5, 12, 12.5] * 2)  # fmt: skip
# Mohammed, Panesar, Laney & Wilson 2013, BMJ Qual Saf 22:362: patients seen within four
# hours, 20 weeks (qicharts2, nhs_accidents; its documentation prints the limits).
SEEN = counts(
    [266501, 264225, 276532, 281461, 269071, 261215, 270409, 279778, 270483, 270320,
     267923, 271478, 255353, 256820, 261835, 259144, 255910, 260863, 264465, 260989],
    [280443, 276823, 291681, 296155, 282343, 275888, 283867, 295251, 284468, 282529,
     279618, 283932, 266629, 268091, 276803, 271578, 266005, 273520, 278574, 273772],
)  # fmt: skip
# Hospital infections with C. difficile by days at risk, 24 months (qicharts2, hai_2).
INFECTIONS = counts(
    [72, 74, 75, 69, 52, 45, 45, 51, 46, 47, 69, 58,
     50, 62, 73, 65, 59, 49, 47, 48, 46, 62, 42, 57],
    [102690.625, 93460.875, 102149.166667, 95147.958333, 98588.0, 95000.958333, 86428.0,
     88625.958333, 93941.125, 96145.708333, 95115.5, 92736.416667, 95611.25,
     90783.208333, 95958.416667, 94511.0, 93146.083333, 90784.166667, 83655.041667,
     86682.0, 91137.666667, 93387.75, 85798.583333, 85006.875],
)  # fmt: skip
# Twenty normal numbers of R, set.seed(123); NHSRplotthedots prints their limits
# (tests/testthat/_snaps/ptd_spc_standard.md).
NORMAL = [-0.56047565, -0.23017749, 1.55870831, 0.07050839, 0.12928774, 1.71506499,
          0.46091621, -1.26506123, -0.68685285, -0.44566197, 1.22408180, 0.35981383,
          0.40077145, 0.11068272, -0.55584113, 1.78691314, 0.49785048, -1.96661716,
          0.70135590, -0.47279141]  # fmt: skip
OUTLYING = [*NORMAL[:14], 10, *NORMAL[15:]]
# Anhøj & Mohammed, Mastering Statistical Process Control Charts in Healthcare, chapter on
# the screened I chart: 24 values, whose ranges' mean is 5 and, screened, 4.45.
SCREENED = values(18, 16, 8, 9, 10, 11, 26, 14, 15, 14, 18, 19,
                  18, 11, 28, 20, 16, 17, 12, 13, 24, 16, 15, 11)  # fmt: skip
# Two points near the limits on two sides (NHSRplotthedots, test-ptd_spc_standard.R).
OPPOSITE = values(*[1, -1] * 7, 5.5, -5.5)
# Longest run and fewest crossings that chance allows (Anhøj & Olesen 2014), for 10 to 100
# useful points (qicharts2, appendix 2 of its documentation).
LONGEST = "6 6 7 7 7 7 7 7 7 7 7 7 7" + " 8" * 23 + " 9" * 45 + " 10" * 10
FEWEST = """
2 2 3 3 4 4 4 5 5 6 6 6 7 7 8 8 8 9 9 10 10 11 11 11 12 12 13 13 14 14 14 15 15 16 16 17
17 17 18 18 19 19 20 20 21 21 21 22 22 23 23 24 24 25 25 25 26 26 27 27 28 28 29 29 29 30
30 31 31 32 32 33 33 34 34 34 35 35 36 36 37 37 38 38 39 39 39 40 40 41 41
"""

CHARTS = {
    "loans": ("xmr", "up", LOANS),
    "juice": ("p", "down", JUICE),
    "boards": ("u", "down", BOARDS),
    "shipments": ("u", "down", SHIPMENTS),
    "cloth": ("u", "down", CLOTH),
    "seen_p": ("p", "up", SEEN),
    "seen_p_prime": ("p_prime", "up", SEEN),
    "infections": ("u", "down", INFECTIONS),
    "infections_run": ("run", "down", INFECTIONS),
    "normal": ("xmr", "up", values(*NORMAL)),
    "outlying": ("xmr", "up", values(*OUTLYING)),
    "screened": ("xmr", "up", SCREENED),
    "opposite": ("xmr", "up", OPPOSITE),
}


def judge(
    charts: Sequence[OwnChart], rules: Quality
) -> dict[str, tuple[dict, list[dict]]]:
    """Return the row of ``qi.spc_series`` and those of ``qi.spc_point``, by chart."""
    with judged_charts(PROJECT, charts, rules) as con:
        said = {}
        for name in [chart.chart_id for chart in charts]:
            tables = []
            for table in ("spc_series", "spc_point"):
                rows = con.execute(
                    f"select * from qi.{table} where chart_id = '{name}' order by all"
                )
                columns = [column[0] for column in rows.description]
                tables.append(
                    [dict(zip(columns, r, strict=True)) for r in rows.fetchall()]
                )
            said[name] = (tables[0][0], tables[1])
    return said


@pytest.fixture(scope="module")
def judged() -> dict[str, tuple[dict, list[dict]]]:
    charts = [OwnChart(name, *CHARTS[name]) for name in CHARTS]
    return judge(charts, Quality())


@pytest.fixture(scope="module")
def unscreened() -> dict[str, tuple[dict, list[dict]]]:
    charts = [OwnChart(name, *CHARTS[name]) for name in CHARTS]
    rules = Quality(screen_moving_ranges=False, shift_points=7, trend_points=7)
    return judge(charts, rules)


def test_individuals_of_montgomery_6_5(judged: dict) -> None:
    series, points = judged["loans"]
    assert (series["limits"], series["n_points"]) == ("trial", 20)
    assert (series["cl"], round(series["mr_bar"], 2)) == (300.5, 7.79)
    assert {(round(p["lcl"], 2), round(p["ucl"], 2)) for p in points} == {
        (279.78, 321.22)
    }


def test_shares_of_montgomery_7_1(judged: dict) -> None:
    """The lower limit would be −0.0224, and is cut off at 0."""
    series, points = judged["juice"]
    assert (series["limits"], round(series["cl"], 4)) == ("fixed", 0.1108)
    assert (series["sigma_z"], series["sigma_z_raw"], series["screening"]) == (
        1,
        1,
        "off",
    )
    assert {(p["lcl"], round(p["ucl"], 4)) for p in points} == {(0, 0.2440)}


def test_counts_of_montgomery_7_3(judged: dict) -> None:
    series, points = judged["boards"]
    assert (series["limits"], series["baseline_points"]) == ("fixed", 24)
    assert round(series["cl"], 2) == 19.67
    assert {(round(p["lcl"], 2), round(p["ucl"], 2)) for p in points} == {(6.36, 32.97)}
    assert {p["rule"] == "outside" for p in points} == {False}


def test_rates_of_montgomery_7_4(judged: dict) -> None:
    series, points = judged["shipments"]
    assert round(series["cl"], 4) == 0.0740
    assert {(p["lcl"], round(p["ucl"], 4)) for p in points} == {(0, 0.1894)}
    runs = (
        "run_n_useful",
        "run_longest",
        "run_longest_max",
        "run_crossings",
        "run_crossings_min",
    )
    assert tuple(series[name] for name in runs) == (20, 2, 7, 15, 6)
    assert series["run_signal"] is False


def test_rates_of_montgomery_7_5_with_sizes_that_vary(judged: dict) -> None:
    series, points = judged["cloth"]
    assert round(series["cl"], 2) == 1.42
    printed = [(0.29, 2.56), (0.16, 2.69), (0.43, 2.42), (0.29, 2.56), (0.26, 2.58),
               (0.29, 2.56), (0.39, 2.46), (0.32, 2.53), (0.39, 2.46), (0.41, 2.44)]  # fmt: skip
    told = [(round(p["lcl"], 2), round(p["ucl"], 2)) for p in points]
    assert told == printed * 2
    assert points[4]["denominator"] == 9.5


def test_the_p_prime_chart_of_laneys_example(judged: dict) -> None:
    """A p chart calls 16 of 20 weeks unusual, a p′ chart none."""
    series, points = judged["seen_p"]
    assert round(series["cl"], 5) == 0.95290
    assert (round(points[-1]["lcl"], 5), round(points[-1]["ucl"], 5)) == (
        0.95169,
        0.95411,
    )
    assert sum(p["rule"] == "outside" for p in points) == 16
    series, points = judged["seen_p_prime"]
    assert round(series["cl"], 5) == 0.95290
    assert (round(points[-1]["lcl"], 5), round(points[-1]["ucl"], 5)) == (
        0.93997,
        0.96582,
    )
    assert {p["rule"] for p in points} == {"none"}
    assert series["sigma_z"] == series["sigma_z_raw"] > 10


def test_rates_by_days_and_their_runs(judged: dict) -> None:
    series, points = judged["infections"]
    assert series["cl"] == pytest.approx(0.0006121736776696678, rel=1e-9)
    low, high = (fmean(p[name] for p in points) for name in ("lcl", "ucl"))
    assert low == pytest.approx(0.0003682219818656593, rel=1e-9)
    assert high == pytest.approx(0.0008561253734736764, rel=1e-9)
    run, points = judged["infections_run"]
    runs = (
        "run_n_useful",
        "run_longest",
        "run_longest_max",
        "run_crossings",
        "run_crossings_min",
    )
    assert tuple(run[name] for name in runs) == (24, 6, 8, 8, 8)
    assert (run["limits"], run["reason"], run["cl"]) == ("none", "run_chart", None)
    assert run["variation"] == "run_common_cause"
    assert {(p["limits"], p["rule"]) for p in points} == {("none", None)}


def test_the_limits_that_nhsrplotthedots_stores(judged: dict, unscreened: dict) -> None:
    printed = {
        ("normal", True): (0.1416238, -3.01138, 3.294627),
        ("outlying", True): (0.6694159, -2.383666, 3.722497),
        ("outlying", False): (0.6694159, -4.596625, 5.935457),
    }
    for (name, is_screened), limits in printed.items():
        series, points = (judged if is_screened else unscreened)[name]
        told = (series["cl"], points[0]["lcl"], points[0]["ucl"])
        assert told == pytest.approx(limits, rel=5e-7)
    assert judged["normal"][0]["screening"] == "none"
    assert judged["outlying"][0]["screening"] == "applied"
    assert unscreened["outlying"][0]["screening"] == "off"


def test_two_points_near_two_limits_are_no_signal(
    unscreened: dict, judged: dict
) -> None:
    for found in (judged, unscreened):
        points = found["opposite"][1]
        assert [p["icon"] for p in points[-2:]] == ["common_cause", "common_cause"]


def test_screening_takes_the_freak_range_out(judged: dict, unscreened: dict) -> None:
    series, points = judged["screened"]
    assert (round(series["cl"], 1), round(series["mr_bar"], 2)) == (15.8, 4.45)
    assert series["screening"] == "applied"
    assert [n for n, p in enumerate(points, 1) if p["rule"] == "outside"] == [15]
    series, points = unscreened["screened"]
    assert series["mr_bar"] == 5
    assert "outside" not in {p["rule"] for p in points}


def test_assurance_is_that_of_nhsrplotthedots() -> None:
    """Above the upper limit: missed when more is better, met when less is."""
    asked = [
        ("loans", 330),
        ("loans", 270),
        ("loans", 300),
        ("juice", 0.5),
        ("juice", 0.2),
    ]
    charts = [
        OwnChart(f"{name} {target}", *CHARTS[name], target=target)
        for name, target in asked
    ]
    told = {
        name: said[0]["assurance"] for name, said in judge(charts, Quality()).items()
    }
    assert told == {
        "loans 330": "consistently_misses",
        "loans 270": "consistently_meets",
        "loans 300": "hit_or_miss",
        "juice 0.5": "consistently_meets",
        "juice 0.2": "hit_or_miss",
    }


def test_bounds_of_runs_are_those_that_were_published() -> None:
    seed = (PROJECT / "seeds" / "run_chart_bound.csv").read_text().splitlines()[1:]
    bounds = {int(n): (int(a), int(b)) for n, a, b in (row.split(",") for row in seed)}
    printed = zip(map(int, LONGEST.split()), map(int, FEWEST.split()), strict=True)
    assert [bounds[n] for n in range(10, 101)] == list(printed)
