"""The rendered page is what the chapters say today."""

from spec.conftest import chapters
from spec.numbers import SENTENCES
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


def test_every_sentence_with_a_number_names_cases_that_exist() -> None:
    cases = {
        name.removeprefix("test_")
        for chapter in chapters()
        for name in vars(chapter)
        if name.startswith("test_")
    }
    lines = [line for line in SENTENCES.splitlines() if line]
    assert len(lines) > 90
    for line in lines:
        sentence, held, named = line.partition(" :: ")
        assert bool(held) != (" -- " in sentence), line
        assert set(named.split()) <= cases, line
    sections = {line.split()[0][0] for line in lines}
    assert sections == set("ABCDEFGHIJK")
