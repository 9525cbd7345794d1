"""Each number of a table, and of a sentence, is the one that the quality tables hold."""

import html
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
import pytest

from browser.conftest import LAID, PAGES, Shown
from lib.chromium import Visit

Show = Callable[[str], Shown]
NUMBER = re.compile(r"^[−-]?[\d,]+(\.\d+)?( %)?$")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August",
    "September", "October", "November", "December",
)  # fmt: skip
# The last month, or period, that is over and settled.
SETTLED = "not is_partial order by {} desc limit 1"


# --- what a page should write ---------------------------------------------------------


def rounded(value: float, digits: int) -> Decimal:
    """Round half up, float noise past the ninth decimal left out."""
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-9), ROUND_HALF_UP)
    return exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def share(value: float | None) -> str:
    """Return a share in whole per cent; null is hidden or of nothing."""
    return "NULL" if value is None else f"{rounded(value * 100, 0)} %"


def month_of(day: date) -> str:
    return f"{MONTHS[day.month - 1]} {day.year}"


def shows(text: str, value: Any) -> bool:
    """Tell whether a cell is what its page should write of a value."""
    if value is None:
        return text in {"–", "", "hidden"}
    if isinstance(value, bool):
        return text.lower() in {"yes" if value else "no", str(value).lower()}
    if isinstance(value, date):
        return text in {value.isoformat(), f"{value:%Y-%m}"}
    if isinstance(value, str):
        return text.casefold() == value.replace("_", " ").casefold()
    if not NUMBER.match(text):
        return False
    is_share = text.endswith(" %")
    number = text.removesuffix(" %").replace(",", "").replace("−", "-")
    digits = len(number.partition(".")[2])
    if isinstance(value, int) and not is_share:
        return digits == 0 and int(number) == value
    return any(
        Decimal(number) == rounded(value * times, digits)
        for times in ((100,) if is_share else (1, 100))  # a rate per 100
    )


def test_a_cell_is_judged_by_its_own_decimals() -> None:
    assert shows("79 %", 0.785) and not shows("78 %", 0.785)
    assert shows("3.7", 3.65) and not shows("3.6", 3.65)
    assert shows("1,204", 1204) and not shows("1,203", 1204)
    assert shows("–", None) and not shows("0", None) and not shows("–", 0)
    assert shows("−0.2", -0.24) and not shows("−0.3", -0.24)


# --- tables ----------------------------------------------------------------------------


@contextmanager
def asked(of: Shown) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Lend a reader of the snapshot: rows by column name."""
    with duckdb.connect(of.snapshot, read_only=True) as con:

        def rows(query: str, *arguments: object) -> list[dict[str, Any]]:
            found = con.execute(query, list(arguments))
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

        yield rows


def _clinics(rows: Callable[..., list[dict[str, Any]]]) -> dict[str, str]:
    """Return the clinic's key by what a figure calls it: its place in order of name."""
    found = rows(
        "select clinic_key from core.dim_clinic order by clinic_name, clinic_key"
    )
    keys = [row["clinic_key"] for row in found]
    places = {str(n): key for n, key in enumerate([*keys, "unknown"], start=1)}
    return {"all": "all", **places}


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_hold_the_rows_of_the_quality_tables(
    visited: Callable[[str, str], Visit], shown: Show, page: str
) -> None:
    """Tables of a chart over time are held row for row; the others row by row."""
    n_cells = 0
    with asked(shown("plain")) as rows:
        clinics = _clinics(rows)
        said = visited("plain", page).said
        for figure in said["figures"]:
            assert figure["tables"], figure["id"]
            for table in figure["tables"]:
                if table["from"] == "qi.spc_point":
                    n_cells += _holds_chart(rows, clinics, figure, table)
        for table in said["tables"]:
            source = table["from"] or ""
            if source.startswith("qi.") and source != "qi.spc_point":
                n_cells += _holds_rows(rows, table)
    assert n_cells > 50 or page in {"index", "glossary", "quality"}


