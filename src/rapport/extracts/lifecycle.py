"""The steps of a request: built, approved by a second person, released, withdrawn (C1).

The terminal and Airflow's approval page call the same functions. A package is made in a
hidden folder and renamed when it is whole: nobody can take a part of one.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import os
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import rfc8785

from rapport import observe
from rapport.errors import ExtractRefused, RapportError, RequestInvalid, UsageError
from rapport.extracts import package, words
from rapport.extracts.build import Built, build_package, snapshot_as_of
from rapport.extracts.difference import (
    Persons,
    differences,
    keep_persons,
    kept_persons,
    persons_path,
)
from rapport.extracts.frozen import restate
from rapport.extracts.ledger import (
    Standing,
    extract_lock,
    ledger_head,
    record,
    standing_of,
    standings,
    waiting_extracts,
)
from rapport.extracts.request import Request, read_request, require_closed
from rapport.extracts.verify import verify_package
from rapport.files import private_folder, sync
from rapport.privacy import append_audit
from rapport.privacy.at_rest import disk_keys, is_asked_for
from rapport.privacy.chain import START, chain_entries
from rapport.privacy.studies import (
    destroy_study_key,
    has_study_key,
    key_id,
    signing_key,
)
from rapport.settings import Settings
from rapport.sharing import researcher_group_id, share_releases
from rapport.warehouse import in_memory, scratch_over_published

_RESTATED, _KEY_DESTROYED = "months_restated", "study_key_destroyed"
_STEPS = "docs/how-to/approve-an-extract.md"


@dataclass(frozen=True)
class Waiting:
    """A built request, and what its requester may read before anyone approves."""

    request_id: str
    state: str
    digest: str
    preview: str


def request_extract(settings: Settings, path: Path, today: date) -> Waiting:
    """Check a request, build and measure its package, and leave it for a second person.

    The same request on the same snapshot is the same request: nothing is built twice.

    Raises:
        RequestInvalid: the request is not valid (exit 2).
        ExtractRefused: the disclosure gate refused; it is in the ledger (exit 3).
    """
    request = read_request(path)
    home = settings.home
    if request.expires_on <= today:
        raise RequestInvalid("expires_on lies in the past")
    note_expired(settings, today)
    _require_living_study(home, request.study)
    with extract_lock(home):
        _sweep(home)
        with scratch_over_published(settings) as con:
            require_closed(request, min(snapshot_as_of(con), today))
            row = con.execute(
                "select max(run_id) from pub.ops.run where outcome = 'published'"
            ).fetchone()
            run_id = str(row[0]) if row else ""
        known = standings(home)
        id_ = _request_id(request, run_id, known)
        standing = known.get(id_)
        if standing is not None and standing.state != "requested":
            digest = str(standing.entries[-1]["digest"])
            text = (_folder(home, id_) / "preview.txt").read_text("utf-8")
            return Waiting(id_, standing.state, digest, text)
        if standing is None:
            record(home, "requested", id_, actor=request.requester.name,
                   digest=request.digest())  # fmt: skip
        try:
            built = _built(settings, request, id_, known, today)
        except ExtractRefused as refusal:
            record(home, "refused", id_, actor="disclosure gate",
                   digest=request.digest(), reason=refusal.reason)  # fmt: skip
            raise
        digest = package.build_digest(built.folder)
        record(home, "built", id_, actor=getpass.getuser(), digest=digest)
        text = (_folder(home, id_) / "preview.txt").read_text("utf-8")
        return Waiting(id_, "built", digest, text)


def _built(
    settings: Settings,
    request: Request,
    id_: str,
    known: dict[str, Standing],
    today: date,
) -> Built:
    home = settings.home
    may_create = not any(
        standing.was_released and _request(home, other).study == request.study
        for other, standing in known.items()
    )
    with _work_folder(home, id_) as work:
        folder = work / "build"
        folder.mkdir(mode=0o700)
        if request.profile == "public":
            from rapport.extracts.public import build_public

            built = build_public(settings, request, id_, folder, _earlier(home), today)
        else:
            built = build_package(
                settings, request, id_, folder, _earlier(home), today,
                may_create_key=may_create,
            )  # fmt: skip
        said = request.model_dump(mode="json", by_alias=True)
        (work / "request.json").write_text(package.written_json(said), "utf-8")
        (work / "facts.json").write_text(package.written_json(built.facts), "utf-8")
        preview = words.preview(request, id_, built.report)
        (work / "preview.txt").write_text(preview, "utf-8")
        with in_memory(disk_keys(home)) as con:
            keep_persons(con, persons_path(home, id_), built.persons,
                         encrypted=is_asked_for(home))  # fmt: skip
        _make_durable(work)
        final = _folder(home, id_)
        if final.exists():  # left by a kill between the rename and the ledger
            shutil.rmtree(final)
        os.rename(work, final)
    return Built(built.persons, built.report, final / "build", built.facts)


@contextmanager
def _work_folder(home: Path, id_: str) -> Iterator[Path]:
    """Lend a private folder; whatever is left in it at the end is removed."""
    work = home / "extracts" / ".work" / id_
    shutil.rmtree(work, ignore_errors=True)
    private_folder(work.parent)
    work.mkdir(mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sweep(home: Path) -> None:
    """Remove what a killed build left."""
    shutil.rmtree(home / "extracts" / ".work", ignore_errors=True)


def _request_id(request: Request, run_id: str, known: dict[str, Standing]) -> str:
    """Name a request: the same for the same words and snapshot, until it has ended."""
    attempt = 0
    while True:
        said = f"{request.digest()}|{run_id}|{attempt}"
        digest = hashlib.sha256(said.encode()).digest()
        id_ = "q_" + base64.b32encode(digest).decode("ascii").lower()[:12]
        ended = ("refused", "withdrawn", "superseded")
        if id_ not in known or known[id_].state not in ended:
            return id_
        attempt += 1


def prepare_requests(settings: Settings, today: date, only: str = "") -> list[str]:
    """Build every request that lies in ``extracts/requests``; return who waits.

    A file that was taken, or that the disclosure gate refused, moves to ``taken/``; one
    that is no valid request stays, and is told by ``rapport extract request FILE``.

    Args:
        settings: the settings.
        today: the day of the requests.
        only: the one request that a person wants to decide on; empty for all.

    Raises:
        UsageError: the one request waits for nobody (exit 2).
    """
    folder = settings.home / "extracts" / "requests"
    private_folder(folder)
    taken = folder / "taken"
    taken.mkdir(exist_ok=True, mode=0o700)
    for path in sorted(folder.glob("*.toml")):
        try:
            request_extract(settings, path, today)
        except ExtractRefused as refusal:
            observe.event("extract_refused", reason=refusal.reason)
        except RequestInvalid as error:
            observe.event("extract_invalid", reason=error.reason)
            continue
        os.replace(path, taken / path.name)
    waiting = waiting_extracts(settings.home)
    if not only:
        return waiting
    if only not in waiting:
        raise UsageError(
            f"{only} does not wait for an answer",
            next_step="rapport extract list says which requests do",
            reason="extract_not_waiting",
        )
    return [only]


def report_figures(settings: Settings, request_id: str) -> dict[str, int | float]:
    """Return the figures that an approval page may show: counts and measures alone."""
    report = review_extract(settings, request_id)["report"]
    figures: dict[str, int | float] = {
        "n_requested": report["n_requested"],
        "n_released": report["n_released"],
        "n_masked": report["n_masked"],
        "n_dropped": report["n_dropped"],
        "k_required": report["k_required"],
    }
    if "trajectory" in report:
        figures["k_min"] = report["k_min"]
        figures["mean_risk"] = report["trajectory"]["mean"]
    return figures


def settle_extract(
    settings: Settings, request_id: str, chosen: str, by: str, reason: str, today: date
) -> dict[str, str]:
    """Do what a person chose on Airflow's page.

    Args:
        settings: the settings.
        request_id: the request that was shown.
        chosen: ``approve`` (and release), ``refuse``, or ``later``, which decides nothing.
        by: the name of who answered; empty where nobody did.
        reason: why, where it is refused.
        today: the day of the approval.
    """
    if chosen == "approve":
        approve_extract(settings, request_id, by, today)
        release_extract(settings, request_id, today)
        return {"outcome": "released"}
    if chosen == "refuse":
        refuse_extract(settings, request_id, by, reason)
        return {"outcome": "refused"}
    return {"outcome": "waiting"}


def review_extract(settings: Settings, id_: str) -> dict[str, Any]:
    """Return a request's disclosure report, its state and the digest to approve."""
    standing = find_standing(settings.home, id_)
    folder = _folder(settings.home, standing.request_id)
    report = folder / "build" / "risk_report.json"
    if not report.exists():
        raise UsageError(
            f"{standing.request_id} is {standing.state}: no report is kept of it",
            next_step="rapport extract list",
        )
    return {
        "request_id": standing.request_id,
        "state": standing.state,
        "digest": package.build_digest(folder / "build"),
        "page": str(folder / "build" / "risk_report.html"),
        "preview": (folder / "preview.txt").read_text("utf-8"),
        "report": json.loads(report.read_text("utf-8")),
    }


