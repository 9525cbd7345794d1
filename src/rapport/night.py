"""The chain of a night, step by step: what the commands and the DAGs both call.

Each step can be repeated, takes the settings and returns counts, codes and opaque ids
only: nothing that a task may not keep (privacy.md B1).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, TypeAlias, cast
from zoneinfo import ZoneInfo

from rapport import alerts, observe
from rapport.encryption import settle_encryption
from rapport.errors import (
    GateRefused,
    KeyMissing,
    RapportError,
    RequestInvalid,
    UsageError,
    WriterBusy,
)
from rapport.health import tells_health
from rapport.ingest.inbox import Found, discover
from rapport.ingest.load import Door
from rapport.privacy import KeyRing, Vault, append_audit, audit_head
from rapport.privacy.keys import REBUILD
from rapport.quarantine import delivery_of
from rapport.settings import Settings
from rapport.sharing import group_id, researcher_group_id, share
from rapport.space import require_room
from rapport.state import ControlState, Delivery, Refusal, Run, writer_lock
from rapport.warehouse import (
    Dbt,
    build_candidate,
    candidate_mark,
    publish_snapshot,
    published_path,
    published_runs,
)
from rapport.warehouse.build import night_inputs
from rapport.warehouse.increment import published_run
from rapport.warehouse.integrity import set_damaged_aside
from rapport.warehouse.publish import (
    first_seen_in,
    keep_past_night,
    signal_entries_in,
)

if TYPE_CHECKING:
    from rapport.validate import Gate

Safe: TypeAlias = Mapping[str, int | float | bool | str]
# What a step of a published run comes to: it is not done a second time.
_STANDS: Safe = {"outcome": "stands"}


def open_keys(settings: Settings) -> KeyRing:
    """Return the key ring; only a RAPPORT_HOME that knows no delivery makes a new key.

    Raises:
        KeyMissing: a key is missing, or the vault is another RAPPORT_HOME's (exit 2).
    """
    known = ControlState(settings.home).deliveries()
    keys = KeyRing.of(settings, may_create=not known)
    _hold_against_vault(settings, keys, known)
    settle_encryption(settings)
    return keys


def _hold_against_vault(
    settings: Settings, keys: KeyRing, known: list[Delivery]
) -> None:
    """A whole vault may have been swapped: what the ledger knows must be of its making."""
    named = Vault(settings.home).delivery_sources() if known else {}
    for delivery in known:
        source, delivery_id = named.get(delivery.batch_id, ("", ""))
        if keys.batch_id(source, delivery_id) != delivery.batch_id:
            raise KeyMissing(
                "this vault did not make the keys of this RAPPORT_HOME (another clinic's,"
                " or older than its last deliveries); nothing was read",
                next_step="restore this clinic's newest vault: docs/how-to/restore-the-vault.md",
                reason="vault_foreign",
            )


def discover_deliveries(settings: Settings) -> list[str]:
    """List the batch ids of complete deliveries that the ledger does not know.

    A known delivery whose bytes changed is recorded as refused, and what was loaded of it
    stays.
    """
    with writer_lock(settings.home):
        require_room(settings)
        log_weakened(settings)
        keys = open_keys(settings)
        return [batch for batch, _ in _new_deliveries(settings, keys)]


def log_weakened(settings: Settings) -> None:
    """Write to the audit log each setting that guards less than when it was last used.

    What a first night finds is held against the defaults. A setting that is made strict
    again, and weakened once more, is written once more.
    """
    with writer_lock(settings.home):
        state = ControlState(settings.home)
        before = state.guards()
        sources = [name.split(".")[1] for name in before if name.startswith("source.")]
        guards = settings.guards(sources)
        for name, guard in guards.items():
            was = before.get(name, guard.default)
            if guard.weaker.is_weaker(guard.value, was):
                append_audit(
                    settings.home,
                    "setting_weakened",
                    f"{name}: {json.dumps(was)} to {json.dumps(guard.value)}",
                    "set in rapport.toml or the environment",
                )
        state.remember_guards({name: guard.value for name, guard in guards.items()})


def _new_deliveries(settings: Settings, keys: KeyRing) -> list[tuple[str, Found]]:
    state = ControlState(settings.home)
    known = {delivery.batch_id: delivery for delivery in state.deliveries()}
    new = []
    for found in discover(settings).complete:
        batch = keys.batch_id(found.source, found.delivery_id)
        if batch not in known:
            new.append((batch, found))
        else:
            _hold_against_ledger(state, known[batch], found)
    return new


def _hold_against_ledger(state: ControlState, known: Delivery, found: Found) -> None:
    mark = found.stat_mark()
    if mark == known.stat_mark:
        return
    if found.digest() == known.digest:
        state.remember_stat_mark(known.batch_id, mark)
        return
    is_new = state.add_refusal(
        known, Refusal("delivery", "", "", "delivery_changed", 0, None)
    )
    if is_new:
        observe.event("delivery_changed", batch_id=known.batch_id, source=known.source)


@tells_health
def load_delivery(settings: Settings, batch_id: str) -> Safe:
    """Take one complete delivery through the door, in one transaction."""
    with writer_lock(settings.home):
        keys = open_keys(settings)
        for batch, found in _new_deliveries(settings, keys):
            if batch == batch_id:
                with Door(settings, keys) as door:
                    return _load(door, found, ControlState(settings.home))
    return {"batch_id": batch_id, "outcome": "known"}


def _load(
    door: Door, found: Found, state: ControlState, replaces: Delivery | None = None
) -> Safe:
    outcome = door.load(found, state, replaces=replaces)
    counts: dict[str, int | str] = {
        "batch_id": outcome.batch_id,
        "source": outcome.source,
        "outcome": outcome.outcome,
        "n_rows_in": outcome.rows_in,
        "n_rows_loaded": outcome.rows_loaded,
        "n_rows_quarantined": outcome.rows_quarantined,
        "n_rows_filtered": outcome.rows_filtered,
        "n_rows_footer": outcome.rows_footer,
        "n_rows_blank": outcome.rows_blank,
    }
    observe.event("delivery_loaded", **counts)
    return counts


def retry_delivery(settings: Settings, batch_id: str) -> Safe:
    """Read a known delivery again, as it lies in the inbox now.

    This is how a person says that a corrected file, or a corrected mapping, is right. What
    was loaded of it is replaced in one transaction.

    Raises:
        UsageError: the ledger knows no such delivery, or the inbox has it no longer.
    """
    with writer_lock(settings.home):
        known = delivery_of(settings, batch_id)
        keys = open_keys(settings)
        for found in discover(settings).complete:
            if keys.batch_id(found.source, found.delivery_id) != batch_id:
                continue
            append_audit(settings.home, "quarantine_retry", batch_id, "read again")
            with Door(settings, keys) as door:
                return _load(door, found, ControlState(settings.home), known)
    raise UsageError(
        f"delivery {batch_id} is no longer in the inbox",
        next_step="deliver the corrected export under a new delivery id",
        reason="delivery_gone",
    )


@tells_health
def ingest(settings: Settings) -> Safe:
    """Take every complete delivery of the inbox through the door.

    Returns:
        Counts of deliveries and rows; ``n_quarantined`` counts refusals of this step.
    """
    with writer_lock(settings.home):
        require_room(settings)
        log_weakened(settings)
        keys = open_keys(settings)
        state = ControlState(settings.home)
        changed_before = len(state.refusals())
        new = _new_deliveries(settings, keys)
        with Door(settings, keys) as door:
            loaded = [_load(door, found, state) for _, found in new]
    return {
        "n_deliveries": len(loaded),
        "n_rows_in": _sum(loaded, "n_rows_in"),
        "n_rows_loaded": _sum(loaded, "n_rows_loaded"),
        "n_rows_quarantined": _sum(loaded, "n_rows_quarantined"),
        "n_rows_filtered": _sum(loaded, "n_rows_filtered"),
        "n_refusals": len(state.refusals()) - changed_before,
    }


def _sum(rows: list[Safe], name: str) -> int:
    return sum(cast(int, row[name]) for row in rows)


def today(settings: Settings) -> date:
    """Return the latest local date over the zones of the sources that are set."""
    zones = {source.timezone for source in settings.source.values()} or {"UTC"}
    now = datetime.now(UTC)
    return max(now.astimezone(ZoneInfo(zone)).date() for zone in zones)


def start_run(
    settings: Settings,
    as_of: date | None = None,
    known_on: date | None = None,
    *,
    is_past: bool = False,
) -> str:
    """Begin a run, after reconciling what an interrupted one left; return its id.

    Args:
        settings: the settings.
        as_of: facts after this date do not count; today by default.
        known_on: only deliveries received by this date count; all by default.
        is_past: build a past night for the history: the snapshot stands as it is.
    """
    with writer_lock(settings.home):
        settle_encryption(settings)
        require_room(settings)
        _tell_of_damage(settings)
        reconcile(settings)
        log_weakened(settings)
        now = datetime.now(UTC)
        run_id = f"r_{now:%Y%m%d_%H%M%S}_{secrets.token_hex(2)}"
        head = audit_head(settings.home)
        ControlState(settings.home).start_run(
            Run(
                run_id,
                as_of or today(settings),
                known_on,
                now,
                None,
                "running",
                settings.digest(),
                str(head) if head else None,
                None,
                is_past=is_past,
            )
        )
    return run_id


def start_night(settings: Settings, as_of: date | None = None) -> str:
    """Begin a run, or return the published one that says all that tonight's would.

    A run that stands is not built, judged and published again: each of those steps sees
    that it is done (ADR 0066).
    """
    with writer_lock(settings.home):
        return standing_run(settings, as_of) or start_run(settings, as_of)


def standing_run(settings: Settings, as_of: date | None = None) -> str | None:
    """Return the last night's run if tonight has nothing to add to its snapshot.

    No delivery waits, the date is the same, and so is all that a number or a check hangs
    on: bronze, settings, models, expectations. A night that was refused, or published
    with a waiver, is judged again; so is one whose snapshot is damaged.
    """
    with writer_lock(settings.home):
        settle_encryption(settings)
        _tell_of_damage(settings)
        reconcile(settings)
        state = ControlState(settings.home)
        nights = state.nights()
        last = nights[-1] if nights else None
        if (
            last is None
            or last.outcome != "published"
            or last.known_on is not None
            or last.as_of != (as_of or today(settings))
            or any(run_id == last.run_id for run_id, _ in state.waived())
            or published_run(settings) != last.run_id
            or last.inputs != night_inputs(settings, state, last.as_of, None)
            or _new_deliveries(settings, open_keys(settings))
        ):
            return None
        return last.run_id


def _tell_of_damage(settings: Settings) -> None:
    """Set a damaged snapshot aside before anything is read from it."""
    damage = set_damaged_aside(settings, ControlState(settings.home))
    if damage is not None:
        observe.event("snapshot_damaged", n_damaged=1)
        observe.say(f"  {damage.place} was {damage.what}: it is set aside")


def reconcile(settings: Settings) -> None:
    """Do what a kill kept a publish from: enter the snapshot, copy the control state."""
    state = ControlState(settings.home)
    outcomes = {run.run_id: run.outcome for run in state.runs()}
    runs = published_runs(settings)
    for run_id, ended_at in runs:
        if outcomes.get(run_id, "published") != "published":
            state.mark_published(
                run_id,
                ended_at.replace(tzinfo=UTC),
                first_seen_in(published_path(settings)),
                signal_entries_in(published_path(settings), run_id),
            )
    if runs and not state.is_backed_up(runs[-1][0]):
        state.back_up(runs[-1][0])


@tells_health
def build(settings: Settings, run_id: str, *, full_refresh: bool = False) -> Safe:
    """Build tonight's candidate with dbt: the touched clients, or all of them."""
    with writer_lock(settings.home):
        state = ControlState(settings.home)
        run = state.run(run_id)
        if run.outcome == "published":
            return _STANDS
        try:
            result = build_candidate(
                settings,
                run_id,
                run.as_of,
                run.known_on,
                full_refresh=full_refresh,
                dbt=_ahead.pop_dbt(),
            )
        except RapportError:
            state.set_run(run_id, "failed", ended_at=datetime.now(UTC))
            raise
        state.set_run(
            run_id,
            "built",
            candidate_mark=candidate_mark(settings),
            inputs=night_inputs(settings, state, run.as_of, run.known_on),
        )
    counts: dict[str, int | str] = {
        "n_models": result.n_models,
        "n_deliveries": result.n_deliveries,
    }
    if result.n_touched is None:
        counts["why_full"] = result.why_full
    else:
        counts["n_touched"] = result.n_touched
    return counts


