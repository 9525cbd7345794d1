"""A small clinic whose disk is stolen: what it delivers, and what the thief looks for."""

import csv
import gzip
import io
import zipfile
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import duckdb

from conftest import Home
from lib.canaries import Scan
from rapport.privacy import KeyRing
from rapport.settings import Settings, load_settings

SECOND = "2026-06-30"
CLINIC = "ZqHarbourKestrelClinic"
CLIENTS = [f"ZqClient{n}Kestrel" for n in range(4)]
THERAPIST = "ZqTherapistKestrel"
SPILL = "ZqSpillKestrel"
NOTE, BAD_CELL, REFUSED = "ZqNoteKestrel", "ZqBadCellKestrel", "ZqRefusedKestrel"
ZIPPED, SPELLING, FILE = "ZqZippedKestrel", "ZqSpellingKestrel", "ZqFileKestrel"
# The client's total by session: it drops for three weeks, and comes back.
SCORES = {
    client: [2 if 6 <= week < 9 else 4 + (week + n) % 2 for week in range(18)]
    for n, client in enumerate(CLIENTS)
}
# Who somebody is, in every place that a delivery has for it.
IDENTITY = {
    name: name
    for name in (
        *CLIENTS, THERAPIST, NOTE, BAD_CELL, REFUSED, ZIPPED, SPELLING, FILE, SPILL,
    )
}  # fmt: skip


def settings_at(path: Path) -> Settings:
    return load_settings({"RAPPORT_HOME": str(path)})


def encrypt(home: Home, *, is_on: bool = True, beside: str = "") -> None:
    """Say in the settings, beside others, that what lies on the disk is encrypted."""
    home.path.mkdir(parents=True, exist_ok=True)
    said = f"{beside}\n[security]\nencrypt_at_rest = {str(is_on).lower()}\n"
    path = home.path / "rapport.toml"
    path.write_text(said)
    path.chmod(0o600)


def deliver_first(home: Home) -> None:
    """Deliver four clients, a bad row, a refused file, an archive and another encoding."""
    home.deliver(f"2026-04-30_{FILE}", {
        "clinics.csv": _csv(("clinic_id", "name", "state", "timezone"),
                            ("C1", CLINIC, "NY", "America/New_York")),
        "therapists.csv": _csv(("therapist_id", "clinic_id", "discipline"),
                               (THERAPIST, "C1", "psychologist")),
        "clients.csv": _csv(
            ("client_id", "birth_date", "sex", "full_name"),
            *((client, "1971-03-17", SPELLING, NOTE) for client in CLIENTS)),
        **_course(0, 10),
        "goals.csv": b"%PDF-1.7 " + REFUSED.encode() * 40,
    })  # fmt: skip
    home.deliver("2026-04-30_b", {"diagnoses.zip": _zip({"diagnoses.csv": _csv(
        ("client_id", "code", "recorded_on", "comment"),
        (CLIENTS[0], "F43.10", "2026-02-02", ZIPPED),
        (CLIENTS[1], BAD_CELL * 6, "2026-02-02", ZIPPED))})})  # fmt: skip
    said = _csv(
        ("client_id", "code", "recorded_on"), (CLIENTS[2], "F33.1", "2026-02-03")
    )
    home.deliver("2026-04-30_c", {"diagnoses.csv": said.encode("utf-16"),
                                  "old.csv.gz": gzip.compress(said.encode())})  # fmt: skip


def deliver_second(home: Home) -> None:
    """Deliver more sessions of the same clients."""
    home.deliver("2026-06-30_d", {**_course(10, 18)})


def deliver_many(home: Home) -> Path:
    """Deliver more rows than a door with little memory can hold; return the folder."""
    folder = home.deliver("2026-06-30_e", {}, is_complete=False)
    with duckdb.connect() as con:
        con.execute(
            f"copy (select '{SPILL}' || i % 997 as client_id, sha256(i::varchar) as code,"
            " '2026-03-02' as recorded_on from range(200000) as r(i))"
            f" to '{folder / 'diagnoses.parquet'}' (format parquet, row_group_size 20000)"
        )
    (folder / "_SUCCESS").touch()
    return folder


def below_the_door(path: Path) -> dict[str, str]:
    """Return what lies below the door of a home and is of a person or the clinic."""
    keys = KeyRing.of(settings_at(path))
    found = {f"key {n}": keys.row_key("client", "canonical", client)
             for n, client in enumerate(CLIENTS)}  # fmt: skip
    return {**found, "clinic": CLINIC}


def stolen(found: Scan, *, spared: Iterable[str]) -> dict[str, set[str]]:
    """Return the first folder of each hit, with what was found there."""
    hits: dict[str, set[str]] = {}
    for hit in found.hits:
        folder = hit.path.split("/")[0]
        if folder not in spared:
            hits.setdefault(folder, set()).add(hit.canary)
    return hits


def _course(first: int, last: int) -> dict[str, str | bytes]:
    day = date(2026, 2, 2)
    sessions, measures, items = [], [], []
    for n, client in enumerate(CLIENTS):
        for week in range(first, last):
            when = f"{day + timedelta(days=7 * week + n)}T10:00"
            key = f"{n}-{week}"
            sessions.append(
                (f"S{key}", client, THERAPIST, "C1", when, "attended", NOTE)
            )
            measures.append(
                (f"A{key}", client, THERAPIST, f"S{key}", "WAI-SR", "client", when)
            )
            score = str(SCORES[client][week])
            items += [(f"A{key}", str(item), score) for item in range(1, 13)]
    return {
        "sessions.csv": _csv(
            ("session_id", "client_id", "therapist_id", "clinic_id", "started_at",
             "status", "notes"), *sessions),
        "measures.csv": _csv(
            ("administration_id", "client_id", "therapist_id", "session_id", "instrument",
             "rater", "administered_at"), *measures),
        "measure_items.csv": _csv(("administration_id", "item", "value"), *items),
    }  # fmt: skip


def _csv(*rows: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _zip(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, said in files.items():
            packed.writestr(name, said)
    return out.getvalue()
