"""A. From a form's answers to its scores."""

import pytest

from spec.conftest import SUM_ITEMS, Clinic, Night, Shown, answers, given, wai


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
    for k, (instrument, values, _, _) in enumerate(MISSING):
        clinic.form(missing_case(k), instrument, "2026-01-01", values)
    for instrument, total, _ in REPORTED:
        clinic.form(
            f"a4 {instrument} {total}", instrument, "2026-01-01", {}, total=total
        )


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
    """A1: `WAI-S` reverses items 4 and 10. A4.2: reverse: `min + max − v`."""
    """A1, A4.2: WAI-S items 4 and 10 are reversed: min + max − v."""
    sql = ("select subscale, score from core.fct_measure_score where client_key = @"
           " and subscale <> 'total' order by 1")  # fmt: skip
    assert night.of("wais", sql) == [("bond", 7.0), ("goal", 4.0), ("task", 7.0)]


def score_of(shown: Shown, subscale: str = "total") -> tuple:
    (row,) = shown.of(
        "select round(score, 6), n_answered, n_items, score_origin, invalid_reason"
        f" from core.fct_measure_score where client_key = @ and subscale = '{subscale}'"
    )
    return row


def filled(instrument: str, values: dict[str, object], **said: str):
    """Draw one form of a client on New Year's Day 2026."""

    def draw(clinic: Clinic, client: str) -> None:
        clinic.form(client, instrument, "2026-01-01", values, **said)

    return draw


def first(instrument: str, n_items: int, value: float = 1) -> dict[str, object]:
    """Return answers to the first items of a scale."""
    return dict.fromkeys(SUM_ITEMS[instrument][:n_items], value)


# --- A, A1: instruments and their names ---------------------------------------------


@given(filled("phq_9", first("PHQ-9", 9)), name="phq")
@given(filled(" wai srt ", wai(4, 4, 4), rater="therapist"), name="alias")
@given(filled("mood check", {"1": 1}), name="unknown")
@given(filled("SRS", answers("SRS", "36")), name="srs")
@given(filled("OQ-45", answers("OQ-45", "60")), name="oq")
@given(filled("WAI-SR", wai(4, 4, 4), version="2.b"), name="version")
def test_instruments_are_normalised_and_versions_pass_through(shown: Shown) -> None:
    """`measures.instrument` is normalised: upper case; spaces and `_` become `-`. The
    published instrument is the canonical code (an alias: `WAI-SR`, rater as delivered), of
    an unknown instrument `unknown`. `version` passes through; when null it takes the
    registry's default (`1`; SRS `3.0`; OQ-45 `2`)."""
    said = {
        name: shown[name].of(
            "select distinct instrument, version, rater from core.fct_measure_score"
            " where client_key = @"
        )
        for name in ("phq", "alias", "unknown", "srs", "oq", "version")
    }
    assert said == {
        "phq": [("PHQ-9", "1", "client")],
        "alias": [("WAI-SR", "1", "therapist")],
        "unknown": [("unknown", None, "client")],
        "srs": [("SRS", "3.0", "client")],
        "oq": [("OQ-45", "2", "client")],
        "version": [("WAI-SR", "2.b", "client")],
    }


@given(filled("SRS", answers("SRS", "36"), rater="therapist"), name="srs")
@given(filled("PHQ-9", first("PHQ-9", 9), rater="therapist"), name="outcome")
@given(filled("WAI-SRT", wai(4, 4, 4), rater="observer"), name="alias")
@given(filled("PCL-5", first("PCL-5", 20), rater="observer"), name="observer")
def test_a_rater_outside_the_table_is_wrong(shown: Shown) -> None:
    """A4.1: alias or rater that contradicts the registry: one `total` row, score null,
    `n_answered` 0, `n_items` and origin null. Observers: WAI only (under an alias of the
    therapist form: `wrong_rater`)."""
    for name in ("srs", "outcome", "alias", "observer"):
        assert score_of(shown[name]) == (None, 0, None, None, "wrong_rater"), name


@given(filled("WAI-SR", wai(4, 3, 5), rater="observer"))
def test_an_observers_rating_is_scored_and_used_nowhere_else(shown: Shown) -> None:
    """A1: observer ratings of the WAI are scored and published but used nowhere else."""
    assert score_of(shown) == (4.0, 12, 12, "items", None)
    assert score_of(shown, "bond") == (5.0, 4, 4, "items", None)
    assert shown.sessions("session_number") == []


