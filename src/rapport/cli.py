"""The command line: one verb for each step of the pipeline, and ways to look.

Data goes to stdout, words and progress to stderr; no command prints a patient's value.
Exit codes are those of the interface (``rapport.errors.ExitCode``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from rapport import observe
from rapport.errors import ExitCode, RapportError, shortage
from rapport.files import private_folder

if TYPE_CHECKING:
    from rapport.settings import Settings

# As in rapport.chart, which is loaded only when a chart is asked for.
ChartKind = Literal["xmr", "p_prime", "u_prime", "p", "u", "run", "funnel"]
Better = Literal["up", "down", "neutral"]

app = typer.Typer(
    name="rapport",
    help="The working alliance, its ruptures and repairs, visible every morning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
demo = typer.Typer(help="A synthetic clinic with planted truth.", no_args_is_help=True)
identity = typer.Typer(
    help="From keys back to chart numbers, logged.", no_args_is_help=True
)
mapping = typer.Typer(
    help="Vendor mappings: list, try on a file, propose.", no_args_is_help=True
)
change = typer.Typer(
    help="Process changes, from which a chart's limits are taken afresh.",
    no_args_is_help=True,
)
quarantine = typer.Typer(
    help="Refused rows and files: why, and again.", no_args_is_help=True
)
vault = typer.Typer(
    help="Keys and identity map: back up, restore, new key.", no_args_is_help=True
)
purge = typer.Typer(help="Erasure on request, proved.", no_args_is_help=True)
app.add_typer(vault, name="vault")
app.add_typer(purge, name="purge")
app.add_typer(demo, name="demo")
app.add_typer(mapping, name="mapping")
app.add_typer(change, name="change")
app.add_typer(quarantine, name="quarantine")
app.add_typer(identity, name="identity")
extract = typer.Typer(
    help="Research extracts: request, approval, release, check.", no_args_is_help=True
)
app.add_typer(extract, name="extract")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
AsOf = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="Facts after this date do not count."),
]
KnownOn = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="Only deliveries received by then count."),
]
FullRefresh = Annotated[
    bool,
    typer.Option("--full-refresh", help="Compute every client anew."),
]


def _settings() -> Settings:
    from rapport.settings import load_settings

    settings = load_settings()
    private_folder(settings.home)
    return settings


def _date(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


@app.command()
def night(
    as_of: AsOf = None, known_on: KnownOn = None, full_refresh: FullRefresh = False
) -> None:
    """Run the whole chain: ingest, build, validate, publish, dashboard, digest."""
    from rapport.night import run_night
    from rapport.report import new_quarantine, print_summary, quarantine_lines

    settings = _settings()
    before = new_quarantine(settings)
    observe.say(f"rapport night · {settings.home}")
    run_id = run_night(
        settings, _date(as_of), _date(known_on), full_refresh=full_refresh
    )
    print_summary(settings, run_id)
    after = new_quarantine(settings)
    _exit_for_quarantine(quarantine_lines(settings, after - before))


@app.command()
def ingest() -> None:
    """Take every complete delivery of the inbox through the door."""
    from rapport import night as chain
    from rapport.report import new_quarantine, quarantine_lines

    settings = _settings()
    before = new_quarantine(settings)
    with observe.step("ingest", "take deliveries in"):
        counts = chain.ingest(settings)
    observe.say(
        f"{counts['n_deliveries']} deliveries, {counts['n_rows_in']:,} rows in: "
        f"{counts['n_rows_loaded']:,} loaded, {counts['n_rows_quarantined']:,} in "
        f"quarantine, {counts['n_rows_filtered']:,} filtered"
    )
    after = new_quarantine(settings)
    _exit_for_quarantine(quarantine_lines(settings, after - before))


def _exit_for_quarantine(lines: list[str]) -> None:
    if lines:
        for line in lines:
            observe.say(line)
        raise typer.Exit(ExitCode.NEEDS_PERSON)


@app.command()
def build(
    as_of: AsOf = None, known_on: KnownOn = None, full_refresh: FullRefresh = False
) -> None:
    """Build a candidate from bronze."""
    from rapport import night as chain

    settings = _settings()
    run_id = chain.start_run(settings, _date(as_of), _date(known_on))
    with observe.step("build", "build the models"):
        counts = chain.build(settings, run_id, full_refresh=full_refresh)
    whose = (
        f"{counts['n_touched']} touched clients"
        if "n_touched" in counts
        else f"all clients ({str(counts['why_full']).replace('_', ' ')})"
    )
    observe.say(f"{counts['n_models']} models built of {whose}; next: rapport validate")


@app.command()
def validate(
    explain: Annotated[
        str, typer.Option("--explain", metavar="CHECK", help="What a check means.")
    ] = "",
    waive: Annotated[
        str,
        typer.Option("--waive", metavar="CHECK", help="Let a check fail for a while."),
    ] = "",
    reason: Annotated[str, typer.Option(help="Why it may fail; logged.")] = "",
    by: Annotated[str, typer.Option(help="Who says so; logged.")] = "",
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day of the waiver."),
    ] = None,
    source: Annotated[str, typer.Option(help="Waive it for this source alone.")] = "",
    json_: Json = False,
) -> None:
    """Let the gate judge the candidate; explain a check; waive one."""
    from rapport import night as chain

    settings = _settings()
    if explain:
        _explain_check(settings, explain, as_json=json_)
        return
    if waive:
        _waive_check(settings, waive, reason, by, _date(until), source)
        return
    with observe.step("validate", "check the candidate"):
        counts = chain.validate(settings, _last_run(settings))
    n_passed = int(counts["n_checks"]) - int(counts["n_failed"])
    observe.say(
        f"{n_passed} of {counts['n_checks']} checks passed; next: rapport publish"
    )


def _explain_check(settings: Settings, name: str, *, as_json: bool) -> None:
    from rapport.report import explain_check, print_check, print_json

    found = explain_check(settings, name)
    if as_json:
        print_json(found)
    else:
        print_check(found)


def _waive_check(
    settings: Settings,
    check: str,
    reason: str,
    by: str,
    until: date | None,
    source: str,
) -> None:
    from datetime import UTC

    from pydantic import ValidationError

    from rapport import night as chain
    from rapport.errors import UsageError
    from rapport.validate import Waiver, add_waiver

    try:
        waiver = Waiver(
            check=check, reason=reason, by=by, expires_on=until, source=source or None
        )
    except ValidationError:
        raise UsageError(
            "a waiver needs --reason (5 to 500 characters), --by and --until DATE; "
            "--source is a folder name of inbox/",
            next_step="docs/how-to/waive-a-check.md",
        ) from None
    chain.log_weakened(settings)
    add_waiver(settings, waiver, datetime.now(UTC).date())
    observe.say(
        f"{check} is waived until {waiver.expires_on} (logged in the vault's audit log); "
        "next: rapport validate, then rapport publish, dashboard, digest; or rapport night"
    )


@app.command()
def publish() -> None:
    """Replace the snapshot with the candidate that the gate passed."""
    from rapport import night as chain
    from rapport.warehouse import published_path

    settings = _settings()
    with observe.step("publish", "publish the snapshot"):
        chain.publish(settings, _last_run(settings))
    observe.say(f"published: {published_path(settings)}")


@app.command()
def dashboard() -> None:
    """Write the pages from the published snapshot."""
    from rapport import night as chain

    settings = _settings()
    with observe.step("dashboard", "write the dashboard"):
        chain.dashboard(settings)
    observe.say(f"written: {settings.home / 'dashboard' / 'index.html'}")


@app.command()
def digest() -> None:
    """Write the morning digest from the published snapshot."""
    from rapport import night as chain

    settings = _settings()
    with observe.step("digest", "write the morning digest"):
        chain.digest(settings)
    observe.say(f"written below {settings.home / 'digest'}")


def _last_run(settings: Settings) -> str:
    from rapport.errors import UsageError
    from rapport.state import ControlState

    runs = ControlState(settings.home).nights()
    if not runs:
        raise UsageError("there is no run yet", next_step="run rapport build")
    return runs[-1].run_id


@app.command()
def status(json_: Json = False) -> None:
    """Show the last run, deliveries, row totals, the gate, and what waits."""
    from rapport.report import print_json, print_status, status_of

    found = status_of(_settings())
    if json_:
        print_json(found)
    else:
        print_status(found)
    if found["needs_person"]:
        raise typer.Exit(ExitCode.NEEDS_PERSON)


@app.command()
def backfill(
    from_: Annotated[
        datetime,
        typer.Option("--from", formats=["%Y-%m-%d"], help="The first night."),
    ],
    to: Annotated[
        datetime,
        typer.Option("--to", formats=["%Y-%m-%d"], help="The last night."),
    ],
    again: Annotated[
        bool,
        typer.Option("--again", help="Also nights that stand from the same inputs."),
    ] = False,
) -> None:
    """Run past nights again, in order; those behind the snapshot go into the history."""
    from rapport.backfill import backfill as run
    from rapport.backfill import summary_lines
    from rapport.report import new_quarantine, quarantine_lines

    settings = _settings()
    before = new_quarantine(settings)
    nights = run(settings, from_.date(), to.date(), again=again)
    for line in summary_lines(nights):
        observe.say(line)
    if any(night.outcome == "refused" for night in nights):
        raise typer.Exit(ExitCode.REFUSED)
    after = new_quarantine(settings)
    _exit_for_quarantine(quarantine_lines(settings, after - before))


@app.command()
def housekeeping(json_: Json = False) -> None:
    """Delete what is over its time, verify every file, rehearse a restore, tidy up."""
    from rapport.housekeeping import exit_code_of, keep_house
    from rapport.report import print_house, print_json

    done = keep_house(_settings())
    code = exit_code_of(done)
    if json_:
        print_json(
            {"ok": code == ExitCode.DONE, "steps": [step.plain() for step in done]}
        )
    else:
        print_house([step.plain() for step in done])
    if code != ExitCode.DONE:
        raise typer.Exit(code)


@app.command()
def upgrade(
    check: Annotated[
        bool, typer.Option("--check", help="Say what it would do; change nothing.")
    ] = False,
) -> None:
    """Bring what an earlier rapport left up to this one; state and settings are copied."""
    from rapport.settings import home_of
    from rapport.upgrade import SETTINGS, UPGRADED, plan_upgrade
    from rapport.upgrade import upgrade as run

    home = home_of()
    found = plan_upgrade(home) if check else run(home)
    for line in found.lines():
        observe.say(f"  {line}")
    if check:
        observe.say("nothing was changed; next: rapport upgrade")
        return
    observe.say(f"copies: {home / 'state' / 'backup'}")
    if found.settings:
        observe.say(f"  Next: read {UPGRADED}, then put it in the place of {SETTINGS}")
    observe.say("  Next: rapport doctor, then rapport night")


@app.command()
def up(
    foreground: Annotated[
        bool,
        typer.Option("--foreground", help="Stay, as a service manager wants it."),
    ] = False,
) -> None:
    """Start the live system: what is dropped into the inbox is taken in by itself."""
    from rapport import live

    if foreground:
        live.run_in_foreground(_settings())
    live.up(_settings())


@app.command()
def down() -> None:
    """Stop the live system; no process of it is left."""
    from rapport import live

    live.down(_settings())


@app.command()
def doctor(
    scan: Annotated[
        Path | None,
        typer.Option(
            "--scan",
            metavar="LIST",
            help="Search everything for the strings of a file, one a line.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Check the machine, settings, permissions, keys and engine versions."""
    from rapport.report import doctor_findings, print_doctor, print_json

    if scan is not None:
        _scan(_settings(), scan, as_json=json_)
        return
    findings = doctor_findings(_settings())
    if json_:
        print_json(findings)
    else:
        print_doctor(findings)
    if any(not finding["ok"] for finding in findings["checks"]):
        raise typer.Exit(ExitCode.FAILED)


