"""A published clinic with a released extract: its key is rotated, then a person is erased.

The ids of the sample have seven characters, too few to be told from chance in bytes; so
the erasure is proved here by columns, by keys, and by reading the deliveries once more.
"""

import base64
import csv
import hashlib
import hmac
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

from conftest import Home
from lib.canaries import search_folder
from lib.small_nights import settings_of
from rapport import night, purge, rotation
from rapport.extracts.difference import keep_persons, kept_persons, persons_path
from rapport.extracts.frames import lay_subjects
from rapport.extracts.ledger import record, standings
from rapport.privacy import KeyRing, Vault, verify_audit
from rapport.privacy.keys import PREFIXES
from rapport.privacy.studies import pseudonym, study_key
from rapport.report import doctor_findings
from rapport.state import ControlState
from rapport.warehouse import in_memory, scratch_over_published
from rapport.warehouse.tables import files_with_short_ids

STUDY = "alliance-repair-2026"
# What names an episode whatever the key: its person and its first day.
_EPISODES = """
    select s.uid, c.uid, e.opened_on from episode_subject as s
    join pub.core.fct_episode as e using (episode_key)
    join client_subject as c using (client_key)
"""


@dataclass
class Clinic:
    """The home at three moments: published, rotated, erased."""

    home: Home
    old_keys: dict[str, str] = field(default_factory=dict)
    pseudonyms: list[dict[str, str]] = field(default_factory=list)
    signals: list[set[str]] = field(default_factory=list)
    n_derived: int = 0
    gone: str = ""
    gone_values: dict[str, str] = field(default_factory=dict)
    purged: purge.Purged | None = None

    @property
    def snapshot(self) -> Path:
        return self.home.path / "published" / "rapport.duckdb"

    def ask(self, sql: str) -> list[tuple]:
        with duckdb.connect(self.snapshot, read_only=True) as con:
            return con.execute(sql).fetchall()

    def note(self) -> None:
        """Note every pseudonym of a study, and which signals the log and the night know."""
        settings = settings_of(self.home)
        key = study_key(self.home.path, STUDY, may_create=True)
        with scratch_over_published(settings) as con:
            lay_subjects(con, self.home.path)
            self.pseudonyms.append({
                pseudonym(key, STUDY, "episode", episode):
                    f"{pseudonym(key, STUDY, 'client', client)} {opened_on}"
                for episode, client, opened_on in con.execute(_EPISODES).fetchall()
            })  # fmt: skip
        logged = {entry[2] for entry in ControlState(self.home.path).signal_log()}
        shown = {k for (k,) in self.ask("select signal_key from outcomes.fct_care_signal")}  # fmt: skip
        assert logged == shown
        self.signals.append(logged)


def pass_the_gate(settings, run_id: str) -> dict[str, int]:
    """Stand in for the gate, whose verdict is no matter here."""
    ControlState(settings.home).set_run(run_id, "validated")
    return {}


