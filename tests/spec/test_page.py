"""The rendered page is what the chapters say today."""

from spec.conftest import chapters
from spec.render import PAGE, page


def test_the_page_of_clinical_rules_is_not_stale() -> None:
    """Else: python tests/spec/render.py."""
    assert PAGE.read_text("utf-8") == page()


def test_every_test_of_every_chapter_says_its_sentence() -> None:
    silent = [
        f"{chapter.__name__}.{name}"
        for chapter in chapters()
        for name, test in vars(chapter).items()
        if name.startswith("test_") and not test.__doc__
    ]
    assert silent == []