def _scan(settings: Settings, list_: Path, *, as_json: bool) -> None:
    from rapport.report import print_json
    from rapport.scanning import print_scan, scan_home

    with observe.step("scan", "search every file and table"):
        found = scan_home(settings, list_)
    if as_json:
        print_json(found)
    else:
        print_scan(found)
    if found["hits"] or found["undecoded"]:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def explain(
    episode_key: Annotated[str, typer.Argument(help="Published key of an episode.")],
    method: Annotated[
        str, typer.Option(help="Method whose ruptures are told.")
    ] = "default_rc3",
    json_: Json = False,
) -> None:
    """Tell in words and a small plot why an episode's ruptures and signals stand."""
    from rapport.explain import explain as explained
    from rapport.explain import to_text
    from rapport.report import print_json

    found = explained(_settings(), episode_key, method)
    if json_:
        print_json(found)
    else:
        print(to_text(found), end="")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One query; none opens a prompt.")] = "",
    format_: Annotated[
        str, typer.Option("--format", help="table, csv, json, markdown or parquet.")
    ] = "table",
    limit: Annotated[
        int | None, typer.Option(min=0, help="Rows at most; 0 is all.")
    ] = None,
) -> None:
    """Ask the published snapshot, read-only."""
    from rapport.ask import ask, prompt

    settings = _settings()
    if query:
        ask(settings, query, format_, limit)
    else:
        prompt(settings, format_, limit)


