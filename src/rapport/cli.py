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
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from rapport import observe
from rapport.errors import DiskFull, ExitCode, RapportError, is_disk_full

if TYPE_CHECKING:
    from rapport.settings import Settings

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
quarantine = typer.Typer(
    help="Refused rows and files: why, and again.", no_args_is_help=True
)
app.add_typer(demo, name="demo")
app.add_typer(mapping, name="mapping")
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
    typer.Option("--full-refresh", help="Build everything anew (every build does)."),
]


def _settings() -> Settings:
    from rapport.settings import load_settings

    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
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
    run_id = run_night(settings, _date(as_of), _date(known_on))
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
        counts = chain.build(settings, run_id)
    observe.say(f"{counts['n_models']} models built; next: rapport validate")


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

    runs = ControlState(settings.home).runs()
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
def doctor(json_: Json = False) -> None:
    """Check the machine, settings, permissions, keys and engine versions."""
    from rapport.report import doctor_findings, print_doctor, print_json

    findings = doctor_findings(_settings())
    if json_:
        print_json(findings)
    else:
        print_doctor(findings)
    if any(not finding["ok"] for finding in findings["checks"]):
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
        out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
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
) -> None:
    """Write a synthetic clinic's exports, and its planted truth apart from them."""
    from datetime import timedelta

    from rapport.synthetic import generate

    last = _date(until) or date.today() - timedelta(days=1)
    with observe.step("generate", f"make a clinic of {clients} clients"):
        made = generate(clients, seed, out, last)
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
        if not is_disk_full(error):
            raise
        _stop(DiskFull("working"))


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
