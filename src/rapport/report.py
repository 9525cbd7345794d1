"""What the commands tell a person: the summary of a night, the status, the doctor."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from importlib import metadata
from typing import Any

from rapport import observe
from rapport.encryption import plain_files
from rapport.errors import RapportError
from rapport.ingest.inbox import discover
from rapport.ingest.reasons import PAGE, meaning_of
from rapport.night import waiting_or_broken
from rapport.privacy import KeyRing, verify_audit
from rapport.privacy.at_rest import disk_keys
from rapport.privacy.backup import needs_backup
from rapport.settings import Settings, setting_sources
from rapport.sharing import group_id, researcher_group_id, too_open
from rapport.state import ControlState
from rapport.validate import (
    describe_finding,
    find_check,
    load_suites,
    load_waivers,
    received_on,
)
from rapport.warehouse import in_memory, open_published, published_path
from rapport.warehouse.integrity import damage_of

_MOST_LINES = 20


def new_quarantine(settings: Settings) -> set[tuple[Any, ...]]:
    """Return everything in quarantine, to be told apart from what comes after."""
    return {tuple(row) for row in ControlState(settings.home).refusals()}


def quarantine_lines(settings: Settings, refusals: set[tuple[Any, ...]]) -> list[str]:
    """Say what was refused, where and why, without a value; grouped and capped."""
    if not refusals:
        return []
    state = ControlState(settings.home)
    rows_in: dict[tuple[str, str], int] = {}
    for batch, _, file, _, n_in, *_ in state.ledger():
        rows_in[batch, file] = rows_in.get((batch, file), 0) + n_in
    lines: list[str] = []
    groups: dict[tuple[str, str, str], list[tuple[Any, ...]]] = {}
    for row in sorted(refusals, key=lambda r: tuple(str(part) for part in r)):
        batch, source, file = row[:3]
        groups.setdefault((source, batch, file), []).append(row)
    for (source, batch, file), found in groups.items():
        n = max(1, sum(row[6] for row in found))
        total = rows_in.get((batch, file), 0)
        what = f"{n:,} of {total:,} rows" if found[0][6] else "a file"
        lines.append(f"Quarantined {what}: source {source}, delivery {batch}, {file}")
        for _, _, _, _, column, reason, n_rows, first in found[:_MOST_LINES]:
            where = f"first in row {first}" if first else "the whole file"
            where += f", column {column}" if column else ""
            times = f" ({n_rows:,} rows)" if n_rows > 1 else ""
            lines.append(f"  {where}: {meaning_of(reason)}{times} [{reason}]")
        if len(found) > _MOST_LINES:
            lines.append(f"  … and {len(found) - _MOST_LINES} more reasons")
    batches = sorted({batch for _, batch, _ in groups})
    which = batches[0] if len(batches) == 1 else "BATCH"
    lines.append(
        "Everything else is loaded. Correct these in the export or the mapping, then: "
        f"rapport quarantine retry {which}. Why, and which rows: rapport quarantine show "
        f"{which}. Steps: docs/how-to/fix-quarantined-rows.md; reasons: {PAGE}"
    )
    return lines


def status_of(settings: Settings) -> dict[str, Any]:
    """Return what a monitor or a person asks in the morning, as plain data."""
    state = ControlState(settings.home)
    runs, deliveries = state.nights(), state.deliveries()
    last = runs[-1] if runs else None
    ledger = state.ledger()
    names = ("in", "loaded", "quarantined", "filtered", "footer", "blank")
    rows = {name: sum(row[4 + i] for row in ledger) for i, name in enumerate(names)}
    checks = state.checks(last.run_id) if last else []
    waiting = discover(settings, settle=False)
    refusals = [dict(row) for row in state.refusals()]
    overdue = [
        w
        for w in waiting.waiting
        if w.oldest_hours > settings.inbox.incomplete_after_hours
    ]
    extracts, ledger_notices = waiting_or_broken(settings)
    published = published_path(settings)
    now = datetime.now(UTC)
    return {
        "home": str(settings.home),
        "last_run": last
        and {
            "run_id": last.run_id,
            "as_of": last.as_of.isoformat(),
            "outcome": last.outcome,
            "started_at": last.started_at.isoformat(timespec="seconds"),
        },
        "snapshot": {
            "path": str(published),
            "exists": published.exists(),
            "age_hours": round((now.timestamp() - published.stat().st_mtime) / 3600, 2)
            if published.exists()
            else None,
        },
        "deliveries": {
            "known": len(deliveries),
            "refused": sum(d.outcome == "refused" for d in deliveries),
            "partly_loaded": sum(d.outcome == "partly_loaded" for d in deliveries),
            "incomplete": [
                {
                    "source": w.source,
                    "n_deliveries": w.n_deliveries,
                    "oldest_hours": round(w.oldest_hours, 1),
                    "reason": "delivery_incomplete",
                }
                for w in waiting.waiting
            ],
            "sources_with_unusable_names": waiting.n_unnamed_sources,
        },
        "rows": rows,
        "gate": {
            "checks": len(checks),
            "passed": sum(bool(row[6]) for row in checks),
            "failed": _failed_checks(settings, state, last.run_id) if last else [],
            "expired_waivers": [
                {"check_name": w.check, "expires_on": w.expires_on.isoformat()}
                for w in load_waivers(settings).expired(now.date())
            ],
        },
        "heartbeat": _heartbeat(settings),
        "quarantine": refusals,
        "extracts": {
            "waiting": extracts,
            "notices": ledger_notices,
            "ended_studies": [] if ledger_notices else _ended_studies(settings),
        },
        "notices": [dict(row) for row in state.notices()],
        "open_signals": _open_signals(settings),
        "needs_person": bool(
            refusals
            or overdue
            or extracts
            or ledger_notices
            or (last is not None and last.outcome == "refused")
        ),
    }


def _ended_studies(settings: Settings) -> list[dict[str, Any]]:
    """Return the studies whose use has ended, and what became of their keys."""
    if not (settings.home / "extracts" / "ledger.jsonl").exists():
        return []
    from rapport.extracts.lifecycle import studies

    today = datetime.now(UTC).date()
    return [
        {
            "study": study.name,
            "ends_on": study.ends_on.isoformat(),
            "key_until": study.key_until.isoformat(),
            "has_key": study.has_key,
        }
        for study in studies(settings.home)
        if study.ends_on < today
    ]


def _failed_checks(
    settings: Settings, state: ControlState, run_id: str
) -> list[dict[str, Any]]:
    """List the checks of a run that did not hold, gravest first, with what to do."""
    order = {"critical": 0, "warning": 1, "info": 2}
    advice = {check.id: check.advice for check in load_suites(settings.project_root)}
    waived, findings = state.waived(), state.findings(run_id)
    received = received_on(state)
    failed = []
    for (
        _,
        layer,
        table,
        name,
        severity,
        status,
        passed,
        observed,
        expected,
    ) in state.checks(run_id):
        if passed:
            continue
        until = waived.get((run_id, name))
        failed.append(
            {
                "check_name": name,
                "layer": layer,
                "table_name": table,
                "severity": severity,
                "status": status,
                "observed": observed,
                "expected": expected,
                "where": [
                    describe_finding(found, received)
                    for found in findings.get(name, [])
                ],
                "advice": advice.get(name, ""),
                "waived_until": until.isoformat() if until else None,
            }
        )
    return sorted(failed, key=lambda check: order[check["severity"]])


def _heartbeat(settings: Settings) -> dict[str, Any] | None:
    path = settings.home / "state" / "heartbeat.json"
    if not path.exists():
        return None
    said: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return said


def explain_check(settings: Settings, name: str) -> dict[str, Any]:
    """Return what a check means, why it exists, what to do, and its last results.

    Raises:
        UsageError: there is no such check (exit 2); the nearest names are told.
    """
    check = find_check(settings.project_root, name)
    state = ControlState(settings.home)
    runs = {run.run_id: run for run in state.runs()}
    waived, received = state.waived(), received_on(state)
    results = [
        {
            "run_id": run_id,
            "as_of": runs[run_id].as_of.isoformat(),
            "outcome": runs[run_id].outcome,
            "status": status,
            "observed": observed,
            "waived": (run_id, name) in waived,
            "where": [
                describe_finding(f, received)
                for f in state.findings(run_id).get(name, [])
            ],
        }
        for run_id, _, _, check_name, _, status, _, observed, _ in state.checks()
        if check_name == name
    ]
    results.sort(key=lambda row: runs[row["run_id"]].started_at, reverse=True)
    return {
        "check_name": check.id,
        "layer": check.layer,
        "table_name": check.table,
        "severity": check.severity,
        "owner": check.owner,
        "expected": check.expected,
        "why": check.why,
        "advice": check.advice,
        "waivable": check.waivable,
        "waivers": [
            w.model_dump(mode="json", exclude={"reason"})
            for w in load_waivers(settings).every
            if w.check == name
        ],
        "suite": f"expectations/suites/{check.suite}",
        "results": results[:_MOST_RESULTS],
    }


_MOST_RESULTS = 10
WHAT_SEVERITY_MEANS = {
    "critical": "the night is held: nothing is published",
    "warning": "the night is published with a visible mark",
    "info": "it is recorded, nothing else",
}


def print_check(found: dict[str, Any]) -> None:
    """Print what a check means for a person, on stdout."""
    print(f"{found['check_name']} · {found['layer']} · {found['table_name']}")
    severity = found["severity"]
    print(f"  expects     {found['expected']}")
    print(f"  why         {found['why']}")
    print(f"  when not    {severity}: {WHAT_SEVERITY_MEANS[severity]}")
    print(f"  what to do  {found['advice']}")
    print(f"  owner       {found['owner'].replace('_', ' ')}")
    if not found["waivable"]:
        print("  waiver      none is possible: it guards a promise of rapport")
    elif found["severity"] == "critical":
        print(
            f"  waiver      rapport validate --waive {found['check_name']} --reason TEXT"
            " --by NAME --until DATE"
        )
    for waiver in found["waivers"]:
        of = f" for source {waiver['source']}" if waiver["source"] else ""
        print(f"  waiver      until {waiver['expires_on']}{of}")
    print(f"  suite       {found['suite']}")
    for result in found["results"]:
        n = "" if result["observed"] is None else f", {_rows(result['observed'])}"
        mark = ", waived" if result["waived"] else ""
        print(
            f"  {result['as_of']}  {result['status']}{n}{mark}"
            f" (night {result['outcome']}, {result['run_id']})"
        )
        for where in result["where"]:
            print(f"              {where}")
    if not found["results"]:
        print("  no night was checked by it yet")


def _rows(n: float) -> str:
    return f"{n:,.0f} {'row' if n == 1 else 'rows'}"


def _open_signals(settings: Settings) -> int | None:
    """Count open care signals; None before the first night."""
    if not published_path(settings).exists():
        return None
    with open_published(settings) as con:
        row = con.execute(
            "select count(*) from outcomes.fct_care_signal where status = 'open'"
        ).fetchone()
    return int(row[0]) if row else 0


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(document, indent=2, default=_plain))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def print_status(found: dict[str, Any]) -> None:
    """Print the status for a person, on stdout."""
    last = found["last_run"]
    print(f"rapport · {found['home']}")
    if last:
        print(
            f"  last run    {last['run_id']}: {last['outcome']}, as of {last['as_of']}"
        )
    else:
        print("  last run    none yet: put an export into inbox/, then rapport night")
    snapshot = found["snapshot"]
    if snapshot["exists"]:
        print(
            f"  snapshot    {snapshot['age_hours']:.1f} hours old: {snapshot['path']}"
        )
    known = found["deliveries"]
    print(
        f"  deliveries  {known['known']} known, {known['partly_loaded']} partly loaded, "
        f"{known['refused']} refused"
    )
    for waiting in known["incomplete"]:
        print(
            f"  waiting     {waiting['n_deliveries']} of source {waiting['source']} without"
            f" _SUCCESS, the oldest for {waiting['oldest_hours']} hours"
            " [delivery_incomplete]"
        )
    if known["sources_with_unusable_names"]:
        print(
            f"  waiting     {known['sources_with_unusable_names']} folders of inbox/ are not"
            " read: name a source with a-z, 0-9, - and _"
        )
    rows = found["rows"]
    print("  rows        " + ", ".join(f"{n:,} {name}" for name, n in rows.items()))
    gate = found["gate"]
    if gate["checks"]:
        print(f"  gate        {gate['passed']} of {gate['checks']} checks passed")
        for check in gate["failed"]:
            _print_failed(check)
        for waiver in gate["expired_waivers"]:
            print(
                f"  waiver      of {waiver['check_name']} ended on {waiver['expires_on']}:"
                " it holds no longer"
            )
    if found["open_signals"] is not None:
        print(f"  signals     {found['open_signals']} open care signals")
    for row in found["quarantine"][:_MOST_LINES]:
        where = f"{row['source']} {row['batch_id']} {row['file']}"
        print(f"  quarantine  {where}: {row['n_rows']} rows [{row['reason']}]")
    for id_ in found["extracts"]["waiting"][:_MOST_LINES]:
        print(f"  extract     {id_} waits for approval: rapport extract review {id_}")
    for line in found["extracts"]["notices"]:
        print(f"  extract     {line}")
    for row in found["extracts"]["ended_studies"][:_MOST_LINES]:
        what = f"goes on {row['key_until']}" if row["has_key"] else "is destroyed"
        print(f"  study       {row['study']} ended on {row['ends_on']}: its key {what}")
    seen: dict[str, int] = {}
    for row in found["notices"]:
        seen[row["reason"]] = seen.get(row["reason"], 0) + max(1, row["n_rows"])
    for reason, n in sorted(seen.items()):
        print(f"  noticed     {n:,} × {reason}")
    if last and last["outcome"] == "refused":
        print("  next        docs/runbooks/refused-night.md")
    elif found["quarantine"]:
        print("  next        docs/how-to/fix-quarantined-rows.md")
    elif found["extracts"]["waiting"]:
        print("  next        docs/how-to/approve-an-extract.md")


def _print_failed(check: dict[str, Any]) -> None:
    """Print a check that did not hold: in one line, or with what to do if it matters."""
    mark = f" (waived until {check['waived_until']})" if check["waived_until"] else ""
    how = ", could not run" if check["status"] == "error" else ""
    print(f"              {check['severity']}: {check['check_name']}{how}{mark}")
    for where in check["where"] if check["severity"] != "info" else []:
        print(f"                {where}")
    if check["severity"] == "critical" and not mark:
        print(f"                expected: {check['expected']}")
        print(f"                next: {check['advice']}")
        print(f"                more: rapport validate --explain {check['check_name']}")


def print_summary(settings: Settings, run_id: str) -> None:
    """End a night: where the rows went, what was found, where it is, what next."""
    state = ControlState(settings.home)
    ledger = state.ledger()
    names = ("in", "loaded", "quarantined", "filtered", "footer", "blank")
    rows = [sum(row[4 + i] for row in ledger) for i in range(len(names))]
    checks = state.checks(run_id)
    with open_published(settings) as con:
        patterns = con.execute(
            "select pattern, count(*) from alliance.rupture_cohort"
            " where method = 'default_rc3' group by 1 order by 1"
        ).fetchall()
        n_ruptures = con.execute(
            "select count(*) from alliance.fct_rupture where method = 'default_rc3'"
        ).fetchone()
    n_open = _open_signals(settings)
    warned = [row[3] for row in checks if not row[6] and row[4] != "info"]
    observe.say("")
    observe.say(
        f"  rows        {rows[0]:,} in: "
        + ", ".join(
            f"{n:,} {name}" for name, n in zip(names[1:], rows[1:], strict=True)
        )
    )
    observe.say(
        f"  ruptures    {n_ruptures[0] if n_ruptures else 0} found; episodes: "
        + ", ".join(f"{n} {pattern}" for pattern, n in patterns)
    )
    observe.say(f"  signals     {n_open} open care signals")
    observe.say(
        f"  checks      {sum(bool(row[6]) for row in checks)} of {len(checks)} passed"
        + (f"; warnings: {', '.join(warned)}" if warned else "")
    )
    observe.say(f"  snapshot    {published_path(settings)}")
    observe.say(f"  dashboard   {settings.home / 'dashboard' / 'index.html'}")
    run = state.run(run_id)
    observe.say(f"  digest      {settings.home / 'digest' / f'{run.as_of}.html'}")
    observe.say(
        '  next        rapport sql "select pattern, count(*) from alliance.rupture_cohort'
        " where method = 'default_rc3' group by 1\""
    )


def print_house(steps: list[dict[str, Any]]) -> None:
    """Print what housekeeping came to, a line a step, on stdout."""
    for step in steps:
        if not step["ok"]:
            print(f"✗ {step['step']}: {step['error']}")
            print(f"    Next: {step['next']}")
            continue
        said = ", ".join(
            f"{value:,} {name.removeprefix('n_').replace('_', ' ')}"
            if isinstance(value, int)
            else f"{name.replace('_', ' ')} {value}"
            for name, value in step["counts"].items()
        )
        print(f"✓ {step['step']}: {said}")


def doctor_findings(settings: Settings) -> dict[str, Any]:
    """Check the machine and the folders; each finding says how to mend it."""
    checks: list[dict[str, Any]] = []

    def warn(what: str, said: str, mend: str) -> None:
        checks.append(
            {"what": what, "ok": True, "warns": True, "said": said, "mend": mend}
        )

    def add(what: str, ok: bool, said: str, mend: str = "") -> None:
        checks.append({"what": what, "ok": ok, "said": said, "mend": mend})

    version = platform.python_version()
    add("python", sys.version_info[:2] == (3, 11), version, "install Python 3.11")
    for package in ("duckdb", "dbt-duckdb", "great-expectations", "apache-airflow"):
        try:
            add(package, True, metadata.version(package))
        except metadata.PackageNotFoundError:
            add(package, False, "not installed", "run make setup")
    free = shutil.disk_usage(settings.home).free / 1e9
    add("disk", free > 1, f"{free:.1f} GB free", "free at least 1 GB")
    open_files, delivered = too_open(settings)
    checks.append(
        {
            "what": "permissions",
            "ok": not open_files,
            "said": f"{len(open_files)} too open" if open_files else "closed to others",
            "mend": "run the chmod of each line",
            "files": [_closing(settings, name) for name in open_files],
        }
    )
    if delivered:
        warn(
            "inbox",
            f"{len(delivered)} delivered files or folders are open to others",
            f"chmod -R go-rwx {settings.home / 'inbox'}",
        )
    try:
        group_id(settings)
        researcher_group_id(settings)
    except RapportError as error:
        add("shared group", False, error.message, error.next_step)
    try:
        if (settings.home / "vault" / "keys").exists():
            KeyRing.of(settings)
        add("row key", True, "readable, and the one of this vault")
    except RapportError as error:
        add("row key", False, error.message, error.next_step)
    _add_encryption(settings, add, warn)
    if needs_backup(settings.home):
        warn(
            "vault backup",
            "none is younger than the newest key",
            "rapport vault backup --out FILE (docs/how-to/back-up-the-vault.md)",
        )
    damage, lines = damage_of(settings)
    said = [*map(str, damage), *lines]
    add(
        "files",
        not said,
        "every file is what rapport wrote" if not said else "; ".join(said[:5]),
        "docs/runbooks/corrupt-file.md",
    )
    broken = verify_audit(settings.home, _audit_copies(settings))
    add(
        "audit log",
        not broken,
        "the chain and its nightly copies hold"
        if not broken
        else "; ".join(broken[:5]),
        "keep the file as it is and find out who changed it",
    )
    return {
        "home": str(settings.home),
        "settings": [{"name": s.name, "origin": s.origin} for s in setting_sources()],
        "checks": checks,
    }


def _add_encryption(
    settings: Settings,
    add: Callable[[str, bool, str, str], None],
    warn: Callable[[str, str, str], None],
) -> None:
    """Say whether what lies on the disk is encrypted as it is set, and by which key."""
    security = settings.security
    if not security.encrypt_at_rest:
        return
    try:
        with in_memory(disk_keys(settings.home)):
            plain = plain_files(settings)
    except RapportError as error:
        add("encryption", False, error.message, error.next_step)
        return
    add(
        "encryption",
        not plain,
        f"{len(plain)} files lie plain" if plain else "all that is to be is encrypted",
        "run rapport night: it begins by encrypting them",
    )
    if security.key_file is None:
        warn(
            "key",
            "lies on the disk that it encrypts: whoever takes the disk has it",
            "point security.key_file at a mounted secret (docs/how-to/encrypt-the-disk.md)",
        )
    if "published" in security.shared_read:
        warn(
            "shared snapshot",
            "its group cannot open it: only who reads the vault can",
            "take published out of security.shared_read",
        )


def _audit_copies(settings: Settings) -> set[str]:
    """Return the heads of the audit log that nights copied, here and in the snapshot."""
    copies = {run.audit_head for run in ControlState(settings.home).runs()}
    if published_path(settings).exists():
        with open_published(settings) as con:
            rows = con.execute("select distinct audit_head from ops.run").fetchall()
        copies |= {head for (head,) in rows}
    return {head for head in copies if head}


def _closing(settings: Settings, name: str) -> str:
    """Return the command that closes one file or folder."""
    is_shared = name.split("/")[0] in settings.security.shared_read
    return f"chmod {'g-w,o-rwx' if is_shared else 'go-rwx'} {settings.home / name}"


def print_doctor(findings: dict[str, Any]) -> None:
    """Print the doctor's findings for a person, on stdout."""
    print(f"rapport doctor · {findings['home']}")
    for check in findings["checks"]:
        warns = check.get("warns", False)
        mark = "!" if warns else "✓" if check["ok"] else "✗"
        print(f"  {mark} {check['what']:<20} {check['said']}")
        if not check["ok"] or warns:
            print(f"      mend: {check['mend']}")
        for line in check.get("files", []):
            print(f"      {line}")
    for setting in findings["settings"]:
        print(f"  · {setting['name']} is set in {setting['origin']}")
    if not findings["settings"]:
        print("  · every setting is at its default")


def detector_lines(found: dict[str, Any]) -> list[str]:
    """Lay out what ``demo check`` found: a line a method, then the pairs' kappa."""
    lines = [
        "method              planted detectable   found  recall published precision"
        "  stable with rupture   share"
    ]
    for method in found["methods"]:
        lines.append(
            f"{method['method']:<18}{method['n_planted']:>9}{method['n_detectable']:>11}"
            f"{method['n_found']:>8}{_decimal(method['recall']):>8}"
            f"{method['n_published']:>10}{_decimal(method['precision']):>10}"
            f"{method['n_stable']:>8}{method['n_stable_with_rupture']:>13}"
            f"{_decimal(method['false_alarm_share']):>8}"
        )
    lines += ["", "agreement of two methods on the episodes that both could assess"]
    for pair in found["agreement"]:
        lines.append(
            f"{pair['method_a']:<18}{pair['method_b']:<18}{pair['n_episodes']:>6}"
            f"  agreement {_decimal(pair['agreement'])}  kappa {_decimal(pair['kappa'])}"
        )
    return lines


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