@app.command()
def chart(
    file: Annotated[Path, typer.Argument(help="CSV of months or units.")],
    kind: Annotated[
        ChartKind | None,
        typer.Option(
            help="xmr, p_prime, u_prime, p, u, run or funnel; by default what the header fits."
        ),
    ] = None,
    better: Annotated[
        Better, typer.Option(help="Which way is better: up, down or neutral.")
    ] = "neutral",
    target: Annotated[
        float | None, typer.Option(help="What is to be reached; a share is 0 to 1.")
    ] = None,
    change_: Annotated[
        list[str] | None,
        typer.Option(
            "--change",
            metavar="MONTH",
            help="Month from which limits are taken afresh; repeat it.",
        ),
    ] = None,
    shift: Annotated[
        int | None,
        typer.Option(min=7, max=8, help="Points of a shift; default qi.shift_points."),
    ] = None,
    trend: Annotated[
        int | None,
        typer.Option(min=6, max=7, help="Points of a trend; default qi.trend_points."),
    ] = None,
    no_screen: Annotated[
        bool, typer.Option("--no-screen", help="Keep every moving range.")
    ] = False,
    no_floor: Annotated[
        bool,
        typer.Option("--no-floor", help="Let p′ and u′ limits be tighter than chance."),
    ] = False,
    json_: Json = False,
) -> None:
    """Put your own numbers through the dashboard's limits and rules: an SVG, a sentence."""
    from rapport.chart import Wish, chart_of, drawn, parse_change
    from rapport.report import print_json
    from rapport.settings import load_settings

    settings = load_settings()
    said = {
        "shift_points": shift,
        "trend_points": trend,
        "screen_moving_ranges": False if no_screen else None,
        "sigma_z_floor": False if no_floor else None,
    }
    rules = settings.qi.model_copy(
        update={name: value for name, value in said.items() if value is not None}
    )
    changes = tuple(parse_change(month) for month in change_ or ())
    wish = Wish(kind, better, target, changes)
    found = chart_of(settings.project_root, file, wish, rules)
    if json_:
        print_json(found)
        return
    print(drawn(found, file.stem), end="")
    observe.say(found["sentence"])
    if "units" in found:
        names = (f"{n} {unit['unit']}" for n, unit in enumerate(found["units"], 1))
        observe.say(" · ".join(names))