@given(filled("SRS", {"1": 80, "2": 70.5, "3": 90}), name="three")
@given(filled("SRS", {"1": 80, "2": 70.5, "3": 90, "4": 100}), name="four")
def test_each_item_of_the_srs_stands_alone(shown: Shown) -> None:
    """SRS: mm ÷ 10; item 4 is the subscale `overall`; every item for the total; each SRS
    item row stands alone."""
    assert score_of(shown["three"]) == (
        None,
        3,
        4,
        "prorated",
        "too_many_missing",
    )
    assert [
        score_of(shown["three"], part) for part in ("bond", "goal", "task", "overall")
    ] == [
        (8.0, 1, 1, "items", None),
        (7.05, 1, 1, "items", None),
        (9.0, 1, 1, "items", None),
        (None, 0, 1, "prorated", "too_many_missing"),
    ]
    assert score_of(shown["four"]) == (34.05, 4, 4, "items", None)


TWELVE = {str(k): 4 for k in range(1, 13)}
TEN = {str(k): 4 for k in range(1, 11)}


@given(filled("WAI-SR", {**TEN, "11": 99}, rater="therapist"), name="out_of_range")
@given(filled("WAI-SR", TEN), name="client")
@given(filled("WAI-SR", {**TEN, "9": "", "12": 4}, rater="therapist"), name="other_ten")
def test_the_ten_item_form_is_never_scored_with_the_twelve_item_key(
    shown: Shown,
) -> None:
    """A therapist WAI-SR form whose answered ids are exactly 1–10: all its rows are
    invalid (`form_mismatch`, score null; counts and origin as in A4)."""
    assert score_of(shown["out_of_range"]) == (
        None,
        10,
        12,
        "prorated",
        "form_mismatch",
    )
    assert score_of(shown["out_of_range"], "bond") == (
        None,
        4,
        4,
        "items",
        "form_mismatch",
    )
    assert score_of(shown["client"]) == (4.0, 10, 12, "prorated", None)
    assert score_of(shown["other_ten"]) == (4.0, 10, 12, "prorated", None)


# --- A2: missing rules --------------------------------------------------------------

MISSING = [
    ("PCL-5", first("PCL-5", 16, 2), "total", (40.0, 16, 20, "prorated", None)),
    ("PCL-5", first("PCL-5", 15, 2), "total", (None, 15, 20, "prorated", "too_many_missing")),
    ("PCL-5", first("PCL-5", 4, 2), "b", (10.0, 4, 5, "prorated", None)),
    ("PCL-5", first("PCL-5", 3, 2), "b", (None, 3, 5, "prorated", "too_many_missing")),
    ("PCL-5", first("PCL-5", 6, 2), "c", (None, 1, 2, "prorated", "too_many_missing")),
    ("PCL-5", first("PCL-5", 13, 2), "d", (14.0, 6, 7, "prorated", None)),
    ("PCL-5", first("PCL-5", 19, 2), "e", (12.0, 5, 6, "prorated", None)),
    ("PHQ-9", {**first("PHQ-9", 7, 1), "1": 3, "2": 2}, "total",
     (round(10 / 7 * 9, 6), 7, 9, "prorated", None)),
    ("PHQ-9", first("PHQ-9", 6), "total", (None, 6, 9, "prorated", "too_many_missing")),
    ("GAD-7", first("GAD-7", 6), "total", (7.0, 6, 7, "prorated", None)),
    ("GAD-7", first("GAD-7", 5), "total", (None, 5, 7, "prorated", "too_many_missing")),
    ("CORE-10", first("CORE-10", 10, 0), "total", (8.0, 10, 10, "items", None)),
    ("CORE-10", first("CORE-10", 9, 0), "total", (round(80 / 9, 6), 9, 10, "prorated", None)),
    ("CORE-10", first("CORE-10", 8), "total", (None, 8, 10, "prorated", "too_many_missing")),
    ("OQ-45", dict.fromkeys(SUM_ITEMS["OQ-45"], 4), "total", (144.0, 45, 45, "items", None)),
    ("OQ-45", {k: 1 for k in SUM_ITEMS["OQ-45"] if k not in ("7", "4", "2", "3")}, "total",
     None),
    ("OQ-45", {k: 1 for k in SUM_ITEMS["OQ-45"] if k not in ("7", "16")}, "total",
     (None, 43, 45, "prorated", "subscale_invalid")),
    ("OQ-45", {k: 1 for k in SUM_ITEMS["OQ-45"] if k not in ("4", "14")}, "sr",
     (None, 7, 9, "prorated", "too_many_missing")),
    ("OQ-45", {k: 1 for k in SUM_ITEMS["OQ-45"] if k not in ("2", "3", "5")}, "sd",
     (None, 22, 25, "prorated", "too_many_missing")),
    ("ORS", {"1": 55.5, "2": 40, "3": 30, "4": 20}, "total", (14.55, 4, 4, "items", None)),
    ("ORS", {"1": 55.5, "2": 40, "3": 30}, "total",
     (None, 3, 4, "prorated", "too_many_missing")),
    ("ITQ", {**first("ITQ", 12, 2), "P7": 4, "C9": 4}, "total", (24.0, 12, 12, "items", None)),
    ("ITQ", first("ITQ", 11, 2), "total", (None, 11, 12, "prorated", "subscale_invalid")),
    ("ITQ", first("ITQ", 11, 2), "ptsd", (12.0, 6, 6, "items", None)),
    ("ITQ", {"P7": 4}, "total", (None, 0, 12, "items", "no_items")),
]  # fmt: skip