@tells_health
def validate(settings: Settings, run_id: str) -> Safe:
    """Let the gate judge the candidate.

    Raises:
        GateRefused: a critical check did not hold; the earlier snapshot stands.
    """
    from rapport.validate import describe_refusal, log_use, run_gate

    with writer_lock(settings.home):
        state = ControlState(settings.home)
        run = state.run(run_id)
        if run.outcome == "published":
            return _STANDS
        _same_candidate(settings, run, ("built", "validated", "refused"))
        result = run_gate(settings, datetime.now(UTC).date(), _ahead.pop_gate())
        until = {name: waiver.expires_on for name, waiver in result.waived.items()}
        log_use(settings, result.waived.values(), run_id)
        state.record_checks(run_id, result.checks)
        state.record_findings(run_id, result.findings, until)
        if result.refused:
            state.set_run(run_id, "refused", ended_at=datetime.now(UTC))
            if not run.is_past:
                _write_pages_again(settings)
            raise GateRefused(
                "\n".join(
                    [
                        "the quality gate refused this night; nothing was published and "
                        "the earlier snapshot still stands:",
                        *describe_refusal(settings, result),
                    ]
                ),
                next_step="docs/runbooks/refused-night.md: deliver the corrected export "
                "under a new delivery id, or waive the check; then run rapport night",
            )
        state.set_run(run_id, "validated")
    failed = [check for check in result.checks if not check.passed]
    return {
        "n_checks": len(result.checks),
        "n_failed": len(failed),
        "n_waived": len(result.waived),
    }


