"""Run the gate's process, read its verdicts, decide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

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


def run_gate(settings: Settings, run_id: str) -> GateResult:
    """Judge tonight's candidate; a critical check that does not hold refuses the night.

    Raises:
        RapportError: the gate's process ended without a verdict; that is no pass.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "rapport.validate",
            str(settings.project_root),
            str(work_path(settings)),
            str(candidate_path(settings)),
        ],
        env={**os.environ, "GX_ANALYTICS_ENABLED": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RapportError(
            "the gate ended without a verdict; nothing was published",
            next_step="run rapport validate again; rapport doctor checks the machine",
            reason="gate_without_verdict",
        )
    verdicts = json.loads(done.stdout.splitlines()[-1])
    checks = [CheckResult(**verdict) for verdict in verdicts]
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