def _oq_prorated() -> tuple:
    """Each subscale's answered mean times its items; reversed 1 scores 3."""
    ir = (10 - 4 + 4 * 3) / 10 * 11
    sr = (8 - 2 + 2 * 3) / 8 * 9
    sd = (23 - 3 + 3 * 3) / 23 * 25
    return (round(ir + sr + sd, 6), 41, 45, "prorated", None)


def missing_case(k: int) -> str:
    return f"a2 case {k}"


@pytest.mark.parametrize("k", range(len(MISSING)))
def test_missing_items_are_prorated_up_to_the_rule(night: Night, k: int) -> None:
    """A2: "Prorated" sum = mean of the answered items × number of items, not rounded; too
    few answered: score null, `is_valid` false, `too_many_missing` (a total that fails
    because a subscale failed — WAI, OQ-45, ITQ: `subscale_invalid`)."""
    _, _, subscale, expected = MISSING[k]
    shown = night.of(
        missing_case(k),
        "select round(score, 6), n_answered, n_items, score_origin, invalid_reason,"
        " is_valid from core.fct_measure_score where client_key = @"
        f" and subscale = '{subscale}'",
    )
    expected = expected or _oq_prorated()
    assert shown == [(*expected, expected[0] is not None)]


def test_the_subscales_of_a_form_are_all_there(night: Night) -> None:
    """A4.3: if at least one scored item is answered: one row for each subscale and one
    `total`."""
    sql = (
        "select string_agg(subscale, ' ' order by subscale) from core.fct_measure_score"
        " where client_key = @"
    )
    assert night.of("a2 case 0", sql) == [("b c d e total",)]
    assert night.of("a2 case 14", sql) == [("ir sd sr total",)]
    assert night.of("a2 case 24", sql) == [("total",)]


# --- A4: answers and reported totals ------------------------------------------------

ANSWERS = {
    "1": -9,
    "2": 99,
    "3": "1.5",
    "4": "",
    "5": "n/a",
    "6": "2.0",
    "07": 2,
    " 8 ": 2,
}


@given(filled("PHQ-9", {**ANSWERS, "9": 2}))
def test_any_other_value_is_not_answered(shown: Shown) -> None:
    """A4.2: an item is answered when its value parses as a finite number, lies in range
    and is an integer. Any other value (empty, unparsable, −9, 99, a fraction of an integer
    item) is not answered, and is counted as a check. `item` must equal a registry item id
    after trimming and removing leading zeros."""
    assert score_of(shown) == (None, 4, 9, "prorated", "too_many_missing")
    for finding in ("item_out_of_range", "item_empty", "item_not_a_number"):
        assert shown.night.finding(finding) >= 1, finding


@given(filled("WAI-SR", {**TWELVE, "13": 5, "mood": 1}), name="alliance")
@given(filled("PHQ-9", {**first("PHQ-9", 9), "12": 3}), name="outcome")
def test_ids_that_the_instrument_lacks_are_ignored_and_counted(shown: Shown) -> None:
    """A: other ids are ignored and counted."""
    assert score_of(shown["alliance"]) == (4.0, 12, 12, "items", None)
    assert score_of(shown["outcome"]) == (9.0, 9, 9, "items", None)
    assert shown.night.finding("item_unknown") >= 2