@change.command("add")
def change_add(
    chart: Annotated[
        str, typer.Option(metavar="GLOB", help="Charts, such as 'completion.*'.")
    ],
    from_: Annotated[
        datetime,
        typer.Option(
            "--from", formats=["%Y-%m-%d"], help="Day from which the change holds."
        ),
    ],
    note: Annotated[
        str, typer.Option(help="What changed; shown on the chart, and logged.")
    ],
    clinic: Annotated[
        str,
        typer.Option(help="A clinic's key or name, or all; default every series."),
    ] = "",
) -> None:
    """Record a process change: from then on the charts' limits are taken afresh."""
    from rapport.change import record_change

    for line in record_change(_settings(), chart, from_.date(), note, clinic or None):
        observe.say(line)


@change.command("list")
def change_list(json_: Json = False) -> None:
    """List the process changes, those of rapport.toml too."""
    from rapport.change import changes_of, print_changes
    from rapport.report import print_json

    found = changes_of(_settings())
    if json_:
        print_json(found)
    else:
        print_changes(found)


@mapping.command("list")
def mapping_list(json_: Json = False) -> None:
    """List the shipped presets and the clinic's own mappings."""
    from rapport.mapping_report import mappings_of, print_mappings
    from rapport.report import print_json

    found = mappings_of(_settings())
    if json_:
        print_json(found)
    else:
        print_mappings(found)