def _holds_chart(
    rows: Callable[..., list[dict[str, Any]]],
    clinics: dict[str, str],
    figure: dict[str, Any],
    table: dict[str, Any],
) -> int:
    points = rows(
        "select * from qi.spc_point where chart_id = ? and clinic_key = ? order by month",
        figure["chart"],
        clinics[figure["clinic"]],
    )
    assert points, figure["id"]
    by_month = {f"{point['month']:%Y-%m}": point for point in points}
    n_cells = 0
    for cells in table["rows"]:
        point = by_month[cells[0]]
        for column, text in zip(table["columns"], cells, strict=True):
            if column in point:
                assert shows(text, point[column]), (figure["id"], cells, column)
                n_cells += 1
    assert [cells[0] for cells in table["rows"]] == sorted(c[0] for c in table["rows"])
    return n_cells


def _holds_rows(
    rows: Callable[..., list[dict[str, Any]]], table: dict[str, Any]
) -> int:
    """Find, for each row of the page, a row of its table that reads the same."""
    kept = rows(f"from {table['from']}")
    known = [
        (place, column)
        for place, column in enumerate(table["columns"])
        if column in kept[0] and table["columns"].count(column) == 1
    ]
    for cells in table["rows"]:
        worded = [
            (place, column)
            for place, column in known
            if NUMBER.match(cells[place]) or column in {"month", "period_start"}
        ]
        assert any(
            all(shows(cells[place], row[column]) for place, column in worded)
            for row in kept
        ), (table["caption"], cells)
    return len(table["rows"]) * len(known)


# --- sentences -------------------------------------------------------------------------


def sentences(of: Shown, page: str) -> list[str]:
    """Return what a page says of its charts, and in its first paragraphs."""
    text = of.page(page).read_text("utf-8")
    found = re.findall(
        r"<(?:figcaption|p)[^>]*>(.*?)</(?:figcaption|p)>", text, re.DOTALL
    )
    return [
        re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", said))).strip()
        for said in found
    ]


def told(of: Shown, page: str, *parts: str) -> None:
    """Ask that one sentence of a page holds all the parts."""
    found = sentences(of, page)
    assert any(all(part in said for part in parts) for said in found), (
        parts,
        [said for said in found if parts[0][:12] in said][:3] or found[:6],
    )


