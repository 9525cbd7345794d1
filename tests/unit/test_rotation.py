"""A new key over the old one: the same people under other keys, once, whatever happens."""

import errno
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from conftest import Home, table
from lib.canaries import search_folder
from lib.documented import documented, run_here
from lib.small_nights import settings_of
from rapport import night, purge, rotation
from rapport.errors import DiskFull, KeyMissing, UsageError
from rapport.privacy import KeyRing, Vault
from rapport.privacy.keys import ROTATION
from rapport.state import ControlState
from rapport.warehouse import rekey

CLIENTS = table("client_id | sex\nNorth-4711 | f\nNorth-4712 | m")
FORMS = table(
    "administration_id | client_id | instrument | rater | administered_at\n"
    "Form-1 | North-4711 | PHQ-9 | client | 2026-03-02"
)
REASON = "yearly habit"


@pytest.fixture(scope="module")
def taken_in(new_home) -> Path:
    home = new_home("rotated")
    home.deliver("d1", {"clients.csv": CLIENTS, "measures.csv": FORMS})
    night.ingest(settings_of(home))
    return home.path


@pytest.fixture
def clinic(taken_in: Path, home: Home) -> Home:
    shutil.copytree(taken_in, home.path)
    return home


def bronze_keys(home: Home, name: str = "clients") -> set[str]:
    found: set[str] = set()
    with duckdb.connect() as con:
        for _, path in ControlState(home.path).bronze_files()[name]:
            rows = con.execute(
                "select client_key from read_parquet(?)",
                [str(home.path / "bronze" / path)],
            )
            found |= {key for (key,) in rows.fetchall()}
    return found


def old_keys(home: Home) -> dict[str, str]:
    keys = KeyRing.of(settings_of(home))
    ids = [
        ("client", "North-4711"),
        ("client", "North-4712"),
        ("administration", "Form-1"),
    ]
    return {id_: keys.row_key(kind, "canonical", id_) for kind, id_ in ids}


def people(home: Home) -> dict[str, tuple[str, str]]:
    vault = Vault(home.path)
    rows = vault.named(key for key, *_ in vault.people())
    return {id_: (key, uid) for key, _, id_, uid in rows}