def approve_extract(settings: Settings, id_: str, by: str, today: date) -> date:
    """Bind a second person's approval to the build as it lies there.

    Returns:
        the last day on which it may be released.

    Raises:
        UsageError: NAME is no approver, or asked for it herself (exit 2).
        ExtractRefused: the build is not the one that was measured (exit 3).
    """
    home = settings.home
    with extract_lock(home):
        standing = find_standing(home, id_)
        request = _request(home, standing.request_id)
        _require_second_person(settings, request, by)
        built = standing.last("built")
        if built is None or standing.state not in ("built", "approved"):
            raise UsageError(
                f"{standing.request_id} is {standing.state}: there is nothing to approve",
                next_step="rapport extract list",
            )
        digest = package.build_digest(_folder(home, standing.request_id) / "build")
        if digest != built["digest"]:
            raise _other_build(str(built["digest"]), digest)
        until = min(
            today + timedelta(days=settings.extracts.approval_days), request.expires_on
        )
        record(home, "approved", standing.request_id, actor=_plain(by), digest=digest,
               holds_until=until.isoformat())  # fmt: skip
        return until


def _require_second_person(settings: Settings, request: Request, by: str) -> None:
    if _plain(by).casefold() not in {
        _plain(name).casefold() for name in settings.extracts.approvers
    }:
        raise UsageError(
            "this person is not among [extracts] approvers",
            next_step="add the name to rapport.toml; every change of it is yours to defend",
            reason="extract_not_approver",
        )
    own = {
        _plain(request.requester.name).casefold(),
        request.requester.email.casefold(),
    }
    if _plain(by).casefold() in own:
        raise UsageError(
            "nobody approves a request of their own: a second person must",
            reason="extract_own_request",
        )


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).split())