@mapping.command("check")
def mapping_check(
    source: Annotated[str, typer.Argument(help="The folder's name under inbox/.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files to try it on; none takes the next delivery."),
    ] = None,
    json_: Json = False,
) -> None:
    """Try a mapping and load nothing: what maps where, and where the rows would go."""
    from rapport.ingest.preview import check_mapping
    from rapport.mapping_report import print_check
    from rapport.night import open_keys
    from rapport.report import print_json

    settings = _settings()
    keys = None if files else open_keys(settings)
    found = check_mapping(settings, source, files or [], keys)
    if json_:
        print_json(found)
    else:
        print_check(found)
    if found["refused"] or any(file["rows"]["quarantined"] for file in found["files"]):
        raise typer.Exit(ExitCode.NEEDS_PERSON)


@mapping.command("infer")
def mapping_infer(
    file: Annotated[Path, typer.Argument(help="A file that nobody has mapped.")],
    out: Annotated[Path | None, typer.Option(help="File; default stdout.")] = None,
) -> None:
    """Propose a mapping from headers and types; what is unsure is marked."""
    from rapport.errors import UsageError
    from rapport.mapping.infer import propose_mapping

    text = propose_mapping(file)
    n_unsure = text.count("# unsure:")
    if out is None:
        print(text, end="")
    else:
        if out.exists():
            raise UsageError("the file to write is there already; name another")
        private_folder(out.parent)
        out.write_text(text, encoding="utf-8")
        observe.say(f"written: {out}")
    observe.say(
        f"{n_unsure} lines are marked unsure; next: correct them, then"
        " rapport mapping check SOURCE FILE"
    )


@demo.command("generate")
def demo_generate(
    clients: Annotated[int, typer.Option(min=1, help="How many clients.")],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")],
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day; default yesterday."),
    ] = None,
    forms_every: Annotated[
        int, typer.Option(min=1, help="Weeks from one set of forms to the next.")
    ] = 1,
) -> None:
    """Write a synthetic clinic's exports, and its planted truth apart from them."""
    from datetime import timedelta

    from rapport.synthetic import generate

    last = _date(until) or date.today() - timedelta(days=1)
    with observe.step("generate", f"make a clinic of {clients} clients"):
        made = generate(clients, seed, out, last, forms_every)
    observe.say(
        f"{made.n_deliveries} deliveries, {made.n_sessions:,} sessions, "
        f"{made.n_ruptures} planted ruptures until {last}: {out}"
    )


@demo.command("check")
def demo_check(
    truth: Annotated[
        Path, typer.Argument(help="The truth/ folder that was generated.")
    ],
    json_: Json = False,
) -> None:
    """Hold the published ruptures against the planted ones, method by method."""
    from rapport.night import open_keys
    from rapport.report import detector_lines, print_json
    from rapport.synthetic.recovery import score_snapshot

    settings = _settings()
    found = score_snapshot(settings, truth, open_keys(settings))
    if json_:
        print_json(found)
        return
    for line in detector_lines(found):
        print(line)


@quarantine.command("list")
def quarantine_list(json_: Json = False) -> None:
    """List the deliveries of which something is in quarantine."""
    from rapport.quarantine import print_quarantined, quarantined
    from rapport.report import print_json

    found = quarantined(_settings())
    if json_:
        print_json(found)
    else:
        print_quarantined(found)


@quarantine.command("show")
def quarantine_show(
    batch: Annotated[str, typer.Argument(help="The delivery's opaque id.")],
    values: Annotated[
        bool, typer.Option("--values", help="Cells too; terminal only, and logged.")
    ] = False,
    json_: Json = False,
) -> None:
    """Show why, in which rows, and what to do."""
    from rapport.quarantine import print_shown, shown
    from rapport.report import print_json

    found = shown(_settings(), batch, values=values)
    if json_:
        print_json(found)
    else:
        print_shown(found)


