"""Every page as Chromium shows it from a file, in both themes, wide and narrow."""

from collections.abc import Callable
from itertools import pairwise
from urllib.parse import unquote

import pytest

from browser.conftest import PAGES, Shown
from lib.chromium import THEMES, WIDTHS, Visit, Visitor

Open = Callable[[str, str], Visit]
every_page = pytest.mark.parametrize("page", PAGES)
BOTH = {(theme, width) for theme in THEMES for width in WIDTHS}


@every_page
def test_a_page_asks_for_nothing_and_breaks_no_policy(visited: Open, page: str) -> None:
    visit = visited("plain", page)
    assert visit.requests == [visit.path.as_uri()]
    assert visit.messages == []
    assert visit.violations == []
    assert visit.said["forbidden"] == []
    assert visit.said["handlers"] == []


@every_page
def test_a_page_has_a_title_landmarks_and_headings_in_order(
    visited: Open, page: str
) -> None:
    said = visited("plain", page).said
    assert said["lang"] == "en"
    assert said["title"]
    assert said["landmarks"] == ["header", "nav", "main", "footer"]
    levels = [level for level, _ in said["headings"]]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels)), levels
    assert all(text for _, text in said["headings"])
    assert len(said["ids"]) == len(set(said["ids"]))


@every_page
def test_every_link_leads_somewhere(
    visited: Open, shown: Callable[[str], Shown], page: str
) -> None:
    said = visited("plain", page).said
    assert [link.removesuffix(".html") for link in said["nav"]] == list(PAGES)
    for link in said["links"]:
        file, _, fragment = link.partition("#")
        assert ":" not in link
        assert file in {"", *(f"{name}.html" for name in PAGES)}, link
        there = visited("plain", file.removesuffix(".html") or page).said["ids"]
        assert not fragment or unquote(fragment) in there, link


@every_page
def test_a_page_never_scrolls_sideways(visited: Open, page: str) -> None:
    assert visited("plain", page).wide == dict.fromkeys(BOTH, 0)


@every_page
def test_axe_finds_nothing_serious(
    visitor: Visitor, shown: Callable[[str], Shown], page: str
) -> None:
    found = visitor.search(shown("plain").page(page))
    assert found == {look: [] for look in BOTH}


@every_page
def test_each_chart_has_a_name_a_sentence_and_a_table(visited: Open, page: str) -> None:
    said = visited("plain", page).said
    for figure in said["figures"]:
        assert len(figure["drawn"]) == 1, figure["id"]
        [drawn] = figure["drawn"]
        assert drawn["title"] and drawn["desc"], figure["id"]
        assert drawn["named"] == [drawn["title"], drawn["desc"]], figure["id"]
        assert figure["sentence"] == drawn["desc"], figure["id"]
        assert figure["tables"], figure["id"]
    for table in said["tables"]:
        assert table["caption"]
        assert table["unscoped"] == 0, table["caption"]
        assert table["rows"], table["caption"]
    # A picture outside a figure says nothing that the words beside it don't.
    for picture in said["pictures"]:
        assert (picture["role"] == "img") == picture["in_figure"]
        assert picture["in_figure"] or picture["hidden"] == "true"


@every_page
def test_everything_is_reached_by_keyboard(
    visitor: Visitor, shown: Callable[[str], Shown], page: str
) -> None:
    with visitor.opened(shown("plain").page(page)) as (tab, _):
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.getAttribute('href')") == "#content"
        assert tab.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
        tab.keyboard.press("Enter")
        assert tab.evaluate("location.hash") == "#content"
        if tab.locator("main summary").count():
            tab.locator("main summary").first.focus()
            tab.keyboard.press("Enter")
            assert tab.evaluate("document.activeElement.parentElement.open")
        tab.evaluate(
            "() => { document.activeElement.blur();"
            " document.querySelectorAll('details').forEach(d => d.open = true);"
            " window.reached = new Set(); window.unseen = [];"
            " document.addEventListener('focusin', e => { window.reached.add(e.target);"
            "  const s = getComputedStyle(e.target);"
            "  if (s.outlineStyle === 'none' || parseFloat(s.outlineWidth) < 2)"
            "   window.unseen.push(e.target.outerHTML.slice(0, 80)); }); }"
        )
        wanted = "a[href], summary, [tabindex='0']"
        tab.keyboard.press("Shift+Tab")
        for _ in range(tab.locator(wanted).count() + 3):
            tab.keyboard.press("Tab")
        missed = tab.evaluate(
            "wanted => Array.from(document.querySelectorAll(wanted))"
            ".filter(e => !window.reached.has(e)).map(e => e.outerHTML.slice(0, 80))",
            wanted,
        )
        assert missed == []
        assert tab.evaluate("window.unseen") == []


@every_page
def test_a_printed_page_has_every_table_and_no_navigation(
    visitor: Visitor, shown: Callable[[str], Shown], page: str
) -> None:
    with visitor.opened(shown("plain").page(page)) as (tab, visit):
        tab.emulate_media(media="print", color_scheme="dark")
        hidden = tab.evaluate(
            "() => Array.from(document.querySelectorAll('table, figcaption'))"
            ".filter(t => t.getBoundingClientRect().height < 5 || !t.checkVisibility("
            "{contentVisibilityAuto: true, visibilityProperty: true}))"
            ".map(t => t.textContent.slice(0, 60))"
        )
        assert hidden == []
        for menu in tab.locator("nav").all():
            assert not menu.is_visible()
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper in {"rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"}
        # A tagged file names the kind of each element in plain text.
        pdf = tab.pdf(tagged=True, format="A4")
        assert pdf.count(b"/S /Table") == len(visit.said["tables"])