def _other_build(approved: str, found: str) -> ExtractRefused:
    return ExtractRefused(
        f"approval is for digest {approved[:16]}, build is {found[:16]}: review again",
        next_step="someone changed the build: withdraw or refuse it and request it anew",
        reason="extract_build_changed",
    )


def refuse_extract(settings: Settings, id_: str, by: str, reason: str) -> None:
    """End a request with a reason; its data are removed, its report stays in words."""
    home = settings.home
    _require_reason(reason)
    with extract_lock(home):
        standing = find_standing(home, id_)
        digest = str(standing.entries[-1]["digest"])
        record(home, "refused", standing.request_id, actor=_plain(by), digest=digest,
               reason=reason)  # fmt: skip
        shutil.rmtree(_folder(home, standing.request_id) / "build", ignore_errors=True)
        persons_path(home, standing.request_id).unlink(missing_ok=True)


def release_extract(settings: Settings, id_: str, today: date) -> Path:
    """Sign an approved build and move it to where its researcher may take it.

    Raises:
        ExtractRefused: no approval holds, the build changed, or an earlier release differs
            from it by a few persons (exit 3).
    """
    home = settings.home
    researcher_group_id(settings)
    with extract_lock(home):
        standing = find_standing(home, id_)
        folder = _folder(home, standing.request_id)
        final = folder / "release"
        if standing.was_released:
            _finished(standing, folder, final)
            share_releases(settings)
            return final
        request = _request(home, standing.request_id)
        approval = _standing_approval(standing, request, today)
        digest = package.build_digest(folder / "build")
        if digest != approval["digest"]:
            raise _other_build(str(approval["digest"]), digest)
        with in_memory(disk_keys(home)) as con:
            persons = kept_persons(con, persons_path(home, standing.request_id))
            _refuse_now_small(home, request, persons)
            release_id = _release_id(standing.request_id, digest)
            making = folder / ".release"
            try:
                _make_release(settings, request, standing, approval, folder, making,
                              release_id, today)  # fmt: skip
                checks = verify_package(making, None, None, today)
                wrong = [check.line for check in checks if not check.ok]
                if wrong:
                    raise ExtractRefused(
                        "\n".join(["the package is not sound:", *wrong])
                    )
                keep_persons(con, persons_path(home, release_id), persons,
                             encrypted=is_asked_for(home))  # fmt: skip
            except BaseException:
                shutil.rmtree(making, ignore_errors=True)
                raise
        manifest = (making / "release.json").read_bytes()
        record(home, "released", standing.request_id, actor=getpass.getuser(),
               digest=hashlib.sha256(manifest).hexdigest(), release_id=release_id)  # fmt: skip
        os.rename(making, final)
        persons_path(home, standing.request_id).unlink(missing_ok=True)
        share_releases(settings)
        return final