@quarantine.command("retry")
def quarantine_retry(
    batch: Annotated[str, typer.Argument(help="The delivery's opaque id.")],
) -> None:
    """Read a delivery again, as it lies in the inbox now, in place of what was loaded."""
    from rapport import night as chain
    from rapport.report import new_quarantine, quarantine_lines

    settings = _settings()
    counts = chain.retry_delivery(settings, batch)
    observe.say(
        f"{counts['batch_id']}: {counts['outcome']}, {counts['n_rows_in']:,} rows in: "
        f"{counts['n_rows_loaded']:,} loaded, {counts['n_rows_quarantined']:,} in "
        "quarantine; next: rapport night"
    )
    left = {row for row in new_quarantine(settings) if row[0] == batch}
    _exit_for_quarantine(quarantine_lines(settings, left))


@identity.command("export")
def identity_export(
    reason: Annotated[str, typer.Option(help="Why; written to the audit log.")],
    out: Annotated[Path | None, typer.Option(help="File; default stdout.")] = None,
    open_signals: Annotated[
        bool, typer.Option("--open-signals", help="Only clients with an open signal.")
    ] = False,
) -> None:
    """Write CSV client_key,source,client_id; every use is logged."""
    import csv

    from rapport.ask import clients_with_open_signals
    from rapport.privacy import Vault, append_audit

    settings = _settings()
    wanted = clients_with_open_signals(settings) if open_signals else None
    whom = "all clients" if wanted is None else "clients with open signals"
    append_audit(settings.home, "identity_export", whom, reason)
    people = [
        person
        for person in Vault(settings.home).people()
        if wanted is None or person[0] in wanted
    ]
    header = ("client_key", "source", "client_id")
    if out is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *people])
        return
    handle = os.open(out, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *people])
    observe.say(f"written: {out} (logged in the vault's audit log)")


PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="File with the passphrase; else the environment or a prompt."),
]


