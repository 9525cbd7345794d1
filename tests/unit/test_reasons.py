"""The registry of reason codes: whole, used, and the page that shows it."""

import ast
import re
from pathlib import Path

from rapport.ingest.reasons import REASONS, rendered_page

ROOT = Path(__file__).parents[2]
INGEST = ROOT / "src" / "rapport" / "ingest"
_CODE = re.compile(r"^[a-z]+(_[a-z0-9]+)+$")
# Where in a call the reason stands.
_PLACES = {
    "FileRefused": 0,
    "_BadLine": 0,
    "_move": 2,
    "Refusal": 3,
    "Notice": 3,
    "_notice": 3,
    "say": 1,
}


def _said(node: ast.AST) -> set[str]:
    """Return the codes that one expression may be."""
    if isinstance(node, ast.IfExp):
        return _said(node.body) | _said(node.orelse)
    is_code = isinstance(node, ast.Constant) and _CODE.match(str(node.value))
    return {str(node.value)} if is_code else set()


def codes_in_source() -> set[str]:
    found: set[str] = set()
    for path in (*INGEST.rglob("*.py"), ROOT / "src" / "rapport" / "night.py"):
        if path.name == "reasons.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                place = _PLACES.get(name)
                if place is not None and len(node.args) > place:
                    found |= _said(node.args[place])
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
                # cells.py: (reason, condition); first_bytes.py: (mark, reason)
                first, second = node.elts
                if path.name == "cells.py":
                    found |= {
                        code
                        for code in _said(first)
                        if code.endswith(
                            ("_unreadable", "_unknown", "_long", "_missing")
                        )
                    }
                elif path.name == "first_bytes.py":
                    found |= _said(second)
            elif isinstance(node, ast.Dict) and path.name == "delimited.py":
                found |= set().union(*map(_said, node.values))
    return found


def test_every_code_of_the_source_is_in_the_registry() -> None:
    used = codes_in_source()
    assert len(used) > 50
    assert used - set(REASONS) == set()


def test_every_code_of_the_registry_is_used() -> None:
    text = "".join(
        path.read_text("utf-8")
        for path in (ROOT / "src").rglob("*.py")
        if path.name != "reasons.py"
    )
    assert [code for code in REASONS if code not in text] == []


def test_the_page_is_the_one_of_the_registry() -> None:
    page = (ROOT / "docs" / "reference" / "reason-codes.md").read_text("utf-8")
    assert page == rendered_page(), "run python tests/lib/door_cases.py"
    for code in REASONS:
        assert f"\n### {code}\n" in page