def _write_pages_again(settings: Settings) -> None:
    """Say on the pages and in the digest what stands, and what waits for a person."""
    if published_path(settings).exists():
        dashboard(settings)
    digest(settings)


def _same_candidate(settings: Settings, run: Run, outcomes: tuple[str, ...]) -> None:
    if run.outcome not in outcomes or run.candidate_mark != candidate_mark(settings):
        raise RapportError(
            "the candidate is not the one of this run",
            next_step="run rapport build, then rapport validate, then rapport publish",
            reason="candidate_unknown",
        )


@tells_health
def publish(settings: Settings, run_id: str) -> Safe:
    """Replace the snapshot with the candidate that the gate passed."""
    with writer_lock(settings.home):
        state = ControlState(settings.home)
        run = state.run(run_id)
        if run.outcome == "published":
            return _STANDS
        group_id(settings)
        researcher_group_id(settings)
        _same_candidate(settings, run, ("validated",))
        log_weakened(settings)
        if run.is_past:
            return _keep_past(settings, run)
        rotated = settings.home / "vault" / REBUILD
        path = publish_snapshot(settings, run_id, is_rekeyed=rotated.exists())
        rotated.unlink(missing_ok=True)
        state.mark_published(
            run_id,
            datetime.now(UTC),
            first_seen_in(path),
            signal_entries_in(path, run_id),
        )
        state.back_up(run_id)
        share(settings)
    return {"run_id": run_id, "n_bytes": path.stat().st_size}


