"""The documentation holds: links lead somewhere, commands exist, no page is stale."""

import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from conftest import ROOT
from lib import schema_page, settings_page
from lib.command_page import PAGE, commands, rendered
from rapport.ask import examples

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CALL = re.compile(r"(?:^|[\s`(])(?:\.venv/bin/)?rapport ([a-z][^`\n|]*)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text("utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, fragment = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if fragment and there.suffix == ".md":
            assert fragment in anchors(there), target


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings have."""
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), flags=re.M)
    plain = [re.sub(r"[^\w\- ]", "", head.lower()) for head in heads]
    return {head.strip().replace(" ", "-") for head in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_in_a_block_exists_with_its_options(page: Path) -> None:
    known = dict(commands())
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), flags=re.S)
    for line in "\n".join(blocks).splitlines():
        for call in _CALL.findall(line.partition("#")[0]):
            words = shlex.split(call.rstrip("\\"), posix=True)
            name = f"rapport {words[0]}"
            if name not in known and len(words) > 1:
                name = f"rapport {words[0]} {words[1]}"
            assert name in known, line
            options = {o for p in known[name].params for o in p.opts}
            for word in words:
                if word.startswith("--"):
                    assert word.partition("=")[0] in options | {"--help"}, line


def test_the_page_of_commands_is_what_the_parser_says() -> None:
    """When it is stale: ``make docs``."""
    assert PAGE.read_text("utf-8") == rendered()


@pytest.mark.parametrize("page", [schema_page, settings_page])
def test_a_rendered_reference_is_what_the_code_says(page: ModuleType) -> None:
    """When it is stale: ``make docs``."""
    assert page.PAGE.read_text("utf-8") == page.rendered()


def test_the_page_of_questions_holds_the_examples_word_for_word() -> None:
    page = (ROOT / "docs" / "how-to" / "ask-about-quality.md").read_text("utf-8")
    blocks = re.findall(r"```sql\n(.*?);\n```", page, flags=re.S)
    assert blocks == [query for _, query in examples()]


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.S):
            for target in re.findall(r"^make ([a-z-]+)", block, re.M):
                assert target in targets, f"{page.name}: make {target}"