def test_completion_is_told_as_it_is(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        for form in ("alliance_client", "alliance_therapist", "outcome_client"):
            [row] = rows(
                "select completion_monthly.*, cl, lcl, ucl, limits from"
                " qi.completion_monthly inner join qi.spc_point using (clinic_key, month)"
                " where clinic_key = 'all' and form = $1 and chart_id = 'completion.' || $1"
                f" and {SETTLED.format('month')}",
                form,
            )
            told(
                plain,
                "completion",
                f": {row['n_complete']:,} of {row['n_sessions']:,} sessions in "
                f"{month_of(row['month'])} ({share(row['completion'])}). Centre "
                f"{share(row['cl'])}, {row['limits']} limits "
                f"{share(row['lcl']).removesuffix(' %')}–{share(row['ucl'])}. ",
            )


def test_the_alliance_is_told_as_it_is(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        for rater, component in [("client", "goal"), ("client", "task"),
                                 ("client", "bond"), ("therapist", "bond")]:  # fmt: skip
            [row] = rows(
                "select alliance_monthly.*, lcl, ucl from qi.alliance_monthly"
                " inner join qi.spc_point using (clinic_key, month) where clinic_key = 'all'"
                " and instrument = 'WAI-SR' and rater = $1 and component = $2"
                " and chart_id = 'alliance.WAI-SR.' || $1 || '.' || $2"
                f" and {SETTLED.format('month')}",
                rater,
                component,
            )
            told(
                plain,
                "alliance",
                f"{rater.capitalize()}-rated {component} on WAI-SR: mean "
                f"{rounded(row['mean_score'], 1)} from {row['n_sessions']:,} sessions in "
                f"{month_of(row['month'])}, usually {rounded(row['lcl'], 1)}–"
                f"{rounded(row['ucl'], 1)}. ",
            )


def test_early_bands_are_told_as_they_are(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        found = rows(
            "from qi.early_alliance where clinic_key = 'all' and not is_partial"
            " and period_start = (select max(period_start) from qi.early_alliance"
            "   where clinic_key = 'all' and band = 'all' and not is_partial"
            "   and not suppressed and n_banded is not null)"
        )
        of = {row["band"]: row for row in found}
        told(
            plain,
            "early",
            f"Of {of['all']['n_banded']:,} episodes begun in ",
            f" with an early alliance, {of['all']['n_weak']:,} "
            f"({share(of['all']['weak_share'])}) were weak. Dropout: weak ",
            f" strong {_hidden(of['strong']['dropout_share'])}.",
        )


def _hidden(value: float | None) -> str:
    return "hidden to protect small groups" if value is None else share(value)


def test_ruptures_are_told_as_they_are(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        [row] = rows(
            "from qi.rupture_repair_monthly where clinic_key = 'all' and instrument ="
            " 'WAI-SR' and method = 'default_rc3' and lead_component = 'all' and"
            f" {SETTLED.format('month')}"
        )
        assert row["n_settled"] is not None
        told(
            plain,
            "ruptures",
            f"{row['n_ruptures']:,} ruptures began in {month_of(row['month'])} in "
            f"{row['n_scored_sessions']:,} scored sessions "
            f"({rounded(row['ruptures_per_100'], 1)} per 100). ",
            f"Of {row['n_settled']:,} settled, {row['n_resolved'] + row['n_late_repair']:,} "
            f"were repaired ({share(row['repaired_share'])}), after ",
            f"{row['n_pending']:,} still pending. For a client whose alliance never changes "
            "this rule fires by error alone in about 0.8 % of sessions.",
        )


def test_stalls_are_told_as_they_are(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        found = rows(
            "from qi.stall_by_component where clinic_key = 'all' and not is_partial"
            " and period_start = (select max(period_start) from qi.stall_by_component"
            "   where clinic_key = 'all' and component = 'all' and not is_partial"
            "   and not suppressed and n_spells > 0)"
        )
        whole = next(row for row in found if row["component"] == "all")
        told(
            plain,
            "stalls",
            f"{whole['n_spells']:,} stalls began in ",
            "the weakest part was ",
            f"Alliance reviewed in {whole['n_reviewed']:,}; recovery resumed in "
            f"{_hidden(whole['reviewed_resumed_share'])} of reviewed and "
            f"{_hidden(whole['unreviewed_resumed_share'])} of unreviewed.",
        )


def test_outcomes_are_told_as_they_are(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        for instrument in ("PCL-5", "PHQ-9"):
            [row] = rows(
                "from qi.outcome_monthly where clinic_key = 'all' and instrument = ? and"
                f" {SETTLED.format('month')}",
                instrument,
            )
            told(
                plain,
                "outcomes",
                f"{row['n_improved']:,} of {row['n_paired']:,} paired episodes closed in "
                f"{month_of(row['month'])} improved reliably ({share(row['improved_share'])})"
                f", {row['n_deteriorated']:,} deteriorated; {share(row['paired_share'])} of "
                "closed episodes were paired. ",
            )


def test_endings_are_told_as_they_are(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        [row] = rows(
            "from qi.endings where clinic_key = 'all' and pattern = 'all' and"
            f" {SETTLED.format('month')}"
        )
        told(
            plain,
            "endings",
            f"{row['n_dropout']:,} of {row['n_dropout_known']:,} known endings in "
            f"{month_of(row['month'])} were dropouts ({share(row['dropout_share'])}). With "
            "an unrepaired rupture ",
        )


def test_funnels_are_told_as_they_are(shown: Show) -> None:
    forty = shown("forty")
    with asked(forty) as rows:
        for indicator in ("completion_alliance", "dropout"):
            found = rows(
                "from qi.clinic_funnel inner join core.dim_clinic using (clinic_key)"
                " where indicator = ? and position is not null order by clinic_name",
                indicator,
            )
            outside = [r["clinic_name"] for r in found if r["position"] != "inside"]
            end = f"φ = {rounded(found[0]['phi'], 2)}" if found[0]["adjusted"] else ""
            told(
                forty,
                "clinics",
                f"{len(outside)} of ",
                "clinics lie outside the 99.8 % limits for ",
                *outside,
                *([f", after allowing for {end}"] if end else []),
                "Not adjusted for case mix.",
            )


def test_equity_is_told_as_it_is(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        found = rows("from qi.equity where value is not null and ci_low is not null")
        compared = [row for row in found if row["overall_value"] is not None]
        assert len(compared) > 30
        for row in compared:
            low, high = (
                rounded(row["ci_low"] * 100, 0),
                rounded(row["ci_high"] * 100, 0),
            )
            inside = row["ci_low"] <= row["overall_value"] <= row["ci_high"]
            told(
                plain,
                "equity",
                f": {share(row['value'])} ({low}–{high} %) against "
                f"{share(row['overall_value'])} overall; the interval "
                f"{'includes' if inside else 'excludes'} the overall figure.",
                f"{len(compared)} comparisons are made on this page, so about ",
            )


def test_strengthening_is_told_as_it_is(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        found = rows(
            "from qi.strengthening_after_rupture where clinic_key = 'all' and not is_partial"
            " and period_start = (select max(period_start) from"
            "   qi.strengthening_after_rupture where clinic_key = 'all' and not is_partial"
            "   and work = 'all' and not suppressed and n_settled > 0)"
        )
        of = {row["work"]: row for row in found}
        told(
            plain,
            "strengthening",
            f"Of {of['any']['n_settled']:,} settled ruptures with recorded work "
            f"{_hidden(of['any']['repaired_share'])} were repaired, "
            f"{_hidden(of['none']['repaired_share'])} without. This went together; it does "
            "not show cause.",
        )


def test_the_data_are_told_as_they_are(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        [row] = rows(
            "select sum(rows_in)::bigint as n, sum(rows_loaded)::bigint as l,"
            " sum(rows_quarantined)::bigint as q, sum(rows_filtered)::bigint as f,"
            " count(distinct delivery_id) as m from ops.row_ledger"
        )
        [checks] = rows(
            "select count(*) as j, count(*) filter (passed) as k from ops.check_result"
        )
    told(
        plain,
        "quality",
        f"{row['n']:,} rows came in from {row['m']} deliveries; {row['l']:,} loaded, "
        f"{row['q']:,} quarantined, {row['f']:,} filtered. {checks['k']} of {checks['j']} "
        "checks passed. Source ",
        "last delivered 2026-06-",
    )


def test_the_front_page_counts_what_changed(shown: Show) -> None:
    plain = shown("plain")
    with asked(plain) as rows:
        [n] = rows("select count(*) as n from outcomes.fct_care_signal where"
                   " closed_on is null")  # fmt: skip
    told(
        plain,
        "index",
        f"{n['n']:,} signals opened, 0 closed, 0 still open. ",
        "charts show special-cause variation: ",
        "Data through 2026-06-30; last delivery from ",
        "the gate passed with 1 warning",
    )


# --- every verdict, every sentence -------------------------------------------------------

_NO_SIGN = "No sign of change: the variation is what this process normally produces"
# chart -> what it says at the end (tests/lib/laid_verdicts.py).
VERDICTS = {
    "alliance.WAI-SR.client.total": f"{_NO_SIGN}.",
    "alliance.WAI-SR.client.goal": "Worth a look: June 2026 is above the upper limit"
    " (better direction).",
    "alliance.WAI-SR.client.task": "Worth a look: June 2026 is below the lower limit"
    " (worse direction).",
    "alliance.WAI-SR.client.bond": "Worth a look: 6 months rising in a row.",
    "alliance.WAI-SR.therapist.total": "Worth a look: 6 months falling in a row.",
    "alliance.WAI-SR.therapist.goal": "Worth a look: 2 of 3 months near the upper limit.",
    "alliance.WAI-SR.therapist.task": "Worth a look: 2 of 3 months near the lower limit.",
    "alliance.WAI-SR.therapist.bond": "Worth a look: 8 months in a row above the centre.",
    "alliance.WAI-S.client.total": "Worth a look: 8 months in a row below the centre.",
    "alliance.WAI-S.client.goal": "Too little data to say (3 of 12 months).",
    "alliance.SRS.client.total": f"{_NO_SIGN}; limits are provisional.",
    "alliance.SRS.client.goal": "Worth a look: June 2026 is above the upper limit"
    " (better direction); limits are provisional.",
    "alliance.SRS.client.task": "Too little data to say (11 of 12 months).",
    "completion.alliance_client": "Worth a look: June 2026 is below the lower limit"
    " (worse direction).",
    "completion.outcome_client": f"{_NO_SIGN}.",
    "deteriorated.CORE-10": "Run chart (36 months): no sign of change.",
    "deteriorated.GAD-7": "Run chart (36 months): too few crossings.",
}


def test_each_chart_gives_its_verdict(shown: Show) -> None:
    verdicts = shown("verdicts")
    said: dict[str, str] = {}
    for text in verdicts.text().values():
        for chart, sentence in re.findall(
            r'<figure[^>]* data-chart="([^"]+)" data-clinic="all".*?<figcaption>(.*?)'
            r"</figcaption>",
            text,
            flags=re.DOTALL,
        ):
            said.setdefault(chart, html.unescape(sentence).strip())
    missed = {
        chart: said.get(chart)
        for chart, verdict in VERDICTS.items()
        if not said.get(chart, "").endswith(verdict)
    }
    assert missed == {}
    assert "an unusually long run" in said["deteriorated.PHQ-9"]


# The templates of quality_improvement.md 4.2, their numbers left open.
_N, _P, _M = r"[\d,]+", r"(\d+ %|hidden to protect small groups|no data)", r"\w+ \d{4}"
TEMPLATES = {
    "front": rf"Since 20\d\d-\d\d-\d\d: {_N} signals? opened, {_N} closed, {_N} still open\.",
    "front, charts": rf"{_N} of {_N} charts show special-cause variation: {_N} concern, "
    rf"{_N} improvement\.",
    "front, waiting": rf"Waiting: {_N} quarantined deliver(y|ies), {_N} extracts?\.",
    "front, passed": r"Data through 20[\d-]+; last delivery from .+ days? ago; .*the gate "
    rf"passed with {_N} warnings?",
    "front, refused": r"the gate refused: these pages are from 20[\d-]+\.",
    "completion": rf": {_N} of {_N} sessions in {_M} \({_P}\)\. Centre {_P}, "
    rf"(trial|fixed) limits \d+–\d+ %\. ",
    "alliance": rf"Client-rated \w+ on .+: mean [\d.]+ from {_N} sessions in {_M}, usually "
    r"[\d.]+–[\d.]+\. ",
    "early": rf"Of {_N} episodes begun in .+ with an early alliance, {_N} \({_P}\) were "
    rf"weak\. Dropout: weak {_P}, moderate {_P}, strong {_P}\.",
    "ruptures": rf"{_N} ruptures began in {_M} in {_N} scored sessions \([\d.]+ per 100\)\. "
    rf"Of {_N} settled, {_N} were repaired \({_P}\), after [\d.]+ sessions \(median\)\. {_N} "
    r"still pending\. For a client whose alliance never changes this rule fires by error "
    r"alone in about 0\.8 % of sessions\.",
    "stalls": rf"{_N} stalls began in .+; the weakest part was \w+ in {_N}\. Alliance "
    rf"reviewed in {_N}; recovery resumed in {_P} of reviewed and {_P} of unreviewed\.",
    "outcomes": rf"{_N} of {_N} paired episodes closed in {_M} improved reliably \({_P}\), "
    rf"{_N} deteriorated; {_P} of closed episodes were paired\. ",
    "endings": rf"{_N} of {_N} known endings in {_M} were dropouts \({_P}\)\. With an "
    rf"unrepaired rupture {_P}, repaired {_P}, none {_P}\.",
    "clinics": rf"{_N} of {_N} clinics lie outside the 99\.8 % limits for .+ \(.+\)\. Not "
    r"adjusted for case mix\.",
    "clinics, spread": rf"{_N} of {_N} clinics lie outside the 99\.8 % limits for .+, after "
    r"allowing for φ = [\d.]+\. Not adjusted for case mix\.",
    "equity, includes": rf"{_P} \(\d+–\d+ %\) against {_P} overall; the interval includes "
    r"the overall figure\.",
    "equity, excludes": rf"{_P} \(\d+–\d+ %\) against {_P} overall; the interval excludes "
    r"the overall figure\.",
    "equity, chance": rf"{_N} comparisons are made on this page, so about [\d.]+ exclude it "
    r"by chance\.",
    "strengthening": rf"Of {_N} settled ruptures with recorded work {_P} were repaired, {_P} "
    r"without\. This went together; it does not show cause\.",
    "quality": rf"{_N} rows came in from {_N} deliveries; {_N} loaded, {_N} quarantined, "
    rf"{_N} filtered\. {_N} of {_N} checks passed\. Source .+ last delivered 20[\d-]+\.",
    "hidden": r"hidden to protect small groups",
}


def test_every_sentence_is_said_somewhere(shown: Show) -> None:
    said = "\n".join(
        "\n".join(sentences(shown(service), page))
        for service in ("empty", *LAID, "verdicts")
        for page in PAGES
    )
    assert [name for name, of in TEMPLATES.items() if not re.search(of, said)] == []