def _keep_past(settings: Settings, run: Run) -> Safe:
    """Put a past night into the history; no log and no first sight learns of it."""
    path = keep_past_night(settings, run.run_id, run.as_of)
    ControlState(settings.home).set_run(
        run.run_id, "rebuilt", ended_at=datetime.now(UTC)
    )
    share(settings)
    return {"run_id": run.run_id, "n_bytes": path.stat().st_size}


@tells_health
def dashboard(settings: Settings, run_id: str = "") -> Safe:
    """Write the pages from the published snapshot."""
    from rapport.dashboard import Notice, write_dashboard

    state = ControlState(settings.home)
    runs = state.nights()
    is_refused = bool(runs) and runs[-1].outcome == "refused"
    notice = Notice(
        tuple(notice_of(settings)),
        n_quarantined=len({row["batch_id"] for row in state.refusals()}),
        n_extracts=len(waiting_or_broken(settings)[0]),
        refused=runs[-1].as_of if is_refused else None,
    )
    path = write_dashboard(settings, notice)
    share(settings)
    return {"n_pages": len(list(path.parent.glob("*.html")))}


@tells_health
def digest(settings: Settings, run_id: str = "") -> Safe:
    """Write the morning digest from the published snapshot and its signal log."""
    from rapport.dashboard import write_digest

    runs = ControlState(settings.home).nights()
    is_refused = bool(runs) and runs[-1].outcome == "refused"
    write_digest(settings, notice_of(settings), runs[-1].as_of if is_refused else None)
    share(settings)
    _tidy_extracts(settings)
    _beat_if_good(settings)
    return {"n_digests": 1}


