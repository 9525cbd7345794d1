"""Run the gate's process, read its verdicts, decide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Self

from rapport.errors import RapportError
from rapport.privacy.at_rest import disk_keys
from rapport.settings import Settings
from rapport.state import CheckFinding, CheckResult, ControlState
from rapport.validate.suites import Check, load_suites
from rapport.validate.waivers import Waiver, load_waivers
from rapport.warehouse import candidate_path, work_path
from rapport.warehouse.connections import temp_folder

_NO_VERDICT = RapportError(
    "the gate ended without a verdict; nothing was published",
    next_step="run rapport validate again; rapport doctor checks the machine",
    reason="gate_without_verdict",
)


@dataclass(frozen=True)
class GateResult:
    """Every check of one night, and whether the night is refused.

    Attributes:
        checks: one result a check, in the order of the suites.
        refused: a critical check did not hold and is not waived.
        findings: where a check did not hold, for those that can say it.
        waived: the waiver of each check that did not hold and has one.
    """

    checks: list[CheckResult]
    refused: bool
    findings: dict[str, list[CheckFinding]] = field(default_factory=dict)
    waived: dict[str, Waiver] = field(default_factory=dict)


class Gate:
    """The gate's process, which loads its engine while the models are built.

    It reads nothing until it is asked, and answers as often as it is asked; it ends with
    its context.
    """

    def __init__(self, project_root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rapport.validate", str(project_root)],
            env={**os.environ, "GX_ANALYTICS_ENABLED": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    @property
    def pid(self) -> int:
        """The process that judges."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        self._process.communicate()

    def judge(
        self,
        databases: Mapping[str, Path],
        checks: Sequence[str] | None = None,
        limits: Mapping[str, str] | None = None,
        key: str = "",
    ) -> list[dict[str, Any]]:
        """Return one verdict a check.

        Args:
            databases: the files to judge: work, candidate or extract.
            checks: judge by these alone; by all by default.
            limits: what the engine may take of the machine; DuckDB's own by default.
            key: what opens them, in base64, where they are encrypted.

        Raises:
            RapportError: the process ended without a verdict; that is no pass.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        paths = {name: str(path) for name, path in databases.items()}
        bounds = dict(limits or {})
        # The key by the pipe: what starts a process may be seen by others.
        asked = json.dumps(
            {"databases": paths, "checks": checks, "limits": bounds, "key": key}
        )
        with suppress(BrokenPipeError):  # it ended; the empty answer tells
            self._process.stdin.write(asked + "\n")
            self._process.stdin.flush()
        said = self._process.stdout.readline()
        try:
            verdicts: list[dict[str, Any]] = json.loads(said)
        except ValueError:  # it ended, or said something else
            raise _NO_VERDICT from None
        return verdicts


def run_gate(settings: Settings, today: date, gate: Gate | None = None) -> GateResult:
    """Judge tonight's candidate; a critical check that does not hold refuses the night.

    Args:
        settings: the settings.
        today: the date that waivers are held against.
        gate: a process that was started ahead; one of its own by default.

    Raises:
        SettingsError: a waiver is not what it must be (exit 2).
        RapportError: the gate's process ended without a verdict; that is no pass.
    """
    waivers = load_waivers(settings).standing(today)
    databases = {"work": work_path(settings), "candidate": candidate_path(settings)}
    suites = [c for c in load_suites(settings.project_root) if c.database in databases]
    with gate or Gate(settings.project_root) as asked:
        keys = disk_keys(settings.home)
        verdicts = asked.judge(
            databases,
            limits=engine_limits(settings),
            key=keys[0].text if keys else "",
        )
    return decide(suites, verdicts, waivers)


def judge_extract(settings: Settings, path: Path) -> GateResult:
    """Judge a research package's tables (schema ``data`` of a DuckDB file).

    Raises:
        RapportError: the gate's process ended without a verdict; that is no pass.
    """
    suites = [c for c in load_suites(settings.project_root) if c.database == "extract"]
    with Gate(settings.project_root) as gate:
        verdicts = gate.judge({"extract": path}, limits=engine_limits(settings))
    return decide(suites, verdicts, [])


def engine_limits(settings: Settings) -> dict[str, str]:
    """Return what the gate's engine may take of the machine, by DuckDB's own names."""
    return {
        "memory_limit": settings.gate.memory_limit,
        "threads": str(settings.warehouse.threads),
        "temp_directory": str(temp_folder(settings)),
    }


def decide(
    suites: Sequence[Check],
    verdicts: Sequence[Mapping[str, Any]],
    waivers: Sequence[Waiver],
) -> GateResult:
    """Hold the verdicts against the suites and the waivers that stand.

    A check without a verdict is an error, and an error is never waived: nobody knows what
    is being let pass.
    """
    by_id = {verdict["check_name"]: verdict for verdict in verdicts}
    checks: list[CheckResult] = []
    findings: dict[str, list[CheckFinding]] = {}
    waived: dict[str, Waiver] = {}
    for check in suites:
        verdict = by_id.get(check.id, {"status": "error"})
        result = CheckResult(
            check.layer,
            check.table,
            check.id,
            check.severity,
            verdict["status"],
            verdict["status"] == "pass",
            verdict.get("observed"),
            check.expected,
        )
        checks.append(result)
        found = [CheckFinding(*row) for row in verdict.get("findings", ())]
        if found:
            findings[check.id] = found
        waiver = _waiver_of(check, result, found, waivers)
        if waiver is not None:
            waived[check.id] = waiver
    refused = any(
        c.severity == "critical" and not c.passed and c.check_name not in waived
        for c in checks
    )
    return GateResult(checks, refused, findings, waived)


def _waiver_of(
    check: Check,
    result: CheckResult,
    findings: Sequence[CheckFinding],
    waivers: Sequence[Waiver],
) -> Waiver | None:
    """Return the waiver that covers a failed check: all of it, or each source it names."""
    mine = [waiver for waiver in waivers if waiver.check == check.id]
    if result.status != "fail" or not mine or not check.waivable:
        return None
    whole = [waiver for waiver in mine if waiver.source is None]
    if whole:
        return whole[0]
    # A list that was cut short may leave out a source that nobody waived.
    is_complete = len(findings) == result.observed
    sources = {finding.source for finding in findings}
    if is_complete and sources and sources <= {waiver.source for waiver in mine}:
        return min(
            (waiver for waiver in mine if waiver.source in sources),
            key=lambda waiver: waiver.expires_on,
        )
    return None


def describe_refusal(settings: Settings, result: GateResult) -> list[str]:
    """Say, for each critical check that did not hold, what and where and what to do."""
    about = {check.id: check for check in load_suites(settings.project_root)}
    received = received_on(ControlState(settings.home))
    lines = []
    for check in result.checks:
        if (
            check.severity != "critical"
            or check.passed
            or check.check_name in result.waived
        ):
            continue
        lines.append(f"  {check.check_name}: {what_failed(check)}")
        lines.append(f"    expected: {check.expected}")
        lines += [
            f"    {describe_finding(finding, received)}"
            for finding in result.findings.get(check.check_name, [])
        ]
        lines.append(f"    next: {about[check.check_name].advice}")
        lines.append(f"    more: rapport validate --explain {check.check_name}")
    return lines


def what_failed(check: CheckResult) -> str:
    """Say in a few words how a check did not hold."""
    if check.status == "error":
        return f"the check itself could not run on {check.table_name}"
    n = int(check.observed or 0)
    if check.layer == "history":  # its rows are ours: one a delivered table or share
        return f"{n:,} {'delivery breaks' if n == 1 else 'findings break'} it"
    return f"{n:,} {'row breaks' if n == 1 else 'rows break'} it in {check.table_name}"


def received_on(state: ControlState) -> dict[str, date]:
    """Return the day each delivery was received: what a person knows an export by."""
    return {d.batch_id: d.received_at.date() for d in state.deliveries()}


def describe_finding(finding: CheckFinding, received: Mapping[str, date]) -> str:
    """Say where a check of the history did not hold, and by how much.

    Args:
        finding: what the gate found.
        received: the day each delivery was received; a delivery's own name is not told.
    """
    where = f"source {finding.source}, delivery {finding.batch_id}"
    if finding.batch_id in received:
        where += f" (received {received[finding.batch_id]})"
    if finding.table_name:
        where += f", table {finding.table_name}"
    lower, upper = finding.lower, finding.upper
    usual = ""
    if lower is not None and upper is not None:
        usual = f" (usually {_number(lower)} to {_number(upper)})"
    elif lower is not None:
        usual = f" (usually at least {_number(lower)})"
    elif upper is not None:
        usual = f" (usually at most {_number(upper)})"
    return f"{where}: {finding.metric} {_number(finding.value)}{usual}"


def _number(value: float) -> str:
    """Write a count or a share as a person would: no more digits than say something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
