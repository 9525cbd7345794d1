"""The pages: every sentence and table says what the published rows say."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ROOT
from lib.page_reading import Page, read_page
from lib.page_service import (
    ARABIC,
    CLINICS,
    LAST,
    MARKUP,
    PERIODS,
    Service,
)
from lib.page_snapshots import AS_OF, lay_pages, month
from rapport.dashboard import Notice, write_dashboard
from rapport.dashboard.pages import PAGES
from rapport.settings import Settings

HIDDEN = "hidden to protect small groups"
NOTICE = Notice(("2 deliveries have rows in quarantine.",), 2, 1)


def per_cent(share: float) -> str:
    """Round half up, by the textbook and not by the page's own function."""
    return str(Decimal(repr(share * 100)).quantize(Decimal(1), ROUND_HALF_UP))


def written(home: Path, rows: dict[str, list[Any]], notice: Notice) -> dict[str, str]:
    settings = lay_pages(home, rows)
    write_dashboard(settings, notice)
    return {p.name: p.read_text("utf-8") for p in (home / "dashboard").iterdir()}


@pytest.fixture(scope="module")
def service() -> Service:
    return Service()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages") / "home"


@pytest.fixture(scope="module")
def full(home: Path, service: Service) -> dict[str, str]:
    return written(home, service.rows, NOTICE)


@pytest.fixture(scope="module")
def pages(full: dict[str, str]) -> dict[str, Page]:
    return {name: read_page(html) for name, html in full.items()}


