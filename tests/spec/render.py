"""Renders the chapters into docs/reference/clinical-rules.md.

Each test gives its name, the sentence that it argues for, and the series that it draws:
``python tests/spec/render.py`` writes the page, ``test_page.py`` fails when it is stale.
"""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "clinical-rules.md"

_HEAD = """\
# Clinical rules, case by case

For the analyst or clinician who asks what exactly a rule does: each entry is a test that runs
on the real models, with the sentence that it argues for. Written by `tests/spec/render.py` from
`tests/spec/`; change the tests, then `python tests/spec/render.py`.

A drawn series is one client's weekly attended sessions. `4.25` is a form with that total,
`4/3.75/2` one with that goal, task and bond, `=3.6364` a reported total, `-` a session without
a form, `@T2` one with another therapist. On a PSQ, `1:4:2` are tension, intensity, resolution.
"""


def page() -> str:
    """Return the page as it should stand."""
    from spec.conftest import chapters

    return "\n".join([_HEAD, *(_chapter(chapter) for chapter in chapters())])


def _chapter(chapter: ModuleType) -> str:
    title = (chapter.__doc__ or "").strip().splitlines()[0].rstrip(".")
    lines = [f"## {title}", ""]
    for name, test in vars(chapter).items():
        if name.startswith("test_") and inspect.isfunction(test):
            lines += _entry(name, test)
    return "\n".join(lines)


def _entry(name: str, test: Callable[..., None]) -> list[str]:
    said = name.removeprefix("test_").replace("_", " ")
    lines = [f"**{said[0].upper()}{said[1:]}.**"]
    if test.__doc__:
        lines.append(" ".join(inspect.cleandoc(test.__doc__).split()))
    drawings = [
        f"- `{case.drawing}`" + (f" ({label})" if label else "")
        for label, case in getattr(test, "given", {}).items()
        if case.drawing
    ]
    return [*lines, "", *drawings, *([""] if drawings else [])]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