REPORTED = [
    ("WAI-SR", "1", 1.0), ("WAI-SR", "5", 5.0), ("WAI-SR", "12", 1.0), ("WAI-SR", "60", 5.0),
    ("WAI-SR", "61", None), ("WAI-SR", "5.1", None), ("WAI-SR", "11", None),
    ("WAI-S", "7", 7.0), ("WAI-S", "84", 7.0), ("WAI-S", "85", None), ("WAI-S", "8", None),
    ("SRS", "40", 40.0), ("SRS", "0", 0.0), ("SRS", "40.5", None),
    ("ORS", "40", 40.0), ("ORS", "-1", None),
    ("PCL-5", "80", 80.0), ("PCL-5", "81", None), ("PHQ-9", "27", 27.0),
    ("PHQ-9", "28", None), ("GAD-7", "21", 21.0), ("CORE-10", "40", 40.0),
    ("OQ-45", "180", 180.0), ("OQ-45", "181", None), ("ITQ", "48", 48.0),
]  # fmt: skip


@pytest.mark.parametrize(("instrument", "total", "score"), REPORTED)
def test_a_reported_total_counts_within_its_range(
    night: Night, instrument: str, total: str, score: float | None
) -> None:
    """A4.4: no scored item answered, with `total_reported`: origin `reported`. Range: sum
    scales 0–max; SRS and ORS 0–40; WAI-SR 1–5 taken as a mean or 12–60 as a sum (÷ 12);
    WAI-S 1–7 or 12–84 (÷ 12). Outside: score null, `reported_out_of_range`."""
    assert night.of(
        f"a4 {instrument} {total}",
        "select subscale, score, n_answered, score_origin, invalid_reason"
        " from core.fct_measure_score where client_key = @",
    ) == [
        (
            "total",
            score,
            0,
            "reported",
            None if score is not None else "reported_out_of_range",
        )
    ]


@given(filled("WAI-SR", TWELVE, total="36"), name="both")
@given(filled("WAI-SR", {str(k): 4 for k in range(1, 8)}, total="28"), name="too_few")
def test_items_win_over_a_reported_total(shown: Shown) -> None:
    """A4.5: items win; a difference > 0.05 is a warning check. A reported total never
    rescues a form with too many missing items."""
    assert score_of(shown["both"]) == (4.0, 12, 12, "items", None)
    assert score_of(shown["too_few"]) == (None, 7, 12, "prorated", "subscale_invalid")
    assert shown.night.finding("total_disagrees_with_items") >= 1


def test_the_registry_is_published_whole(night: Night) -> None:
    """A: the registry is data, published as `core.dim_instrument`; item wording is never
    stored: item ids only."""
    rows = night.con.execute(
        "select instrument, count(*) filter (where subscale = 'total'), count(distinct"
        " rater), bool_and(citation is not null and item_list is not null)"
        " from core.dim_instrument group by 1 order by 1"
    ).fetchall()
    assert rows == [
        ("CORE-10", 1, 1, True), ("GAD-7", 1, 1, True), ("ITQ", 1, 1, True),
        ("OQ-45", 1, 1, True), ("ORS", 1, 1, True), ("PCL-5", 1, 1, True),
        ("PHQ-9", 1, 1, True), ("PSQ", 0, 2, True), ("RAP-S", 0, 1, True),
        ("RAP-T", 0, 1, True), ("SRS", 1, 1, True), ("WAI-S", 3, 3, True),
        ("WAI-SR", 3, 3, True),
    ]  # fmt: skip
    said = night.con.execute(
        "select instrument, reliable_change, clinical_cut, functional_cut,"
        " functional_rule, direction from core.dim_instrument"
        " where subscale = 'total' and rater = 'client' order by 1"
    ).fetchall()
    assert said == [
        ("CORE-10", 6, 11, 11, "below", "lower_better"),
        ("GAD-7", 4, 8, 8, "below", "lower_better"),
        ("ITQ", None, None, None, None, "lower_better"),
        ("OQ-45", 14, 64, 63, "up_to", "lower_better"),
        ("ORS", 5, 25, 25, "from", "higher_better"),
        ("PCL-5", 15, 33, 28, "up_to", "lower_better"),
        ("PHQ-9", 6, 10, 10, "below", "lower_better"),
        ("SRS", 4.8, None, None, None, "higher_better"),
        ("WAI-S", 0.9204, None, None, None, "higher_better"),
        ("WAI-SR", 0.6136, None, None, None, "higher_better"),
    ]