def _finished(standing: Standing, folder: Path, final: Path) -> None:
    """Make good a kill between ledger and rename."""
    making = folder / ".release"
    entry = standing.last("released")
    assert entry is not None
    if not final.exists() and making.exists():
        manifest = (making / "release.json").read_bytes()
        if hashlib.sha256(manifest).hexdigest() == entry["digest"]:
            os.rename(making, final)
    if not final.exists():
        raise UsageError(
            f"{standing.request_id} was released; its package is no longer here"
        )


def _standing_approval(
    standing: Standing, request: Request, today: date
) -> dict[str, Any]:
    approval = standing.last("approved")
    if standing.state != "approved" or approval is None:
        raise ExtractRefused(
            f"{standing.request_id} is {standing.state}, not approved",
            next_step=f"rapport extract approve {standing.request_id} --by NAME; {_STEPS}",
            reason="extract_not_approved",
        )
    if today > date.fromisoformat(approval["holds_until"]):
        raise ExtractRefused(
            f"the approval ended on {approval['holds_until']}: review and approve again",
            next_step=f"rapport extract review {standing.request_id}",
            reason="extract_approval_expired",
        )
    if today >= request.expires_on:
        raise ExtractRefused(
            f"the use ends on {request.expires_on}: nothing can be released any more",
            reason="extract_expired",
        )
    return approval


def _refuse_now_small(home: Path, request: Request, persons: Persons) -> None:
    found = differences(persons, _earlier(home))
    wrong = [d.words(request.k) for d in found if d.is_too_small(request.k)]
    if wrong:
        raise ExtractRefused("\n".join(wrong), reason="extract_differencing")


def _make_release(
    settings: Settings,
    request: Request,
    standing: Standing,
    approval: dict[str, Any],
    folder: Path,
    making: Path,
    release_id: str,
    today: date,
) -> None:
    """Copy the build, sign its manifest, write the sums."""
    home = settings.home
    shutil.rmtree(making, ignore_errors=True)
    shutil.copytree(folder / "build", making)
    is_first = not any(s.was_released for s in standings(home).values())
    key = signing_key(home, may_create=is_first)
    public = key.public_key().public_bytes_raw()
    facts = json.loads((folder / "facts.json").read_text("utf-8"))
    head = ledger_head(home) or START
    said: dict[str, Any] = {
        "v": 1,
        "release_id": release_id,
        "request_id": standing.request_id,
        "study": request.study,
        "profile": request.profile,
        **facts,
        "created_on": today.isoformat(),
        "expires_on": request.expires_on.isoformat(),
        "approved_by": approval["actor"],
        "build_digest": approval["digest"],
        "ledger_prev": head.hash,
        "files": package.file_sums(making),
        "public_key": base64.b64encode(public).decode("ascii"),
        "key_id": key_id(public),
    }
    signature = key.sign(rfc8785.dumps(said))
    said["signature"] = base64.b64encode(signature).decode("ascii")
    (making / "release.json").write_text(package.written_json(said), "utf-8")
    sums = package.sums_text(package.file_sums(making))
    (making / "SHA256SUMS").write_text(sums, "utf-8")
    _publish_key(home, public)
    _make_durable(making)


