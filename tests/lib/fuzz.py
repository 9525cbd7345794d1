"""Fuzzed input of every kind: what a mutation of a good file does to the door.

A case is good bytes, which are taken as they are, changed by a few random edits. For words (settings, mappings, requests)
it is read; for deliveries, twenty at a time are taken in. What counts as a failure: any
exception but rapport's own, a row that is in no sum, a delivery that is in no ledger.
"""

import io
import random
import resource
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import openpyxl

from conftest import ROOT
from rapport import night
from rapport.errors import RapportError
from rapport.extracts.request import read_request
from rapport.mapping.source import preset_text, read_mapping
from rapport.settings import load_settings
from rapport.state import ControlState

FIXTURES = ROOT / "tests" / "fixtures"
_TOKENS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"''", b"'; drop table bronze.clients; --",
    b"{{ 7 * 7 }}", b"{% raw %}", b"../../etc/passwd", b"\r", b"\n\n\n", b"\t", b"=cmd()", b"1e999",
    b"-0", b"NaN", b"9" * 400, b"\xe2\x80\xae", b"\xed\xa0\x80", b"]]]]", b"{" * 300, b"[" * 300, b",,,,,",
    b"2026-02-30", b"0000-00-00", b"true", b"null", b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"A" * 70_000,
]  # fmt: skip


def mutated(good: bytes, rng: random.Random) -> bytes:
    """Return the bytes after one to four random edits."""
    said = bytearray(good)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(said) + 1)
        length = rng.choice((1, 2, 8, 64, 512))
        edit = rng.randrange(7)
        if edit == 0 and said:
            said[min(place, len(said) - 1)] ^= 1 << rng.randrange(8)
        elif edit == 1:
            del said[place : place + length]
        elif edit == 2:
            said[place:place] = said[place : place + length] * rng.choice((1, 2, 40))
        elif edit == 3:
            said[place:place] = rng.choice(_TOKENS)
        elif edit == 4:
            said[place : place + length] = rng.choice(_TOKENS)
        elif edit == 5:
            del said[place:]
        else:
            lines = bytes(said).split(b"\n")
            rng.shuffle(lines)
            said = bytearray(b"\n".join(lines))
    return bytes(said)


_REQUEST = b"""study = "alliance-repair-2026"
title = "Alliance repair and outcome in trauma care"
purpose = "Whether ruptures that are repaired go with better outcome than those that are not."
requester = { name = "Ada Byron", organisation = "University", email = "ada@example.org" }
profile = "safe_harbor"
period = { from = 2024-10-01, to = 2026-08-31 }
tables = ["clients", "episodes", "sessions", "alliance", "ruptures", "outcomes"]
cohort = { min_attended = 3, method = "primary" }
formats = ["parquet", "csv"]
expires_on = 2027-12-31
"""
_SETTINGS = b"""[qi]
small_cell_min = 11
[[qi.process_change]]
chart = "completion.*"
from = 2026-01-01
note = "new form"
[source.north]
timezone = "Europe/Berlin"
[rupture]
methods = ["default_rc3"]
[instruments.WAI-SR]
rc = 8.5
[live]
nightly_at = "03:30"
"""
_SESSIONS = (
    b"session_id,client_id,therapist_id,started_at,status\n"
    b"S1,P1,T1,2026-01-01T10:00,attended\nS2,P1,T1,2026-01-08T10:00,no_show\n"
)
_MANIFEST = b'{"mode": "delta", "received_at": "2026-06-01T00:00:00Z"}'


def _xlsx() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    for line in _SESSIONS.decode().splitlines():
        sheet.append(line.split(","))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sessions.csv", _SESSIONS)
        archive.writestr("clients.csv", b"client_id\nP1\n")
    return out.getvalue()


def _lines(name: str) -> bytes:
    """Return the whole lines within the first 20,000 bytes of a fixture."""
    said = (FIXTURES / name).read_bytes()[:20_000]
    return said[: said.rindex(b"\n") + 1]


@dataclass
class Found:
    """What some cases of one kind came to."""

    n_cases: int = 0
    n_refused: int = 0
    failures: list[str] = field(default_factory=list)
    peak_mb: int = 0

    def as_said(self) -> dict[str, object]:
        return {"n_cases": self.n_cases, "n_refused": self.n_refused,
                "failures": self.failures[:20], "peak_mb": self.peak_mb}  # fmt: skip


