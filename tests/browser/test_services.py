"""Services that are hard to show, opened in Chromium on a telephone's width."""

from collections.abc import Callable

import pytest

from browser.conftest import PAGES, Shown
from lib.chromium import Visitor


@pytest.mark.parametrize("service", ["empty", "odd", "forty"])
def test_pages_of_a_hard_service_show_as_well_as_those_of_a_plain_one(
    shown: Callable[[str], Shown], visitor: Visitor, service: str
) -> None:
    for page in PAGES:
        visit = visitor.visit(
            shown(service).page(page), themes=("light",), widths=(320,)
        )
        assert visit.wide == {("light", 320): 0}, page
        assert (visit.messages, visit.violations) == ([], []), page
        assert (visit.said["forbidden"], visit.said["handlers"]) == ([], []), page
        assert visit.requests == [visit.path.as_uri()], page
        for figure in visit.said["figures"]:
            assert figure["sentence"] == figure["drawn"][0]["desc"], (
                page,
                figure["id"],
            )
            assert figure["tables"], (page, figure["id"])
        ids = visit.said["ids"]
        assert len(ids) == len(set(ids)), page


def test_a_name_written_from_right_to_left_turns_nothing_around_it(
    shown: Callable[[str], Shown], visitor: Visitor
) -> None:
    """Where a name and a number stand in one line, the number stays to its right."""
    with visitor.opened(shown("odd").page("completion")) as (tab, _):
        turned = tab.evaluate(
            "() => Array.from(document.querySelectorAll('bdi'))"
            ".filter(b => getComputedStyle(b).unicodeBidi !== 'isolate').length"
        )
        assert turned == 0
        assert tab.locator("bdi").count() > 0
        assert tab.evaluate("getComputedStyle(document.body).direction") == "ltr"