def _tidy_extracts(settings: Settings) -> None:
    """Enter which releases expired, and destroy the keys of studies long ended (A6).

    A night does not hang on the researchers' ledger: a broken or busy one is left to them.
    """
    if not (settings.home / "extracts" / "ledger.jsonl").exists():
        return
    from rapport.extracts.lifecycle import note_expired

    with suppress(RequestInvalid, WriterBusy):
        note_expired(settings, datetime.now(UTC).date())


def _beat_if_good(settings: Settings) -> None:
    """The digest is the last step: a published run that came so far was a good night."""
    from rapport.heartbeat import beat

    state = ControlState(settings.home)
    runs = state.nights()
    if not runs or runs[-1].outcome != "published":
        return
    checks = state.checks(runs[-1].run_id)
    beat(settings, runs[-1], sum(not row[6] and row[4] != "info" for row in checks))


def notice_of(settings: Settings) -> list[str]:
    """Return what waits for a person, in sentences for the pages."""
    state = ControlState(settings.home)
    runs = state.nights()
    notices = _gate_notices(settings, state, runs[-1]) if runs else []
    batches = {row["batch_id"] for row in state.refusals()}
    if batches:
        word = "delivery has" if len(batches) == 1 else "deliveries have"
        notices.append(f"{len(batches)} {word} rows or files in quarantine.")
    return notices + waiting_or_broken(settings)[1] + alerts.standing(settings)


def waiting_or_broken(settings: Settings) -> tuple[list[str], list[str]]:
    """Return the extracts that wait for approval; a broken ledger is said, not raised.

    A night does not hang on the researchers' ledger.
    """
    from rapport.extracts.ledger import waiting_extracts

    try:
        return waiting_extracts(settings.home), []
    except RequestInvalid:
        return [], ["The release ledger is not whole: rapport extract list says where."]


def _gate_notices(settings: Settings, state: ControlState, run: Run) -> list[str]:
    """Say what the gate said of the last night: refused, waived, warned, expired."""
    from rapport.validate import load_waivers

    notices = []
    waived = {
        name: until
        for (run_id, name), until in state.waived().items()
        if run_id == run.run_id
    }
    failed = [
        (name, severity)
        for _, _, _, name, severity, _, passed, *_ in state.checks(run.run_id)
        if not passed and name not in waived
    ]
    sources = {
        name: sorted({finding.source for finding in found})
        for name, found in state.findings(run.run_id).items()
    }

    def named(severity: str) -> str:
        return ", ".join(
            f"{name} ({', '.join(sources[name])})" if name in sources else name
            for name, of in failed
            if of == severity
        )

    if run.outcome == "refused":
        published = [r for r in state.runs() if r.outcome == "published"]
        since = f"from {published[-1].as_of}" if published else "not there yet"
        notices.append(
            f"The gate refused the night of {run.as_of}: these pages are {since}. "
            f"Not held: {named('critical')}."
        )
    elif named("warning"):
        n = sum(of == "warning" for _, of in failed)
        notices.append(
            f"The gate passed with {n} {'warning' if n == 1 else 'warnings'}: "
            f"{named('warning')}."
        )
    notices += [
        f"{name} did not hold and is waived until {until}: read these pages with care."
        for name, until in sorted(waived.items())
    ]
    notices += [
        f"The waiver of {waiver.check} ended on {waiver.expires_on} and holds no longer."
        for waiver in load_waivers(settings).expired(datetime.now(UTC).date())
    ]
    return notices


