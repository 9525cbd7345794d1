"""The disk is stolen: with encryption on, nothing on it says who anybody is (privacy.md F).

One encrypted home goes through a whole night, and a kill of the next one amid what its door
spills. The thief reads every byte, and decodes every table that opens without a key.
Decrypted, the same home tells the same search everything.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from conftest import Home
from lib.canaries import Scan, search_folder
from lib.encrypted_home import (
    CLIENTS,
    IDENTITY,
    NOTE,
    SCORES,
    SECOND,
    SPILL,
    below_the_door,
    deliver_first,
    deliver_many,
    deliver_second,
    encrypt,
    settings_at,
    stolen,
)
from lib.nights import start_night
from lib.snapshots import published
from rapport import encryption, night
from rapport.encryption import plain_files, settle_encryption
from rapport.errors import ExitCode, KeyMissing, SettingsError
from rapport.privacy import Vault
from rapport.privacy.at_rest import disk_keys, standing_kid
from rapport.privacy.backup import backup_vault, restore_vault
from rapport.state import ControlState
from rapport.warehouse import connections, open_published
from rapport.warehouse.tables import table_reader

# The pages are for people to read, and the inbox is what others deliver.
_SPARED = ("inbox", "dashboard", "digest")
PASSPHRASE = "a long enough passphrase"
_BUILT = {"bronze", "warehouse", "published", "state", "vault"}


@dataclass(frozen=True)
class Stolen:
    """One home, and what was found in it at a moment."""

    home: Home
    found: Scan
    spilled_bytes: int = 0


@pytest.fixture(scope="module")
def encrypted(new_home: Callable[[str], Home]) -> Stolen:
    """Run a night of an encrypted home, then kill the next one amid what it spills."""
    home = new_home("encrypted")
    encrypt(home)
    deliver_first(home)
    deliver_second(home)
    done = home.run("night", "--as-of", SECOND, check=ExitCode.NEEDS_PERSON)
    assert "published/rapport.duckdb" in done.stdout + done.stderr
    backup_vault(home.path, home.path.parent / "vault.backup", PASSPHRASE)
    many = deliver_many(home)
    spilled_bytes = _kill_amid_a_spill(home)
    found = search_folder(home.path, {**IDENTITY, **below_the_door(home.path)})
    shutil.rmtree(many)
    shutil.rmtree(home.path / "warehouse" / "tmp")
    return Stolen(home, found, spilled_bytes)


@pytest.fixture(scope="module")
def plain(encrypted: Stolen, new_home: Callable[[str], Home]) -> Stolen:
    """Decrypt a copy of that home, and search it."""
    home = new_home("plain")
    shutil.copytree(encrypted.home.path, home.path)
    encrypt(home, is_on=False)
    assert settle_encryption(settings_at(home.path)) > 0
    sought = {**IDENTITY, **below_the_door(home.path)}
    sought.pop(SPILL)  # taken back before it was taken in
    return Stolen(home, search_folder(home.path, sought))


@pytest.fixture
def copied(encrypted: Stolen, home: Home) -> Home:
    """Return a copy of the encrypted home, to disturb."""
    shutil.copytree(encrypted.home.path, home.path)
    settings_at(home.path)
    return home


@pytest.fixture
def plain_copied(plain: Stolen, home: Home) -> Home:
    """Return a copy of the plain home, to disturb."""
    shutil.copytree(plain.home.path, home.path)
    return home


def _kill_amid_a_spill(home: Home) -> int:
    """SIGKILL a door that has little memory once it spilled; return the bytes on the disk."""
    spilled = home.path / "warehouse" / "tmp"

    def bytes_spilled() -> int:
        return sum(path.stat().st_size for path in spilled.glob("duckdb_temp*"))

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAPPORT_WAREHOUSE__MEMORY_LIMIT", "60MB")
        patched.setenv("RAPPORT_WAREHOUSE__THREADS", "1")
        night = start_night(home.path, SECOND)
    _kill_when(night, lambda: bytes_spilled() > 4_000_000)
    return bytes_spilled()


def _kill_when(night: subprocess.Popen, is_time: Callable[[], bool]) -> None:
    try:
        while not is_time():
            assert _still_runs(night), "the night ended before it could be killed"
    finally:
        os.killpg(night.pid, signal.SIGKILL)
        night.wait()


def _still_runs(night: subprocess.Popen) -> bool:
    try:
        night.wait(timeout=0.02)
    except subprocess.TimeoutExpired:
        return True
    return False


# --- the thief ----------------------------------------------------------------------


def test_the_thief_of_a_plain_disk_finds_people_and_their_keys(plain: Stolen) -> None:
    found = stolen(plain.found, spared=_SPARED)
    # What a night builds anew is not decrypted; the spill below tries that folder.
    assert _BUILT - {"warehouse"} | {"quarantine"} <= set(found)
    sought = {canary for canaries in found.values() for canary in canaries}
    # A note is dropped at the door: nobody keeps it, encrypted or not.
    assert sought == {*IDENTITY, *below_the_door(plain.home.path)} - {NOTE, SPILL}


def test_after_a_night_a_kill_and_a_spill_the_thief_of_an_encrypted_disk_finds_nobody(
    encrypted: Stolen,
) -> None:
    assert stolen(encrypted.found, spared=_SPARED) == {}
    closed = {path.split("/")[0] for path in encrypted.found.undecoded}
    assert _BUILT | {"quarantine"} <= closed
    assert encrypted.spilled_bytes > 4_000_000
    delivered = {h.canary for h in encrypted.found.hits if h.path.startswith("inbox/")}
    assert {SPILL, *CLIENTS, NOTE} <= delivered


def test_what_a_plain_door_spills_can_be_read(plain: Stolen) -> None:
    many = deliver_many(plain.home)
    assert _kill_amid_a_spill(plain.home) > 4_000_000
    spilled = plain.home.path / "warehouse" / "tmp"
    assert search_folder(spilled, {SPILL: SPILL}).hits
    shutil.rmtree(many)
    shutil.rmtree(spilled)


def test_who_holds_the_key_finds_them_all(encrypted: Stolen) -> None:
    """The search of an erasure, and of the doctor, is not blind."""
    from rapport.privacy.scan import search_folder as search

    home = encrypted.home.path
    sought = {**IDENTITY, **below_the_door(home)}
    found = search(home, sought, table_reader(home))
    assert [path for path in found.undecoded if not path.startswith("inbox/")] == []
    assert _BUILT | {"quarantine"} <= set(stolen(found, spared=_SPARED))


def test_the_key_itself_stands_nowhere_but_in_the_vault(encrypted: Stolen) -> None:
    """Not in logs, not in what dbt keeps of a run, in no form."""
    home = encrypted.home.path
    key = disk_keys(home)[0]
    master = (home / "vault" / "keys" / "k1.key").read_bytes()
    sought = {"text": key.text, "hex": key.key.hex(), "master": master.hex()}
    assert search_folder(home, sought).hits == ()
    assert key.text not in repr(key)


# --- the same numbers ---------------------------------------------------------------


def test_the_published_numbers_are_those_delivered(encrypted: Stolen) -> None:
    """Through dbt and the gate; `benchmarks/encryption.py` compares every table."""
    names = {key: id_ for key, _, id_ in Vault(encrypted.home.path).people()}
    with open_published(settings_at(encrypted.home.path)) as con:
        totals = con.execute(
            "select s.client_key, s.session_number, a.client_total"
            " from core.fct_session as s"
            " inner join alliance.fct_alliance_session as a using (session_key)"
        ).fetchall()
        ruptured = con.execute(
            "select distinct client_key from alliance.fct_rupture"
        ).fetchall()
    assert sorted((names[key], n, total) for key, n, total in totals) == [
        (client, week + 1, float(score))
        for client, scores in SCORES.items()
        for week, score in enumerate(scores)
    ]
    assert {names[key] for (key,) in ruptured} == set(CLIENTS)


def test_the_commands_read_an_encrypted_home(encrypted: Stolen) -> None:
    home = encrypted.home
    episode = home.run(
        "sql", "--format", "csv", "select episode_key from alliance.fct_rupture limit 1"
    ).stdout.split()[1]
    assert "WAI-SR" in home.run("explain", episode).stdout
    said = home.run("doctor").stdout
    assert "all that is to be is encrypted" in said
    assert "whoever takes the disk has it" in said


def test_nobody_writes_through_the_prompt(encrypted: Stolen) -> None:
    """Nor sees the key: it is in no setting and in no list of databases."""
    key = disk_keys(encrypted.home.path)[0].text
    with open_published(settings_at(encrypted.home.path)) as con:
        for asked in ("create table core.x (i int)", "copy (select 1) to 'x.csv'"):
            with pytest.raises(connections.duckdb.Error):
                con.execute(asked)
        for asked in ("duckdb_databases()", "duckdb_settings()", "duckdb_variables()"):  # fmt: skip
            assert key not in repr(con.execute(f"from {asked}").fetchall())


def test_an_approved_release_leaves_nothing_for_the_thief_of_an_encrypted_disk(
    home: Home,
) -> None:
    """Not in what closed months and releases keep, nor in the package, ledger and logs."""
    from lib.extract_home import TODAY, lay_home, spec
    from rapport.extracts.difference import kept_persons, persons_path
    from rapport.extracts.erasure import forget_persons
    from rapport.extracts.frozen import TABLES
    from rapport.extracts.lifecycle import (
        approve_extract,
        release_extract,
        request_extract,
    )

    lay_home(home.path, n=300)
    extracts = (home.path / "rapport.toml").read_text()
    encrypt(home, beside=extracts)
    settings = settings_at(home.path)
    assert settle_encryption(settings) > 0
    asked = home.path / "request.toml"
    asked.write_text(
        spec(quasi_identifiers='["sex"]', tables='["clients", "episodes"]')
    )
    waiting = request_extract(settings, asked, TODAY)
    approve_extract(settings, waiting.request_id, "Grace Hopper", TODAY)
    released = release_extract(settings, waiting.request_id, TODAY)
    release_id = json.loads((released / "release.json").read_text())["release_id"]
    frozen = [*(home.path / "vault" / "cohorts").rglob("*.parquet")]
    assert len(frozen) > len(TABLES)
    assert [path for path in frozen if not connections.is_encrypted(path)] == []
    assert plain_files(settings) == []
    with connections.in_memory(disk_keys(home.path)) as con:
        [held] = kept_persons(con, persons_path(home.path, release_id)).values()
    assert len(held) > 200
    people = sorted(Vault(home.path).people())[:20]
    sought = {said: said for key, _, id_ in people for said in (key, id_)}
    sought |= {uid: uid for uid in sorted(held)[:20]}
    assert stolen(search_folder(home.path, sought), spared=()) == {}
    # An erasure takes a person out of all of them.
    assert forget_persons(home.path, [max(held)]) > 3
    encrypt(home, is_on=False, beside=extracts)
    settle_encryption(settings_at(home.path))
    assert [path for path in frozen if connections.is_encrypted(path)] == []
    found = search_folder(home.path, sought)
    assert set(stolen(found, spared=())) == {"vault", "published"}
    assert {hit.canary for hit in found.hits} == set(sought)


# --- a key that is not the one ------------------------------------------------------


def test_a_lost_key_opens_nothing(copied: Home) -> None:
    shutil.rmtree(copied.path / "vault" / "keys")
    with pytest.raises(KeyMissing, match="restore vault/keys"):
        ControlState(copied.path)
    with (
        pytest.raises(KeyMissing) as raised,
        open_published(settings_at(copied.path)),
    ):
        pass
    assert "restore-the-vault" in raised.value.next_step


def test_a_key_of_another_clinic_opens_nothing(
    copied: Home, new_home: Callable[[str], Home]
) -> None:
    other = new_home("other")
    encrypt(other)
    night.open_keys(settings_at(other.path))
    shutil.rmtree(copied.path / "vault" / "keys")
    shutil.copytree(other.path / "vault" / "keys", copied.path / "vault" / "keys")
    settings = settings_at(copied.path)
    with pytest.raises(KeyMissing) as raised, open_published(settings):
        pass
    assert raised.value.exit_code == ExitCode.USAGE
    assert raised.value.reason == "at_rest_key_wrong"
    for store in (ControlState, Vault):
        with pytest.raises(KeyMissing, match=r"no key of this vault opens it"):
            store(copied.path)
    with pytest.raises(KeyMissing):
        night.start_run(settings)


def test_a_swapped_key_file_is_told(copied: Home) -> None:
    (copied.path / "vault" / "keys" / "k1.key").write_bytes(os.urandom(32))
    with (
        pytest.raises(KeyMissing, match="check value"),
        open_published(settings_at(copied.path)),
    ):
        pass


def test_a_key_that_was_moved_to_a_mounted_secret_opens_everything(
    copied: Home,
) -> None:
    secret = copied.path.parent / "secret"
    shutil.move(copied.path / "vault" / "keys" / "k1.key", secret)
    with (copied.path / "rapport.toml").open("a") as file:
        file.write(f'key_file = "{secret}"\n')
    settings = settings_at(copied.path)
    night.start_run(settings)
    with open_published(settings) as con:
        assert con.execute("select count(*) from core.dim_client").fetchone() == (4,)
    assert len(list(Vault(copied.path).people())) == 4


@pytest.mark.parametrize("damage", ["flipped", "cut off", "longer"])
def test_a_changed_identity_map_does_not_open(copied: Home, damage: str) -> None:
    path = copied.path / "vault" / "identity.sqlite"
    said = path.read_bytes()
    changed = {
        "flipped": said[:-40] + bytes([said[-40] ^ 1]) + said[-39:],
        "cut off": said[:-5],
        "longer": said + b"x",
    }
    path.write_bytes(changed[damage])
    with pytest.raises(KeyMissing):
        Vault(copied.path)


def test_a_machine_without_the_engines_encryption_says_so(
    copied: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "find_spec", lambda name: None)
    with (
        pytest.raises(SettingsError, match="not installed") as raised,
        open_published(settings_at(copied.path)),
    ):
        pass
    assert raised.value.exit_code == ExitCode.USAGE


def test_the_vault_comes_back_from_its_backup(copied: Home, encrypted: Stolen) -> None:
    before = published(copied.path)
    shutil.rmtree(copied.path / "vault")
    backup = encrypted.home.path.parent / "vault.backup"
    restore_vault(copied.path, backup, PASSPHRASE)
    assert published(copied.path) == before
    assert {id_ for _, _, id_ in Vault(copied.path).people()} == set(CLIENTS)


# --- switching on, off, and to the next key -----------------------------------------


def test_switching_on_encrypts_what_lies_there(plain_copied: Home) -> None:
    home = plain_copied
    before = published(home.path)
    encrypt(home)
    settings = settings_at(home.path)
    assert published(home.path) == before, "readers go on until it is done"
    assert plain_files(settings_at(home.path))
    night.open_keys(settings)
    found = search_folder(home.path, {**IDENTITY, **below_the_door(home.path)})
    assert stolen(found, spared=_SPARED) == {}
    assert plain_files(settings_at(home.path)) == []
    assert published(home.path) == before
    assert settle_encryption(settings) == 0, "there is nothing left to do"
    encrypt(home, is_on=False)
    settle_encryption(settings_at(home.path))
    assert standing_kid(home.path) is None
    found = search_folder(home.path, below_the_door(home.path))
    assert {"bronze", "published"} <= set(stolen(found, spared=_SPARED))
    assert published(home.path) == before
    actions = (home.path / "vault" / "audit.jsonl").read_text()
    assert '"encrypt_at_rest"' in actions and '"decrypt_at_rest"' in actions


def test_a_kill_while_switching_on_is_made_good(
    plain_copied: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is encrypted by then and what is not can both be read."""
    home = plain_copied
    before = published(home.path)
    encrypt(home)
    settings = settings_at(home.path)
    with monkeypatch.context() as patched:
        patched.setattr(encryption, "reseal_store", _kill)
        with pytest.raises(KeyboardInterrupt):
            settle_encryption(settings)
    assert standing_kid(home.path) is None
    assert published(home.path) == before
    assert len(ControlState(home.path).deliveries()) == 4
    assert settle_encryption(settings) > 0
    assert plain_files(settings_at(home.path)) == []
    assert published(home.path) == before


def _kill(*arguments: object) -> None:
    raise KeyboardInterrupt