@pytest.fixture(scope="module")
def clinic(sample_home: Home, new_home: Callable[[str], Home]) -> Iterable[Clinic]:
    home = new_home("rotated_and_erased")
    shutil.copytree(sample_home.path, home.path)
    clinic, settings = Clinic(home), settings_of(home)
    clinic.note()
    clinic.old_keys = {
        f"{n}": key
        for n, (key,) in enumerate(
            clinic.ask("select client_key from core.dim_client union"
                       " select episode_key from core.fct_episode union"
                       " select signal_key from outcomes.fct_care_signal")
        )
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(night.STEP_FUNCTIONS, "validate", pass_the_gate)
        rotation.rotate_key(settings, "yearly habit")
        clinic.note()
        ((key, clinic.n_derived),) = clinic.ask(
            "select min(client_key), count(*) from core.fct_episode"
            " where episode_origin = 'derived'"
        )
        ((_, _, clinic.gone, uid),) = Vault(home.path).named([key])
        clinic.gone_values = {"key": key, "uid": uid} | {
            found: found
            for (found,) in clinic.ask(
                f"select episode_key from core.fct_episode where client_key = '{key}'"
                f" union select session_key from core.fct_session where client_key = '{key}'"
            )
        }
        release(home, uid)
        clinic.purged = purge.purge_client(settings, "canonical", clinic.gone, "by letter")  # fmt: skip
    return clinic


def release(home: Home, uid: str) -> None:
    """Lay a release that held a person."""
    folder = home.path / "extracts" / "x_1"
    folder.mkdir(parents=True)
    said = {
        "study": STUDY, "title": "Ruptures and repairs in trauma work", "purpose": "How repair goes together with the outcome",
        "requester": {"name": "Dr. Holder", "organisation": "University", "email": "h@u.example"},
        "profile": "safe_harbor",
        "period": {"from": "2022-01-01", "to": "2025-12-31"},
        "tables": ["clients"], "formats": ["csv"], "expires_on": "2027-12-31",
    }  # fmt: skip
    (folder / "request.json").write_text(json.dumps(said))
    for event in ("requested", "built", "approved", "released"):
        record(home.path, event, "x_1", actor="Ada", digest="0" * 64,
               release_id="r_1" if event == "released" else None)  # fmt: skip
    with in_memory() as con:
        keep_persons(con, persons_path(home.path, "r_1"), {"": frozenset([uid, "o"])})


def cells_of_inbox(home: Home) -> set[str]:
    return {
        cell
        for path in (home.path / "inbox").rglob("*.csv")
        for row in csv.reader(path.read_text("utf-8-sig").splitlines())
        for cell in row
    }


def test_after_a_rotation_no_old_key_is_left_and_every_pseudonym_is(
    clinic: Clinic,
) -> None:
    """Episodes that the builds made of sessions keep theirs too (privacy.md C3)."""
    before, after = clinic.pseudonyms
    assert clinic.n_derived > 0 and len(before) > 20
    assert before == after
    assert search_folder(clinic.home.path, clinic.old_keys).hits == ()


def test_after_a_rotation_every_signal_is_still_the_same_nights(clinic: Clinic) -> None:
    before, after = clinic.signals
    assert len(before) == len(after) > 0 and before.isdisjoint(after)


def test_no_hash_of_a_record_number_is_a_key(clinic: Clinic) -> None:
    """Every id of the clinic, tried as whoever holds the snapshot would try them."""
    said = {cell.strip() for cell in cells_of_inbox(clinic.home) if cell.strip()}
    shown = {
        key[3:]
        for table, column in clinic.ask(
            "select schema_name || '.' || table_name, column_name from duckdb_columns()"
            " where column_name like '%\\_key' escape '\\' and not internal"
        )
        for (key,) in clinic.ask(f"select distinct {column} from {table}")
        if key
    }
    ways: list[Callable[[bytes], bytes]] = [
        lambda text: hashlib.md5(text).digest(),
        lambda text: hashlib.sha1(text).digest(),
        lambda text: hashlib.sha256(text).digest(),
        lambda text: hmac.digest(b"", text, "sha256"),
    ]
    found: set[str] = set()
    one = min(id_ for id_ in said if re.fullmatch(r"P\d{6}", id_))
    unkeyed = f"v1|client|canonical|{one}".encode()
    for way in ways:
        tried = {
            form
            for entity in PREFIXES
            for id_ in said
            for text in (id_.encode(), f"v1|{entity}|canonical|{id_}".encode())
            for form in written(way(text))
        }
        assert not tried.isdisjoint(written(way(unkeyed))), "without a key it is found"
        found |= tried & shown
    assert len(said) > 500 and len(shown) > 500
    assert found == set()


def written(digest: bytes) -> tuple[str, str]:
    """Return a digest as a key may be cut from it: base32, hex."""
    return base64.b32encode(digest).decode().lower()[:26], digest.hex()[:26]


def test_doctor_finds_an_audit_log_that_was_altered_swapped_or_cut(
    clinic: Clinic,
) -> None:
    path = clinic.home.path / "vault" / "audit.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)

    def verdict() -> bool:
        checks = doctor_findings(settings_of(clinic.home))["checks"]
        (found,) = [check for check in checks if check["what"] == "audit log"]
        return bool(found["ok"])

    assert verdict() and len(lines) > 1
    attacks = {
        "a byte": whole.replace(b"yearly habit", b"yearly rabbit"),
        "two lines": b"".join([lines[1], lines[0], *lines[2:]]),
        "the tail": b"",
    }
    try:
        for attack, said in attacks.items():
            path.write_bytes(said)
            assert not verdict(), attack
        # The control switched off: a chain without its copies holds when it is cut.
        assert verify_audit(clinic.home.path) == []
    finally:
        path.write_bytes(whole)


def test_an_erased_person_is_in_no_file_and_the_release_is_superseded(
    clinic: Clinic, sample_home: Home
) -> None:
    assert clinic.gone in cells_of_inbox(sample_home), "the control switched off"
    assert files_with_short_ids(sample_home.path, [clinic.gone])[0] == {
        "vault/identity.sqlite"
    }
    done = clinic.purged
    assert done is not None and done.is_proved and done.is_published
    assert clinic.gone not in cells_of_inbox(clinic.home)
    assert files_with_short_ids(clinic.home.path, [clinic.gone])[0] == set()
    assert search_folder(clinic.home.path, clinic.gone_values).hits == ()
    assert done.releases == ({"release_id": "r_1", "holder": "Dr. Holder, University"},)
    assert standings(clinic.home.path)["x_1"].state == "superseded"
    with in_memory() as con:
        assert kept_persons(con, persons_path(clinic.home.path, "r_1")) == {"": {"o"}}
    proof = json.loads((clinic.home.path / "vault/purges/1.json").read_text())
    assert proof["scan"]["n_short_ids"] == 1 and proof["scan"]["n_rows_at_door"] > 1000
    assert (clinic.home.path / "vault/purges/1.json").stat().st_mode & 0o077 == 0


def test_a_person_who_is_delivered_again_stays_out(
    clinic: Clinic, sample_home: Home
) -> None:
    """Under the key of the rotation: the mark is made of the id alone."""
    source = sample_home.path / "inbox" / "canonical"
    first = min(
        path.parent for path in source.rglob("*.csv") if clinic.gone in path.read_text()
    )
    shutil.copytree(first, clinic.home.path / "inbox" / "canonical" / "again")
    night.ingest(settings_of(clinic.home))
    assert clinic.gone in cells_of_inbox(clinic.home)
    assert search_folder(clinic.home.path, clinic.gone_values).hits == ()
    assert files_with_short_ids(clinic.home.path, [clinic.gone])[0] == set()
    keys = KeyRing.of(settings_of(clinic.home))
    (row,) = [r for r in ControlState(clinic.home.path).deliveries()
              if r.batch_id == keys.batch_id("canonical", "again")]  # fmt: skip
    assert {n["reason"] for n in ControlState(clinic.home.path).notices([row.batch_id])} >= {"purged"}  # fmt: skip
