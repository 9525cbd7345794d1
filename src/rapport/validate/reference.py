"""Render ``docs/reference/checks.md`` from the suites: ``python -m rapport.validate.reference``."""

from __future__ import annotations

from pathlib import Path

from rapport.settings import PROJECT_ROOT
from rapport.validate.suites import Check, load_suites

PAGE = Path("docs") / "reference" / "checks.md"
_HEAD = """# Checks

For the data team. Rendered from `expectations/suites/` by `python -m rapport.validate.reference`;
do not edit. `rapport validate --explain CHECK` tells the same, with the last results.

**critical** holds the night: nothing is published. **warning** publishes with a visible mark.
**info** is recorded. ⛔ marks a check that can't be waived: it guards a promise of rapport.
How the limits of `history` are learned: [the gate](gate.md). After a refused night:
[runbook](../runbooks/refused-night.md).
"""


def render_checks(project_root: Path) -> str:
    """Return the page: a section a suite, an entry a check."""
    parts = [_HEAD]
    suites: dict[str, list[Check]] = {}
    for check in load_suites(project_root):
        suites.setdefault(check.suite, []).append(check)
    for suite, checks in suites.items():
        parts.append(f"\n## {suite.removesuffix('.yml')}\n\n{len(checks)} checks.\n")
        parts += [_entry(check) for check in checks]
    return "".join(parts)


def _entry(check: Check) -> str:
    mark = "" if check.waivable else " ⛔"
    return (
        f"\n### `{check.id}`\n\n"
        f"{check.severity}{mark} · `{check.table}` · owner: "
        f"{check.owner.replace('_', ' ')}\n\n"
        f"Expects: {check.expected}. {check.why} "
        f"When it does not hold: {check.advice}.\n"
    )


def main() -> None:
    """Write the page."""
    (PROJECT_ROOT / PAGE).write_text(render_checks(PROJECT_ROOT), encoding="utf-8")


if __name__ == "__main__":
    main()