def _read_words(read: Callable[[bytes, Path], object], good: list[bytes]) -> "Kind":
    def run(rng: random.Random, n_cases: int) -> Found:
        found = Found()
        with tempfile.TemporaryDirectory() as place:
            for said in good:
                read(said, Path(place))
            for _ in range(n_cases):
                said = mutated(rng.choice(good), rng)
                found.n_cases += 1
                try:
                    read(said, Path(place))
                except RapportError:
                    found.n_refused += 1
                except Exception as error:
                    found.failures.append(f"{type(error).__name__}: {said[:80]!r}")
        return found

    return run


def _settings(said: bytes, place: Path) -> None:
    (place / "rapport.toml").write_bytes(said)
    load_settings({"RAPPORT_HOME": str(place)})


def _mapping(said: bytes, place: Path) -> None:
    read_mapping(said.decode("utf-8", "replace"), "fuzzed.toml")


def _request(said: bytes, place: Path) -> None:
    (place / "request.toml").write_bytes(said)
    read_request(place / "request.toml")


def _deliver(
    source: str, name: str, good: list[bytes], beside: dict[str, bytes]
) -> "Kind":
    def run(rng: random.Random, n_cases: int) -> Found:
        found, unchanged = Found(), Found()
        with tempfile.TemporaryDirectory() as place:
            _take_in(Path(place), source, name, good, beside, unchanged)
        assert not unchanged.n_refused, f"good input is refused: {name}"
        while found.n_cases < n_cases:
            with tempfile.TemporaryDirectory() as place:
                batch = [mutated(rng.choice(good), rng) for _ in range(20)]
                _take_in(Path(place), source, name, batch, beside, found)
        return found

    return run


def _take_in(
    home: Path, source: str, name: str, batch: list[bytes], beside: dict[str, bytes],
    found: Found,
) -> None:  # fmt: skip
    for number, said in enumerate(batch):
        folder = home / "inbox" / source / f"d{number:02}"
        folder.mkdir(parents=True)
        for other, content in {**beside, name: said}.items():
            (folder / other).write_bytes(content)
        (folder / "_SUCCESS").touch()
    found.n_cases += len(batch)
    try:
        night.ingest(load_settings({"RAPPORT_HOME": str(home)}))
    except RapportError as error:
        # One delivery never stops the others: an error of the whole ingest is a failure.
        found.failures.append(f"the ingest stopped: {error.reason}")
        return
    except Exception as error:
        found.failures.append(f"{type(error).__name__} for {name}")
        return
    state = ControlState(home)
    known = state.deliveries()
    found.n_refused += sum(one.outcome == "refused" for one in known)
    if len(known) != len(batch):
        found.failures.append(f"{len(batch) - len(known)} deliveries are in no ledger")
    for row in state.ledger():
        if row[4] != sum(row[5:10]):
            found.failures.append("a row is in no sum")
    with sqlite3.connect(home / "state" / "rapport.sqlite") as con:
        if con.execute("pragma integrity_check").fetchone() != ("ok",):
            found.failures.append("the control state is damaged")


Kind = Callable[[random.Random, int], Found]
_PRESETS = ("simplepractice", "epic_clarity", "redcap", "fhir_r4", "wide_measures")
KINDS: dict[str, Kind] = {
    "settings": _read_words(_settings, [_SETTINGS]),
    "mappings": _read_words(_mapping, [preset_text(n).encode() for n in _PRESETS]),
    "requests": _read_words(_request, [_REQUEST]),
    "manifests": _deliver(
        "canonical", "manifest.json", [_MANIFEST], {"sessions.csv": _SESSIONS}
    ),
    "csv": _deliver("canonical", "sessions.csv", [_SESSIONS], {}),
    "xlsx": _deliver("canonical", "sessions.xlsx", [_xlsx()], {}),
    "zip": _deliver("canonical", "export.zip", [_zip()], {}),
    "fhir": _deliver(
        "fhir_r4",
        "Patient.ndjson",
        [_lines("fhir_r4/Patient.ndjson"), _lines("fhir_forms/QuestionnaireResponse.000.ndjson")],
        {},
    ),
}  # fmt: skip


def fuzz(kind: str, seed: int, n_cases: int) -> Found:
    """Run so many cases of a kind; the same seed gives the same cases."""
    found = KINDS[kind](random.Random(f"{kind}-{seed}"), n_cases)
    found.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found