@vault.command("backup")
def vault_backup(
    out: Annotated[Path, typer.Option(help="File to write, outside RAPPORT_HOME.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write keys, identity map and audit log into one encrypted file."""
    from rapport.privacy import append_audit
    from rapport.privacy.backup import backup_vault
    from rapport.state import writer_lock

    settings = _settings()
    passphrase = _passphrase(passphrase_file, is_new=True)
    with writer_lock(settings.home):
        n_files = backup_vault(settings.home, out, passphrase)
        append_audit(settings.home, "vault_backup", f"{n_files} files", "backup")
    observe.say(f"written: {out} ({n_files} files, encrypted; logged)")
    if settings.security.key_file is not None:
        observe.say("  the mounted key is not in it: keep that one where it is managed")
    observe.say("  Next: keep file and passphrase apart, and try a restore elsewhere")


@vault.command("restore")
def vault_restore(
    file: Annotated[Path, typer.Argument(help="What rapport vault backup wrote.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Put the vault of a backup into a RAPPORT_HOME that has none."""
    from rapport.privacy import append_audit
    from rapport.privacy.backup import restore_vault
    from rapport.state import writer_lock

    settings = _settings()
    passphrase = _passphrase(passphrase_file, is_new=False)
    with writer_lock(settings.home):
        n_files = restore_vault(settings.home, file, passphrase)
        append_audit(settings.home, "vault_restore", f"{n_files} files", "restore")
    observe.say(f"restored: {n_files} files (logged); next: rapport doctor")


@vault.command("rotate")
def vault_rotate(
    reason: Annotated[str, typer.Option(help="Why; written to the audit log.")],
) -> None:
    """Key everything below the door again under a new key, and rebuild."""
    from rapport.rotation import rotate_key

    done = rotate_key(_settings(), reason)
    observe.say(
        f"rotated: {done.n_rows:,} rows ({done.n_bytes:,} bytes) of bronze are under"
        f" {done.kid} (logged)"
    )
    if not done.is_published:
        observe.say("  no snapshot stands: rapport night publishes the next one")
    observe.say("  Next: rapport vault backup; older backups lack the new key")


def _passphrase(file: Path | None, *, is_new: bool) -> str:
    """Read the passphrase: of a file, the environment or the terminal; never of argv."""
    from rapport.errors import UsageError
    from rapport.settings import passphrase_of

    if file is not None:
        try:
            if file.stat().st_mode & 0o077:
                raise UsageError(
                    "the passphrase file is open to others",
                    next_step="chmod 600 the file",
                )
            return file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeError):
            raise UsageError("the passphrase file is not readable") from None
    said = passphrase_of()
    if said:
        return said
    if not sys.stdin.isatty():
        raise UsageError(
            "no passphrase",
            next_step="give --passphrase-file, set RAPPORT_VAULT_PASSPHRASE, or run it"
            " at a terminal",
        )
    return str(
        typer.prompt(
            "Passphrase", hide_input=True, confirmation_prompt=is_new, err=True
        )
    )


ExtractId = Annotated[str, typer.Argument(metavar="ID", help="A request or release.")]


@extract.command("request")
def extract_request(
    spec: Annotated[Path, typer.Argument(help="The request, a TOML file.")],
    json_: Json = False,
) -> None:
    """Check a request, build and measure its package; it then waits for a person."""
    from rapport.extracts.lifecycle import request_extract
    from rapport.report import print_json

    settings = _settings()
    with observe.step("extract", "build and measure the extract"):
        waiting = request_extract(settings, spec, date.today())
    if json_:
        print_json(
            {
                "request_id": waiting.request_id,
                "state": waiting.state,
                "digest": waiting.digest,
                "preview": waiting.preview,
            }
        )
    elif waiting.state in ("built", "approved"):
        print(waiting.preview, end="")
    observe.say(f"{waiting.request_id} is {waiting.state}")
    if waiting.state in ("built", "approved"):
        raise typer.Exit(ExitCode.NEEDS_PERSON)


@extract.command("review")
def extract_review(id_: ExtractId, json_: Json = False) -> None:
    """Print a request's disclosure report, and where its page lies."""
    from rapport.extracts.lifecycle import review_extract
    from rapport.extracts.words import report_lines
    from rapport.report import print_json

    found = review_extract(_settings(), id_)
    if json_:
        print_json(found)
        return
    for line in report_lines(found):
        print(line)
    observe.say(
        f"the page: {found['page']}\nnext: rapport extract approve "
        f"{found['request_id']} --by NAME, or refuse"
    )


@extract.command("approve")
def extract_approve(
    id_: ExtractId,
    by: Annotated[str, typer.Option(help="Who approves: one of [extracts] approvers.")],
) -> None:
    """Bind a second person's approval to the build as it lies there."""
    from rapport.extracts.lifecycle import approve_extract

    until = approve_extract(_settings(), id_, by, date.today())
    observe.say(
        f"approved; it holds until {until}; next: rapport extract release {id_}"
    )


@extract.command("refuse")
def extract_refuse(
    id_: ExtractId,
    by: Annotated[str, typer.Option(help="Who refuses.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")],
) -> None:
    """End a request with a reason; its data are removed."""
    from rapport.extracts.lifecycle import refuse_extract

    refuse_extract(_settings(), id_, by, reason)
    observe.say("refused; the reason is in extracts/ledger.jsonl")


@extract.command("release")
def extract_release(id_: ExtractId) -> None:
    """Sign an approved build and move it to its release folder."""
    from rapport.extracts.lifecycle import release_extract

    settings = _settings()
    with observe.step("release", "sign and check the package"):
        folder = release_extract(settings, id_, date.today())
    observe.say(
        f"released: {folder}\nnext: hand over the folder and extracts/keys; "
        f"rapport extract verify {folder}"
    )


@extract.command("withdraw")
def extract_withdraw(
    id_: ExtractId,
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")],
) -> None:
    """Call a release back; its holder must be told."""
    from rapport.extracts.lifecycle import withdraw_extract

    holder = withdraw_extract(_settings(), id_, reason)
    observe.say(f"withdrawn; tell {holder} to delete it")


@extract.command("restate")
def extract_restate(
    reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")],
) -> None:
    """Once a year: let corrections of frozen months into later releases."""
    from rapport.extracts.lifecycle import restate_months

    done = restate_months(_settings(), reason, date.today())
    observe.say(
        f"{done['n_months']} months are no longer frozen; {done['n_superseded']} "
        "release(s) hold the earlier values and are superseded"
    )


@extract.command("list")
def extract_list(json_: Json = False) -> None:
    """List every request: its state, who asked, who approved, until when."""
    from rapport.extracts.lifecycle import list_extracts
    from rapport.extracts.words import list_lines
    from rapport.report import print_json

    found = list_extracts(_settings())
    if json_:
        print_json({"requests": found})
        return
    for line in list_lines(found):
        print(line)


@extract.command("verify")
def extract_verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A released package.")],
    key: Annotated[
        Path | None, typer.Option("--key", help="The service's public key.")
    ] = None,
    canaries: Annotated[
        Path | None, typer.Option(help="Strings, one a line, that may be in no file.")
    ] = None,
    json_: Json = False,
) -> None:
    """Check a package by itself: signature, sums, contents and risk."""
    from rapport.extracts.verify import passed, verify_package
    from rapport.report import print_json

    checks = verify_package(folder, key, canaries, date.today())
    if json_:
        lines = [{"ok": check.ok, "line": check.line} for check in checks]
        print_json({"passed": passed(checks), "checks": lines})
    else:
        for check in checks:
            print(f"{'✓' if check.ok else '✗'} {check.line}")
    if not passed(checks):
        raise typer.Exit(ExitCode.REFUSED)


@extract.command("twin")
def extract_twin(
    spec: Annotated[Path, typer.Argument(help="The request, a TOML file.")],
    out: Annotated[Path, typer.Option(help="An empty or new folder.")],
    persons: Annotated[int, typer.Option(min=11, help="How many persons.")] = 500,
) -> None:
    """Write a synthetic twin of the package: same tables and columns, no real row."""
    from rapport.extracts.request import read_request
    from rapport.extracts.twin import write_twin

    request = read_request(spec)
    with observe.step("twin", "make the synthetic twin"):
        write_twin(request, out, persons)
    observe.say(f"written: {out} (synthetic: no row of it is of a person)")


@purge.callback()
def _purge_group() -> None:
    """Erasure on request, proved."""


@purge.command("client")
def purge_client(
    source: Annotated[str, typer.Option(help="The folder's name under inbox/.")],
    client_id: Annotated[str, typer.Option(help="The id as the export writes it.")],
    reason: Annotated[str, typer.Option(help="Why; written to the audit log.")],
) -> None:
    """Erase a person from every store, rebuild, and search for what is left."""
    from rapport.purge import opaque_place
    from rapport.purge import purge_client as erase

    settings = _settings()
    done = erase(settings, source, client_id, reason)
    records = "record" if done.n_records == 1 else "records"
    observe.say(
        f"erased: {done.n_records} {records} of this person in {done.n_sources} "
        f"source(s); {done.counts['bronze_rows']:,} rows of bronze, "
        f"{done.counts['delivered_rows']:,} delivered and "
        f"{done.counts['refused_rows']:,} refused rows"
    )
    for release in done.releases:
        observe.say(
            f"  release {release['release_id']} held the person: tell {release['holder']}"
        )
    observe.say("  backups are outside: destroy those that hold the person")
    if not done.is_published:
        observe.say("  no snapshot stands: rapport night publishes the next one")
    if done.left:
        observe.say(
            f"rapport: purge not proved: {len(done.left)} files still hold a value"
        )
        for path in done.left:
            observe.say(f"  {opaque_place(path)}")
    if done.unread:
        observe.say(
            f"rapport: purge not proved: {len(done.unread)} files can't be opened, so"
            " nobody knows what they hold"
        )
        for path in done.unread:
            observe.say(f"  {opaque_place(path)}")
    if not done.is_proved:
        observe.say("  Next: remove or correct them, then run the same command again")
        raise typer.Exit(ExitCode.FAILED)
    observe.say(f"  proved by a search; the proof is vault/purges/{done.seq}.json")


@contextmanager
def main_guard() -> Iterator[None]:
    """Set the process up, and turn an error of ours into its words and exit code."""
    import resource

    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.excepthook = observe.quiet_excepthook
    try:
        yield
    except RapportError as error:
        _stop(error)
    except Exception as error:
        short = shortage(error, "working", again="the same command")
        if short is None:
            raise
        _stop(short)


def _stop(error: RapportError) -> NoReturn:
    observe.say(f"rapport: {error.message}")
    if error.next_step:
        observe.say(f"  Next: {error.next_step}")
    with suppress(OSError):  # the disk may be what is full
        observe.event("stopped", reason=error.reason, exit_code=int(error.exit_code))
    sys.exit(int(error.exit_code))


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with the code of the interface."""
    with main_guard():
        typer.main.get_command(app).main(args=arguments)