def _publish_key(home: Path, public: bytes) -> None:
    path = home / "extracts" / "keys" / f"{key_id(public)}.pub"
    if not path.exists():
        private_folder(path.parent)
        path.write_text(base64.b64encode(public).decode("ascii") + "\n", "ascii")


def _release_id(request_id: str, digest: str) -> str:
    said = hashlib.sha256(f"{request_id}|{digest}".encode()).digest()
    return "r_" + base64.b32encode(said).decode("ascii").lower()[:12]


def withdraw_extract(settings: Settings, id_: str, reason: str) -> str:
    """Call a release back: it counts no longer, and ``verify`` beside the ledger says so.

    Returns:
        whom to tell.
    """
    home = settings.home
    _require_reason(reason)
    with extract_lock(home):
        standing = find_standing(home, id_)
        if not standing.was_released:
            raise UsageError(
                f"{standing.request_id} is {standing.state}: only a release is withdrawn",
                next_step="rapport extract refuse ends a request that was not released",
            )
        record(home, "withdrawn", standing.request_id, actor=getpass.getuser(),
               digest=str(standing.entries[-1]["digest"]),
               release_id=standing.release_id, reason=reason)  # fmt: skip
        return holder_of(home, standing.request_id)


def restate_months(settings: Settings, reason: str, today: date) -> dict[str, int]:
    """Let later corrections in, once a calendar year: the frozen months are forgotten (C1).

    The next request freezes the values of its day. Every release that is out holds the
    earlier ones and becomes superseded; it still counts when releases are compared.

    Raises:
        UsageError: no good reason, a request that is not settled, or a second time in a
            year (exit 2).
    """
    home = settings.home
    _require_reason(reason)
    with extract_lock(home):
        known = standings(home)
        if any(s.state in ("requested", "built", "approved") for s in known.values()):
            raise UsageError(
                "a request waits that holds the values of before",
                next_step="release or refuse it first: rapport extract list",
            )
        if any(
            (entry["action"], entry["object"]) == (_RESTATED, f"{today:%Y}")
            for entry in chain_entries(home / "vault" / "audit.jsonl")
        ):
            raise UsageError(
                f"the months were restated in {today:%Y}: corrections enter once a year",
                next_step="wait for the next calendar year",
            )
        n_months = restate(home)
        append_audit(home, _RESTATED, f"{today:%Y}", reason)
        released = [s for s in known.values() if s.state == "released"]
        for standing in released:
            mark_superseded(home, standing)
        return {"n_months": n_months, "n_superseded": len(released)}


@dataclass(frozen=True)
class Study:
    """A study: when its last use ends, until when its key is kept, whether it is there."""

    name: str
    ends_on: date
    key_until: date
    has_key: bool


def studies(home: Path) -> list[Study]:
    """Return every study that was asked for and not refused, by name."""
    ends: dict[str, date] = {}
    for id_, standing in standings(home).items():
        if (
            standing.state != "refused"
            and (_folder(home, id_) / "request.json").exists()
        ):
            request = _request(home, id_)
            known = ends.get(request.study, request.expires_on)
            ends[request.study] = max(known, request.expires_on)
    return [
        Study(
            name,
            end,
            end + timedelta(days=words.KEY_DAYS),
            has_study_key(home, name),
        )
        for name, end in sorted(ends.items())
    ]