# The steps after the ingest, with the words that a person reads.
STEPS = {
    "build": "build the models",
    "validate": "check the candidate",
    "publish": "publish the snapshot",
    "dashboard": "write the dashboard",
    "digest": "write the morning digest",
}
STEP_FUNCTIONS: dict[str, Callable[[Settings, str], Safe]] = {
    "build": build,
    "validate": validate,
    "publish": publish,
    "dashboard": dashboard,
    "digest": digest,
}


class _Ahead:
    """Processes that were started before their step, so that they are loaded by then."""

    def __init__(self) -> None:
        self._dbt: Dbt | None = None
        self._gate: Gate | None = None

    @contextmanager
    def loading(self, settings: Settings) -> Iterator[None]:
        from rapport.validate import Gate

        with Dbt(settings) as self._dbt, Gate(settings.project_root) as self._gate:
            try:
                yield
            finally:
                self._dbt = self._gate = None

    def pop_dbt(self) -> Dbt | None:
        dbt, self._dbt = self._dbt, None
        return dbt

    def pop_gate(self) -> Gate | None:
        gate, self._gate = self._gate, None
        return gate


_ahead = _Ahead()


def loaded_ahead(settings: Settings) -> AbstractContextManager[None]:
    """Let dbt and the gate load in processes of their own while other steps run.

    Within the context, the first build and the first validate of this process use them; a
    process that is never asked ends with the context.
    """
    return _ahead.loading(settings)


def run_night(
    settings: Settings,
    as_of: date | None = None,
    known_on: date | None = None,
    *,
    full_refresh: bool = False,
) -> str:
    """Run the whole chain in this process; return the run's id.

    A night that fails or is refused is told of before its error goes on.
    """
    try:
        return _run_night(settings, as_of, known_on, full_refresh)
    except (UsageError, WriterBusy):  # whoever asked reads it, and nothing began
        raise
    except Exception:
        tell_of_failure(settings)
        raise


def tell_of_failure(settings: Settings) -> Safe:
    """Tell of the last night, if it did not end well; the pages and the digest say so."""
    is_told = alerts.tell_of_last_night(settings)
    if is_told and published_path(settings).exists():
        _write_pages_again(settings)
    return {"n_told": int(is_told)}


def check_morning(settings: Settings) -> Safe:
    """Tell of a late snapshot and of late exports; the pages and the digest say so."""
    n_told = alerts.tell_of_the_morning(settings, datetime.now(UTC))
    if n_told and published_path(settings).exists():
        _write_pages_again(settings)
    return {"n_told": n_told}


def _run_night(
    settings: Settings, as_of: date | None, known_on: date | None, full_refresh: bool
) -> str:
    with writer_lock(settings.home):
        observe.log_to(settings.home / "logs")
        log_weakened(settings)
        if not full_refresh and known_on is None:
            standing = standing_run(settings, as_of)
            if standing is not None:
                observe.say("  nothing new since the last night: its snapshot stands")
                _run_steps(settings, standing, ("dashboard", "digest"))
                return standing
        with loaded_ahead(settings):
            with observe.step("ingest", "take deliveries in"):
                ingest(settings)
            run_id = start_run(settings, as_of, known_on)
            _run_steps(settings, run_id, STEPS, full_refresh=full_refresh)
    return run_id


def _run_steps(
    settings: Settings, run_id: str, names: Iterable[str], *, full_refresh: bool = False
) -> None:
    observe.log_to(settings.home / "logs", run_id)
    for name in names:
        with observe.step(name, STEPS[name]):
            if name == "build":
                build(settings, run_id, full_refresh=full_refresh)
            else:
                STEP_FUNCTIONS[name](settings, run_id)