@pytest.fixture(scope="module")
def hidden_html(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("hidden") / "home"
    return written(home, Service(is_hidden=True).rows, Notice())


@pytest.fixture(scope="module")
def later_html(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the pages of a second night, over a service whose last months are empty."""
    rows = Service().rows
    for row in rows["qi.completion_monthly"]:
        if row["month"] >= month(LAST) and row["clinic_key"] == "all":
            row |= {"n_sessions": 0, "n_complete": 0, "n_none": 0, "completion": None}
    for point in rows["qi.spc_point"]:
        if point["month"] >= month(LAST) and point["chart_id"].startswith(
            "completion."
        ):
            point |= {"value": None, "numerator": 0, "denominator": 0, "used": None,
                      "limits": "none", "cl": None, "rule": None, "icon": None}  # fmt: skip
    before = {"run_id": "r_before", "as_of": date(2026, 6, 14)}
    rows["ops.run"] = [
        {**before, "started_at": "2026-06-14 06:00:00", "outcome": "published",
         "settings_digest": "0"}
    ]  # fmt: skip
    rows["ops.signal_log"] = [{**before, "signal_key": key} for key in ("sg_1", "sg_2")]
    return written(tmp_path_factory.mktemp("later") / "home", rows, Notice())


@pytest.fixture(scope="module")
def empty_html(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return written(tmp_path_factory.mktemp("empty") / "home", {}, Notice())


@pytest.fixture(scope="module")
def every_html(
    full: dict[str, str], hidden_html: dict[str, str], empty_html: dict[str, str]
) -> list[str]:
    return [
        html for pages in (full, hidden_html, empty_html) for html in pages.values()
    ]


# --- the sentences


def test_completion_says_its_numbers_limits_and_verdict(
    pages: dict[str, Page], service: Service
) -> None:
    row = service.get("qi.completion_monthly", month=month(LAST), clinic_key="all",
                      form="alliance_therapist")  # fmt: skip
    point = service.get("qi.spc_point", month=month(LAST), clinic_key="all",
                        chart_id="completion.alliance_therapist")  # fmt: skip
    said = pages["completion.html"].figure("completion.alliance_therapist").sentence
    assert said == (
        f"Alliance form, therapist: {row['n_complete']} of {row['n_sessions']} sessions in "
        f"May 2026 ({per_cent(row['completion'])} %). Centre {per_cent(point['cl'])} %, "
        f"fixed limits {per_cent(point['lcl'])}–{per_cent(point['ucl'])} %. "
        "Worth a look: May 2026 is below the lower limit (worse direction)."
    )


def test_completion_of_a_clinic_stands_in_order_of_name(
    pages: dict[str, Page], service: Service
) -> None:
    """The clinic that is hidden has its sentence, and no chart."""
    page = pages["completion.html"]
    row = service.get("qi.completion_monthly", month=month(LAST), form="outcome_client",
                      clinic_key="cn_north")  # fmt: skip
    said = page.figure("completion.outcome_client", "1").sentence
    assert f"{row['n_complete']} of {row['n_sessions']} sessions in May 2026" in said
    assert any(
        s.startswith(f"Outcome form, client: {HIDDEN} in May 2026.")
        for s in page.sentences
    )


def test_alliance_says_what_is_usual_and_that_trial_limits_are_provisional(
    pages: dict[str, Page], service: Service
) -> None:
    row = service.get("qi.alliance_monthly", month=month(LAST), rater="client",
                      component="goal")  # fmt: skip
    point = service.get("qi.spc_point", month=month(LAST),
                        chart_id="alliance.WAI-SR.client.goal")  # fmt: skip

    def one(value: float) -> str:
        return str(Decimal(repr(value)).quantize(Decimal("0.1"), ROUND_HALF_UP))

    said = pages["alliance.html"].figure("alliance.WAI-SR.client.goal").sentence
    assert said == (
        f"Client-rated goal on WAI-SR: mean {one(row['mean_score'])} from "
        f"{row['n_sessions']} sessions in May 2026, usually {one(point['lcl'])}–"
        f"{one(point['ucl'])}. No sign of change: the variation is what this process "
        "normally produces; limits are provisional."
    )


def test_early_says_weak_starts_and_dropout_by_band(
    pages: dict[str, Page], service: Service
) -> None:
    def row(band: str) -> dict[str, Any]:
        return service.get("qi.early_alliance", period_start=PERIODS[1], band=band)

    shares = [per_cent(row(b)["dropout_share"]) for b in ("weak", "moderate", "strong")]
    assert pages["early.html"].figure("early.dropout").sentence == (
        f"Of 58 episodes begun in January–March 2026 with an early alliance, 15 "
        f"({per_cent(15 / 58)} %) were weak. Dropout: weak {shares[0]} %, moderate "
        f"{shares[1]} %, strong {shares[2]} %."
    )


def test_ruptures_say_how_many_began_and_what_became_of_them(
    pages: dict[str, Page], service: Service
) -> None:
    row = service.get("qi.rupture_repair_monthly", month=month(LAST),
                      method="default_rc3", lead_component="all")  # fmt: skip
    page = pages["ruptures.html"]
    assert page.figure("rupture_rate.default_rc3.WAI-SR").sentence == (
        f"{row['n_ruptures']} ruptures began in May 2026 in {row['n_scored_sessions']} "
        f"scored sessions ({row['ruptures_per_100']:.1f} per 100). Of {row['n_settled']} "
        f"settled, {row['n_resolved'] + row['n_late_repair']} were repaired "
        f"({per_cent(row['repaired_share'])} %), after 2.5 sessions (median). 1 still "
        "pending. For a client whose alliance never changes this rule fires by error alone "
        "in about 0.8 % of sessions. Worth a look: 8 months in a row above the centre."
    )
    assert page.figure("repaired.default_rc3.WAI-SR").sentence.endswith(
        "Worth a look: 6 months rising in a row."
    )
    assert page.figure("flow.WAI-SR").sentence == (
        "Of 24 ruptures that began from 2025-06-01 to 2026-05-31, 6 were repaired, 6 late, "
        "6 are pending, 6 were not repaired."
    )


def test_other_methods_stand_in_a_table_with_retrospective_ones_marked(
    pages: dict[str, Page],
) -> None:
    (row,) = pages["ruptures.html"].tables["Other methods, newest complete month"]
    assert row["method"] == "gumz decline"
    assert row["retrospective"] == "yes"
    assert row["month"] == "2026-05"


def test_stalls_name_the_weakest_part_and_both_shares(pages: dict[str, Page]) -> None:
    assert pages["stalls.html"].figure("stalls.PCL-5").sentence == (
        "44 stalls began in January–March 2026; the weakest part was task in 16. Alliance "
        f"reviewed in 42; recovery resumed in {per_cent(14 / 22)} % of reviewed and "
        f"{per_cent(8 / 22)} % of unreviewed."
    )


def test_outcomes_say_improved_deteriorated_and_paired(
    pages: dict[str, Page], service: Service
) -> None:
    row = service.get("qi.outcome_monthly", month=month(LAST))
    page = pages["outcomes.html"]
    assert page.figure("improved.PCL-5").sentence == (
        f"17 of {row['n_paired']} paired episodes closed in May 2026 improved reliably "
        f"({per_cent(17 / row['n_paired'])} %), 2 deteriorated; "
        f"{per_cent(row['paired_share'])} % of closed episodes were paired. No sign of "
        "change: the variation is what this process normally produces."
    )
    assert page.figure("deteriorated.PCL-5").sentence.endswith(
        "Worth a look: 2 of 3 months near the lower limit."
    )


def test_endings_say_dropouts_by_pattern_and_name_the_rule(
    pages: dict[str, Page], service: Service
) -> None:
    rows = {
        pattern: service.get("qi.endings", month=month(LAST), pattern=pattern)
        for pattern in ("all", "unrepaired", "repaired", "no_rupture")
    }
    share = {name: per_cent(row["dropout_share"]) for name, row in rows.items()}
    page = pages["endings.html"]
    assert page.figure("dropout").sentence == (
        f"{rows['all']['n_dropout']} of {rows['all']['n_dropout_known']} known endings in "
        f"May 2026 were dropouts ({share['all']} %). With an unrepaired rupture "
        f"{share['unrepaired']} %, repaired {share['repaired']} %, none "
        f"{share['no_rupture']} %. Run chart (13 months): no sign of change."
    )
    assert "the rule coded" in page.text


def test_clinics_outside_are_named_without_rank(pages: dict[str, Page]) -> None:
    page = pages["clinics.html"]
    assert page.figure("funnel.repair").sentence == (
        f"1 of 3 clinics lie outside the 99.8 % limits for ruptures repaired ({MARKUP}), "
        "after allowing for φ = 2.35. Not adjusted for case mix."
    )
    assert page.figure("funnel.dropout").sentence == (
        "0 of 3 clinics lie outside the 99.8 % limits for dropout. Not adjusted for case "
        "mix."
    )


def test_no_table_of_clinics_is_sorted_by_value(pages: dict[str, Page]) -> None:
    """Names rise while values neither only rise nor only fall."""
    names = [row["clinic_name"] for row in CLINICS]
    tables = [f.tables[0] for f in pages["clinics.html"].figures]
    assert len(tables) == 5
    for table in tables:
        assert [re.sub("[\u2068\u2069]", "", r["label"]) for r in table] == sorted(
            names, key=lambda n: n.encode()
        )


def test_equity_says_each_group_and_how_many_comparisons(
    pages: dict[str, Page], service: Service
) -> None:
    said = pages["equity.html"].figure("equity.sex.dropout").sentence
    for group, place in (("female", 0), ("male", 1)):
        row = service.get("qi.equity", dimension="sex", group_value=group,
                          indicator="dropout")  # fmt: skip
        within = row["ci_low"] <= 0.455 <= row["ci_high"]
        assert (
            f"{group.capitalize()}: {per_cent(row['value'])} % ({per_cent(row['ci_low'])}–"
            f"{per_cent(row['ci_high'])} %) against 46 % overall; the interval "
            f"{'includes' if within else 'excludes'} the overall figure."
        ) in said
        assert within == (place == 0)
    assert said.endswith(
        "55 comparisons are made on this page, so about 3 exclude it by chance."
    )


def test_strengthening_says_together_and_not_because(pages: dict[str, Page]) -> None:
    assert pages["strengthening.html"].figure("strengthening").sentence == (
        f"Of 24 settled ruptures with recorded work {per_cent(13 / 24)} % were repaired, "
        f"{per_cent(13 / 16)} % without. This went together; it does not show cause."
    )


def test_quality_says_the_ledger_and_the_checks(pages: dict[str, Page]) -> None:
    page = pages["quality.html"]
    assert page.figure("ledger").sentence == (
        "1,206 rows came in from 1 deliveries; 1,200 loaded, 2 quarantined, 3 filtered. "
        "1 of 2 checks passed. Source north last delivered 2026-06-13."
    )
    assert page.tables["Forms without a session"] == [
        {"domain": "alliance", "rater": "client", "n_forms": "hidden"},
        {"domain": "outcome", "rater": "client", "n_forms": "13"},
    ]


def test_quality_draws_how_long_each_night_ran_and_what_came_in_for_it(
    tmp_path: Path,
) -> None:
    """A delivery is of the first night that began after it was picked up."""
    rows = Service().rows
    rows["ops.run"] = [
        {"run_id": "r_a", "as_of": date(2026, 6, 13), "outcome": "published",
         "started_at": "2026-06-13 06:00:00", "ended_at": "2026-06-13 06:03:00"},
        {"run_id": "r_b", "as_of": date(2026, 6, 14), "outcome": "refused",
         "started_at": "2026-06-14 06:00:00", "ended_at": "2026-06-14 06:01:30"},
        {"run_id": "r_c", "as_of": date(2026, 6, 1), "outcome": "rebuilt",
         "started_at": "2026-06-14 09:00:00", "ended_at": "2026-06-14 09:30:00"},
    ]  # fmt: skip
    picked_up = ("2026-06-13 05:59:00", "2026-06-14 06:00:00", "2026-06-15 06:00:01")
    [first], [ledger] = rows["ops.delivery"], rows["ops.row_ledger"]
    rows["ops.delivery"] = [
        first | {"delivery_id": f"b_{n}", "picked_up_at": at}
        for n, at in enumerate(picked_up)
    ]
    rows["ops.row_ledger"] = [
        ledger | {"delivery_id": f"b_{n // 2}", "rows_in": 10 * n, "rows_loaded": n}
        for n in range(6)
    ]
    page = read_page(written(tmp_path / "home", rows, Notice())["quality.html"])
    figure = page.figure("run_times")
    assert figure.sentence == (
        "2 of the last 3 nights were published. The longest ran 5.00 minutes, the last 5.00."
    )
    assert figure.desc == figure.sentence
    assert figure.tables == [[
        {"as_of": "2026-06-13", "outcome": "published", "run_minutes": "3.00"},
        {"as_of": "2026-06-14", "outcome": "refused", "run_minutes": "1.50"},
        {"as_of": "2026-06-15", "outcome": "published", "run_minutes": "5.00"},
    ]]  # fmt: skip
    figure = page.figure("row_counts")
    assert figure.sentence == ("0 rows came in for the last night, 60 for the last 3.")
    assert [row["rows_in"] for row in figure.tables[0]] == ["10", "50", "0"]
    assert [row["rows_loaded"] for row in figure.tables[0]] == ["1", "5", "0"]


def test_a_failed_check_says_why_it_is_asked_and_what_to_do(
    pages: dict[str, Page],
) -> None:
    text = pages["quality.html"].text
    assert "Any other value counts as not answered." in text
    assert "check the item codes in the mapping" in text


def test_the_front_page_counts_signals_charts_and_what_waits(
    pages: dict[str, Page],
) -> None:
    text = pages["index.html"].text
    assert (
        "First night: 1 signal opened, 0 closed, 0 still open. 4 of 18 charts show "
        "special-cause variation: 1 concern, 2 improvement. Waiting: 2 quarantined "
        "deliveries, 1 extract. Data through 2026-06-12; last delivery from north 2 days "
        "ago; the gate passed with 1 warning."
    ) in text
    assert NOTICE.lines[0] in text
    assert pages["index.html"].tables[
        "Past months whose published value moved since the last night"
    ] == [{"table_name": "qi.endings", "n_months": "2"}]


def test_a_later_night_counts_since_the_one_before(later_html: dict[str, str]) -> None:
    """A signal that was open and closes is closed; one that stays is still open."""
    front = read_page(later_html["index.html"]).text
    assert "Since 2026-06-14: 0 signals opened, 1 closed, 1 still open." in front


def test_a_refused_night_is_told_on_every_page(
    home: Path, full: dict[str, str]
) -> None:
    """The pages stay those of the night before, and say so."""
    settings = settings_of(home)
    line = "The gate refused the night of 2026-06-16: these pages are from 2026-06-15."
    write_dashboard(settings, Notice((line,), refused=date(2026, 6, 16)))
    told = {p.name: p.read_text("utf-8") for p in (home / "dashboard").iterdir()}
    write_dashboard(settings, NOTICE)
    assert "the gate refused: these pages are from 2026-06-15." in told["index.html"]
    assert set(told) == set(full) == set(PAGES)
    for name, html in told.items():
        assert html.count(line) == 1, name


def test_a_chart_whose_frozen_baseline_moved_says_so(full: dict[str, str]) -> None:
    assert full["completion.html"].count("baseline data corrected on 2026-06-15") == 1


# --- the tables


def test_a_charts_table_shows_the_points_it_draws(
    pages: dict[str, Page], service: Service
) -> None:
    """Every month is in it, the older ones in a second table."""
    figure = pages["completion.html"].figure("completion.alliance_client")
    rows = [row for table in reversed(figure.tables[:2]) for row in table]
    points = [
        p
        for p in service.rows["qi.spc_point"]
        if p["chart_id"] == "completion.alliance_client" and p["clinic_key"] == "all"
    ]
    assert [row["month"] for row in rows] == [f"{p['month']:%Y-%m}" for p in points]
    for row, point in zip(rows, points, strict=True):
        assert row["numerator"] == str(point["numerator"])
        assert row["value"] == f"{per_cent(point['value'])} %"
        limit = point.get("ucl")
        assert row["ucl"] == (f"{per_cent(limit)} %" if limit is not None else "–")
        assert row["counts"] == ("yes" if point["used"] else "no")


def test_every_chart_has_a_sentence_a_text_alternative_and_numbers(
    pages: dict[str, Page],
) -> None:
    figures = [f for page in pages.values() for f in page.figures]
    assert len(figures) > 50
    for figure in figures:
        assert figure.sentence and figure.sentence == figure.desc, figure.attributes
        assert figure.title
        assert any(figure.tables), figure.attributes


# --- what is hidden, and what is not there


def test_a_hidden_service_says_hidden_and_never_a_number(
    hidden_html: dict[str, str],
) -> None:
    """All thirteen pages render; no sentence with a number of people is left."""
    for name in set(PAGES) - {"index.html", "quality.html", "glossary.html"}:
        page = read_page(hidden_html[name])
        assert page.sentences, name
        assert any(HIDDEN in sentence for sentence in page.sentences), name
        for sentence in page.sentences:
            assert not re.search(
                r"\d+ of \d+ (sessions|known|paired|settled)", sentence
            )
    cells = {
        value
        for name in ("completion.html", "endings.html", "early.html")
        for table in read_page(hidden_html[name]).tables.values()
        for row in table
        for column, value in row.items()
        if column.startswith("n_") or column.endswith("share")
    }
    assert cells == {"hidden"}


def test_an_empty_service_says_what_each_page_cannot_show_and_why(
    empty_html: dict[str, str],
) -> None:
    reasons = {
        "completion.html": "No session has been attended yet",
        "alliance.html": "No alliance form has been scored yet",
        "early.html": "No episode has reached a session yet",
        "ruptures.html": "No rupture can be looked for yet",
        "stalls.html": "No stall has been found",
        "outcomes.html": "No closed episode has two outcome scores yet",
        "endings.html": "No episode has been closed yet",
        "clinics.html": "No clinic has twelve months to show yet",
        "equity.html": "No group can be shown yet",
        "strengthening.html": "No rupture has been found yet",
        "quality.html": "Nothing has been delivered yet",
        "index.html": "No chart has a month to show yet",
    }
    assert set(empty_html) == set(PAGES)
    for name, reason in reasons.items():
        assert reason in read_page(empty_html[name]).text, name


def test_a_month_without_a_session_says_so(later_html: dict[str, str]) -> None:
    """A clinic that has closed has months of nothing, which are not hidden."""
    page = read_page(later_html["completion.html"])
    said = page.figure("completion.alliance_client").sentence
    assert said.startswith("Alliance form, client: no session in May 2026. ")
    assert page.figure("completion.alliance_client").tables[0][-2]["value"] == "–"


# --- form


def settings_of(home: Path) -> Settings:
    from rapport.settings import load_settings

    return load_settings({"RAPPORT_HOME": str(home)})


def test_names_with_markup_or_from_right_to_left_are_only_names(
    full: dict[str, str],
) -> None:
    html = full["clinics.html"]
    assert MARKUP not in html
    assert "&lt;b onclick=&#34;x()&#34;&gt;North &amp; South&lt;/b&gt;" in html
    assert f"<bdi>\u2068{ARABIC}\u2069</bdi>" in html


def test_pages_hold_nothing_that_could_run_or_load(every_html: list[str]) -> None:
    assert len(every_html) == 39
    for html in every_html:
        page = read_page(html)
        assert not page.tags & {"script", "link", "img", "iframe", "object", "form"}
        assert "style" not in page.attributes
        assert not any(name.startswith("on") for name in page.attributes)
        assert not re.search(r"@import|url\(|xlink:href|https?://", html)
        assert all(
            re.fullmatch(r"[a-z]*\.html(#[a-z0-9-]+)?|#[a-z0-9-]+", link)
            for link in page.links
        )
        assert page.headings.count("h1") == 1
        assert len(page.ids) == len(set(page.ids))


def test_the_policy_allows_the_one_style_and_nothing_else(
    every_html: list[str],
) -> None:
    styles = set()
    for html in every_html:
        (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
        styles.add(style)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert (
            "content=\"default-src 'none'; style-src 'sha256-" + digest + "'; "
            "base-uri 'none'; form-action 'none'\"" in html
        )
    assert len(styles) == 1


def test_every_link_leads_somewhere(pages: dict[str, Page]) -> None:
    linked = {(name, link) for name, page in pages.items() for link in page.links}
    assert len(linked) > 200
    for name, link in linked:
        file, _, anchor = link.partition("#")
        target = pages[file or name]
        assert not anchor or anchor in target.ids, (name, link)


def test_headings_leave_no_level_out(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        levels = [int(h[1]) for h in page.headings]
        for above, below in pairwise(levels):
            assert below <= above + 1, (name, levels)


def test_no_key_and_no_id_is_on_any_page(every_html: list[str]) -> None:
    for html in every_html:
        text = html.split("</style>")[1]
        assert not re.search(r"\b(cl|cn|ep|se|ad|ru|sg|th)_[a-z0-9]", text)
        assert "b_secret" not in text
        assert "therapist_key" not in text


def test_the_same_snapshot_gives_the_same_bytes_anywhere(
    home: Path, full: dict[str, str]
) -> None:
    """Another zone, language and hash seed; the folder of before is swapped away."""
    environ = {"TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "1"}
    program = (
        "from rapport.dashboard import Notice, write_dashboard\n"
        "from rapport.settings import load_settings\n"
        f"write_dashboard(load_settings(), {NOTICE!r})\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environ, "RAPPORT_HOME": str(home)},
        cwd=ROOT,
        check=True,
    )
    again = {p.name: p.read_text("utf-8") for p in (home / "dashboard").iterdir()}
    assert again == full
    assert not list(home.glob("dashboard.*"))
    assert "\r" not in "".join(again.values())


def test_the_only_time_on_a_page_is_that_of_the_run(full: dict[str, str]) -> None:
    for html in full.values():
        assert set(re.findall(r"\d\d:\d\d UTC", html)) == {"06:00 UTC"}
        assert len(re.findall(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", html)) == 1


def test_every_page_ends_with_its_snapshot_rule_and_query(
    pages: dict[str, Page],
) -> None:
    for page in pages.values():
        assert "Snapshot of the run of 2026-06-15 06:00 UTC" in page.text
        assert "Data through 2026-06-12" in page.text
        assert "a row or share of 1 to 10 people is hidden" in page.text
        assert "How to read this page" in page.text
        assert "glossary.html" in page.links
        assert "select " in page.text


def queries_on(html: dict[str, str]) -> Iterator[str]:
    for page in html.values():
        for block in re.findall(r"<pre><code>(.*?)</code></pre>", page, re.DOTALL):
            for query in block.replace("&#39;", "'").replace("&lt;", "<").split(";"):
                if query.strip():
                    yield query


def test_the_queries_on_the_pages_run(home: Path, full: dict[str, str]) -> None:
    found = list(queries_on(full))
    assert len(found) >= 13
    with duckdb.connect(home / "published" / "rapport.duckdb", read_only=True) as con:
        for query in found:
            con.execute(query)


def test_a_setting_that_turns_hiding_off_is_said(tmp_path: Path) -> None:
    settings = lay_pages(tmp_path / "home", {}, "[qi]\nsmall_cell_min = 0\n")
    entry = write_dashboard(settings)
    assert "turned off by a setting" in entry.read_text("utf-8")


def test_the_night_is_as_of_its_own_date(pages: dict[str, Page]) -> None:
    assert f"as of {AS_OF}" in pages["index.html"].text


def test_moving_ranges_of_means_stand_in_the_table_alone(
    pages: dict[str, Page], service: Service
) -> None:
    """From month to month, with none for the first; shares have none."""
    alliance = pages["alliance.html"].figure("alliance.WAI-SR.client.total")
    rows = [row for table in reversed(alliance.tables[:2]) for row in table]
    values = [p["value"] for p in service.rows["qi.spc_point"]
              if p["chart_id"] == "alliance.WAI-SR.client.total"]  # fmt: skip
    ranges = [f"{abs(b - a):.2f}" for a, b in pairwise(values[: LAST + 1])]
    assert [row["moving_range"] for row in rows] == ["–", *ranges, "–"]
    completion = pages["completion.html"].figure("completion.outcome_client")
    assert "moving_range" not in completion.tables[0][0]