def test_every_key_changes_and_every_person_stays(
    clinic: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command of the how-to page."""
    before, known = old_keys(clinic), people(clinic)
    run_here(clinic, documented("rotate-the-key", "vault rotate"), monkeypatch)
    assert search_folder(clinic.path, before).hits == ()
    after = people(clinic)
    assert {i: uid for i, (_, uid) in after.items()} == {
        i: uid for i, (_, uid) in known.items()
    }
    assert bronze_keys(clinic) == {key for key, _ in after.values()}
    assert bronze_keys(clinic).isdisjoint(before.values())
    actions = (clinic.path / "vault/audit.jsonl").read_text().splitlines()
    assert json.loads(actions[-1])["action"] == "vault_rotate"


def test_what_arrives_after_two_rotations_finds_its_people(clinic: Home) -> None:
    for _ in range(2):
        rotation.rotate_key(settings_of(clinic), REASON)
    before = bronze_keys(clinic)
    clinic.deliver("d2", {"clients.csv": CLIENTS})
    assert night.ingest(settings_of(clinic))["n_deliveries"] == 1
    assert bronze_keys(clinic) == before and len(before) == 2
    assert set(people(clinic)) == {"North-4711", "North-4712"}
    assert bronze_keys(clinic, "measures") < before


def test_a_kill_half_way_stops_everything_until_it_goes_on(
    clinic: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed for real, and at every place: tests/chaos/."""
    before = old_keys(clinic)
    with monkeypatch.context() as patched:
        patched.setattr(rotation, "_drop_old", _kill)
        with pytest.raises(KeyboardInterrupt):
            rotation.rotate_key(settings_of(clinic), REASON)
    with pytest.raises(KeyMissing, match="cut off"):
        night.ingest(settings_of(clinic))
    rotation.rotate_key(settings_of(clinic), REASON)
    assert search_folder(clinic.path, before).hits == ()
    assert bronze_keys(clinic) == {key for key, _ in people(clinic).values()}
    clinic.deliver("d2", {"clients.csv": CLIENTS})
    night.ingest(settings_of(clinic))
    assert len(bronze_keys(clinic)) == 2
    entries = json.loads((clinic.path / "vault/keys/keyring.json").read_text())["keys"]
    assert [e["state"] for e in entries] == ["retired", "active"]


def _kill(*arguments: object, **more: object) -> None:
    raise KeyboardInterrupt


def test_a_full_disk_changes_nothing_and_the_same_command_goes_on(
    clinic: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bronze_keys(clinic)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(rekey, "os", _With(fsync=full))
        with pytest.raises(DiskFull):
            rotation.rotate_key(settings_of(clinic), REASON)
    assert bronze_keys(clinic) == before
    rotation.rotate_key(settings_of(clinic), REASON)
    assert bronze_keys(clinic).isdisjoint(before)


class _With:
    """The module ``os`` with one function changed."""

    def __init__(self, **changed: object) -> None:
        self.__dict__ |= changed

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def test_signals_and_what_was_first_seen_keep_their_night(clinic: Home) -> None:
    """Keys below the door are made of keys: their successors are what a build makes."""
    client = old_keys(clinic)["North-4711"]
    keys = KeyRing.of(settings_of(clinic))
    episode = keys.row_key("episode", "canonical", "E1")
    fixed = ["deterioration", episode, "PHQ-9", "2026-03-02"]
    signal = rekey._hash("si_", fixed)
    state = ControlState(clinic.path)
    entry = ("r_1", "2026-03-02", signal, "deterioration", "PHQ-9", episode, client, None,
             None, "2026-03-02", "2026-03-02T00:00:00", None, None, "{}")  # fmt: skip
    state.mark_published(
        "r_1", datetime.now(UTC), [("rupture", "ru_old", "2026")], [entry]
    )
    rotation.rotate_key(settings_of(clinic), REASON)
    new = KeyRing.of(settings_of(clinic))
    moved = new.row_key("episode", "canonical", "E1")
    (after,) = state.signal_log()
    assert after[2] == rekey._hash("si_", [fixed[0], moved, *fixed[2:]])
    assert after[5:7] == (moved, new.row_key("client", "canonical", "North-4711"))
    assert after[9:] == entry[9:]


def test_a_missing_reason_changes_nothing(clinic: Home) -> None:
    with pytest.raises(UsageError, match="reason"):
        rotation.rotate_key(settings_of(clinic), " ")
    assert not (clinic.path / "vault" / ROTATION).exists()


def test_a_mounted_key_is_rotated_with_the_next_one_that_is_put_behind_it(
    clinic: Home, tmp_path: Path
) -> None:
    """The vault keeps no key of it, and each link of the chain is asked for."""
    keys = clinic.path / "vault" / "keys"
    secret = tmp_path / "secret"
    first = (keys / "k1.key").read_bytes()
    secret.touch(0o600)
    secret.write_bytes(first)
    (keys / "k1.key").unlink()
    (clinic.path / "rapport.toml").write_text(f"[security]\nkey_file = '{secret}'\n")
    before = bronze_keys(clinic)
    with pytest.raises(UsageError, match="no next key"):
        rotation.rotate_key(settings_of(clinic), REASON)
    assert bronze_keys(clinic) == before
    secret.write_bytes(first + os.urandom(32))
    assert KeyRing.of(settings_of(clinic)).is_chained is False
    rotation.rotate_key(settings_of(clinic), REASON)
    after = bronze_keys(clinic)
    assert after.isdisjoint(before)
    assert list(keys.glob("*.key")) == []
    clinic.deliver("d2", {"clients.csv": CLIENTS})
    night.ingest(settings_of(clinic))
    assert bronze_keys(clinic) == after
    both = secret.read_bytes()
    for wrong, words in ((first, "each link"), (both[32:] + first, "not the one"),
                         (both[:40], "no whole number")):  # fmt: skip
        secret.write_bytes(wrong)
        with pytest.raises(KeyMissing, match=words):
            night.ingest(settings_of(clinic))


def test_an_erasure_that_is_not_proved_holds_a_rotation_back(clinic: Home) -> None:
    """It knows its person by today's keys; rotated, it would find nothing and say so."""
    settings = settings_of(clinic)
    (clinic.path / "said.txt").write_text("North-4711")
    assert not purge.purge_client(settings, "canonical", "North-4711", REASON).is_proved
    with pytest.raises(UsageError, match="not proved"):
        rotation.rotate_key(settings, REASON)
    (clinic.path / "said.txt").unlink()
    assert purge.purge_client(settings, "canonical", "North-4711", REASON).is_proved
    rotation.rotate_key(settings, REASON)
    assert set(people(clinic)) == {"North-4712"}