def note_expired(settings: Settings, today: date) -> dict[str, int]:
    """Enter what has expired, and destroy study keys 30 days later (A6).

    Every night and every request does it.
    """
    home = settings.home
    counts = {"n_expired": 0, "n_keys_destroyed": 0}
    with extract_lock(home):
        for id_, standing in standings(home).items():
            if standing.state != "released" or _request(home, id_).expires_on >= today:
                continue
            record(home, "expired", id_, actor="rapport",
                   digest=str(standing.entries[-1]["digest"]),
                   release_id=standing.release_id)  # fmt: skip
            counts["n_expired"] += 1
        for study in studies(home):
            if study.key_until < today and destroy_study_key(home, study.name):
                append_audit(home, _KEY_DESTROYED, study.name, "expired")
                counts["n_keys_destroyed"] += 1
    return counts


def _require_living_study(home: Path, study: str) -> None:
    """Stop a study whose key was destroyed when its use had ended.

    Raises:
        RequestInvalid: its pseudonyms cannot be made again (exit 2).
    """
    if has_study_key(home, study):
        return
    for entry in chain_entries(home / "vault" / "audit.jsonl"):
        if (entry["action"], entry["object"]) == (_KEY_DESTROYED, study):
            raise RequestInvalid(
                f"study {study} has ended and its key was destroyed on "
                f"{str(entry['at'])[:10]}: its pseudonyms cannot be made again",
                next_step="name a new study",
                reason="extract_study_ended",
            )


def holder_of(home: Path, request_id: str) -> str:
    """Return who holds a release: the requester, by name and organisation."""
    requester = _request(home, request_id).requester
    return f"{requester.name}, {requester.organisation}"


def mark_superseded(home: Path, standing: Standing) -> None:
    """Enter that a release holds a person who was erased, or values that were restated."""
    record(home, "superseded", standing.request_id, actor="rapport",
           digest=str(standing.entries[-1]["digest"]),
           release_id=standing.release_id)  # fmt: skip


def list_extracts(settings: Settings) -> list[dict[str, Any]]:
    """Return every request: state, who asked, who approved, until when."""
    found = []
    for id_, standing in standings(settings.home).items():
        approval = standing.last("approved")
        row: dict[str, Any] = {
            "request_id": id_,
            "state": standing.state,
            "since": standing.entries[-1]["at"],
            "release_id": standing.release_id,
            "approved_by": approval["actor"] if approval else None,
            "reason": standing.entries[-1].get("reason"),
            "study": None,
            "profile": None,
            "requester": standing.entries[0]["actor"],
            "expires_on": None,
        }
        if (_folder(settings.home, id_) / "request.json").exists():
            request = _request(settings.home, id_)
            row |= {
                "study": request.study,
                "profile": request.profile,
                "expires_on": request.expires_on.isoformat(),
            }
        found.append(row)
    return found


def find_standing(home: Path, id_: str) -> Standing:
    """Return where a request stands, by its id or its release's."""
    for standing in standings(home).values():
        if id_ in (standing.request_id, standing.release_id):
            return standing
    return standing_of(home, id_)


def _earlier(home: Path) -> dict[str, Persons]:
    """Return the persons of every release that is out.

    Raises:
        RequestInvalid: the vault lost a release's persons (exit 2).
    """
    found = {}
    with in_memory(disk_keys(home)) as con:
        for standing in standings(home).values():
            if not standing.is_out or standing.release_id is None:
                continue
            path = persons_path(home, standing.release_id)
            if not path.exists():
                raise RequestInvalid(
                    f"vault/releases does not know who is in {standing.release_id}",
                    next_step="restore vault/releases from its backup",
                    reason="extract_persons_missing",
                )
            found[standing.release_id] = kept_persons(con, path)
    return found


def _request(home: Path, id_: str) -> Request:
    path = _folder(home, id_) / "request.json"
    try:
        return Request.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        raise RapportError(
            f"extracts/{id_}/request.json cannot be read",
            next_step="restore extracts/ from its backup",
            reason="extract_request_lost",
        ) from None


def _folder(home: Path, id_: str) -> Path:
    return home / "extracts" / id_


def _require_reason(reason: str) -> None:
    if not 5 <= len(reason) <= 500:
        raise UsageError("--reason takes 5 to 500 characters, and no patient's value")


def _make_durable(folder: Path) -> None:
    """Sync every file and folder, so that a rename never shows half of them."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)
