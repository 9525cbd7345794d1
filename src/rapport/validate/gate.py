"""Run the gate's process, read its verdicts, decide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Self

from rapport.errors import RapportError
from rapport.settings import Settings
from rapport.state import CheckResult
from rapport.validate.suites import load_suites
from rapport.warehouse import candidate_path, work_path


@dataclass(frozen=True)
class GateResult:
    """Every check of one night, and whether the night is refused."""

    checks: list[CheckResult]
    refused: bool


class Gate:
    """The gate's process, which loads its engine while the models are built.

    It reads nothing until it is asked; one that is never asked ends with its context.
    """

    def __init__(self, settings: Settings) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "rapport.validate",
                str(settings.project_root),
                str(work_path(settings)),
                str(candidate_path(settings)),
            ],
            env={**os.environ, "GX_ANALYTICS_ENABLED": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        self._process.communicate()

    def verdicts(self) -> str | None:
        """Let it judge; return its verdicts as JSON, or None when it gave none."""
        said, _ = self._process.communicate("judge\n")
        lines = said.splitlines()
        return lines[-1] if self._process.returncode == 0 and lines else None


def run_gate(settings: Settings, gate: Gate | None = None) -> GateResult:
    """Judge tonight's candidate; a critical check that does not hold refuses the night.

    Args:
        settings: the settings.
        gate: a process that was started ahead; one of its own by default.

    Raises:
        RapportError: the gate's process ended without a verdict; that is no pass.
    """
    with gate or Gate(settings) as asked:
        said = asked.verdicts()
    if said is None:
        raise RapportError(
            "the gate ended without a verdict; nothing was published",
            next_step="run rapport validate again; rapport doctor checks the machine",
            reason="gate_without_verdict",
        )
    checks = [CheckResult(**verdict) for verdict in json.loads(said)]
    refused = any(c.severity == "critical" and not c.passed for c in checks)
    return GateResult(checks, refused)


def describe_refusal(settings: Settings, result: GateResult) -> list[str]:
    """Say, for each critical check that did not hold, what and where and what to do."""
    advice = {check.id: check for check in load_suites(settings.project_root)}
    lines = []
    for check in result.checks:
        if check.severity != "critical" or check.passed:
            continue
        if check.status == "error":
            what = "the check itself could not run"
        else:
            n = int(check.observed or 0)
            what = f"{n:,} {'row breaks' if n == 1 else 'rows break'} it"
        about = advice[check.check_name]
        lines.append(f"  {check.check_name} on {check.table_name}: {what}")
        lines.append(f"    expected: {check.expected}")
        lines.append(f"    next: {about.advice}")
    return lines
