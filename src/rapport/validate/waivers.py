"""Waivers: a person lets a check not hold for a while, with a reason (ADR 0027).

They stand in ``waivers.toml`` of RAPPORT_HOME, beside ``rapport.toml``, so that who waived
what and why can be read in one place. Each expires. Each use is written to the audit log.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rapport.errors import SettingsError, UsageError
from rapport.files import write_whole
from rapport.privacy import append_audit
from rapport.settings import SOURCE_NAME, Settings
from rapport.validate.suites import find_check

_HEAD = """# Checks that may fail for a while. rapport validate --waive adds one; delete a
# block to take it back. A reason may not hold a patient's value.
"""


class Waiver(BaseModel):
    """One check that may fail until a date, for one source or for all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str
    reason: str = Field(min_length=5, max_length=500)
    by: str = Field(min_length=2, max_length=80)
    expires_on: date
    source: str | None = Field(None, pattern=SOURCE_NAME.pattern)


@dataclass(frozen=True)
class Waivers:
    """What ``waivers.toml`` holds."""

    every: tuple[Waiver, ...]

    def standing(self, today: date) -> list[Waiver]:
        """List those that still hold; the last day is the one that is named."""
        return [waiver for waiver in self.every if waiver.expires_on >= today]

    def expired(self, today: date) -> list[Waiver]:
        """List those that no longer hold."""
        return [waiver for waiver in self.every if waiver.expires_on < today]


def waivers_path(settings: Settings) -> Path:
    """Return where the waivers stand."""
    return settings.home / "waivers.toml"


def load_waivers(settings: Settings) -> Waivers:
    """Read the waivers; one that expired is kept, and holds nothing.

    Raises:
        SettingsError: the file, a key, a check or a date is not what it must be (exit 2).
    """
    path = waivers_path(settings)
    if not path.exists():
        return Waivers(())
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise SettingsError("waivers.toml: not valid TOML", next_step=_mend()) from None
    problems = [f"  {key}: no such section" for key in said if key != "waiver"]
    waivers = []
    for number, entry in enumerate(said.get("waiver", []), start=1):
        try:
            waiver = Waiver.model_validate(entry)
            _check_waivable(settings, waiver)
            waivers.append(waiver)
        except ValidationError as error:
            problems += [
                f"  waiver {number}, {'.'.join(map(str, problem['loc']))}: "
                + (
                    "no such key"
                    if problem["type"] == "extra_forbidden"
                    else problem["msg"]
                )
                for problem in error.errors(include_input=False, include_url=False)
            ]
        except UsageError as error:
            problems.append(f"  waiver {number}: {error.message}")
    if problems:
        raise SettingsError(
            "\n".join(["waivers.toml is not valid:", *problems]), next_step=_mend()
        )
    return Waivers(tuple(waivers))


def _mend() -> str:
    return "correct waivers.toml, or take the block out (docs/how-to/waive-a-check.md)"


def _check_waivable(settings: Settings, waiver: Waiver) -> None:
    check = find_check(settings.project_root, waiver.check)
    if not check.waivable:
        raise UsageError(
            f"{check.id} can't be waived: {check.why}", next_step=check.advice
        )
    if waiver.source is not None and not check.has_source:
        raise UsageError(
            f"{check.id} is not of one source: leave --source out",
            next_step="rapport validate --explain CHECK says what a check reads",
        )


def add_waiver(settings: Settings, waiver: Waiver, today: date) -> None:
    """Write a waiver, and its entry in the audit log.

    Raises:
        UsageError: the check is unknown or can't be waived, or the date is out of range.
    """
    standing = load_waivers(settings)
    _check_waivable(settings, waiver)
    last = today + timedelta(days=settings.gate.max_waiver_days)
    if not today <= waiver.expires_on <= last:
        raise UsageError(
            f"a waiver ends between today and {last} (gate.max_waiver_days)",
            next_step="choose an earlier --until; a waiver can be given again",
        )
    append_audit(settings.home, "waiver_added", _object(waiver), waiver.reason)
    kept = [
        w
        for w in standing.every
        if (w.check, w.source) != (waiver.check, waiver.source)
    ]
    _write(waivers_path(settings), [*kept, waiver])


def log_use(settings: Settings, waivers: Iterable[Waiver], run_id: str) -> None:
    """Write to the audit log that a night was let pass by these waivers."""
    for waiver in waivers:
        append_audit(
            settings.home,
            "waiver_applied",
            f"{_object(waiver)}, run {run_id}",
            waiver.reason,
        )


def _object(waiver: Waiver) -> str:
    of = f" of source {waiver.source}" if waiver.source else ""
    return f"check {waiver.check}{of}, by {waiver.by}, until {waiver.expires_on}"


def _write(path: Path, waivers: list[Waiver]) -> None:
    blocks = []
    for waiver in waivers:
        lines = ["[[waiver]]", f"check = {_quoted(waiver.check)}"]
        if waiver.source is not None:
            lines.append(f"source = {_quoted(waiver.source)}")
        lines += [
            f"reason = {_quoted(waiver.reason)}",
            f"by = {_quoted(waiver.by)}",
            f"expires_on = {waiver.expires_on.isoformat()}",
        ]
        blocks.append("\n".join(lines) + "\n")
    write_whole(path, "\n".join([_HEAD, *blocks]))


def _quoted(text: str) -> str:
    """Write a TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(text, ensure_ascii=True)
