"""What an encrypted home keeps, through erasure, rotation and kills; no night is run."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import Home, table
from lib.encrypted_home import encrypt, settings_at
from rapport import encryption, night, purge, quarantine, rotation
from rapport.encryption import plain_files
from rapport.errors import KeyMissing, SettingsError
from rapport.ingest.readers import DeliveryFiles
from rapport.privacy import Vault
from rapport.privacy.at_rest import DiskKey, disk_keys, is_sealed, kept_file, unsealed
from rapport.privacy.scan import search_folder
from rapport.state import ControlState
from rapport.warehouse.connections import in_memory, parquet, work_path
from rapport.warehouse.tables import table_reader

GONE, STAYS = "Client-10427", "Client-20427"
CLIENTS = table(f"client_id | sex\n{GONE} | f\n{STAYS} | m")
BAD = table(
    f"client_id | code | recorded_on\n{GONE} | F43.10 | never\n{STAYS} | F43.1 | never"
)
REASON = "asked for by letter"


@pytest.fixture(scope="module")
def taken_in(new_home: Callable[[str], Home]) -> Path:
    home = new_home("stores")
    encrypt(home)
    home.deliver("d1", {"clients.csv": CLIENTS, "diagnoses.csv": BAD})
    home.deliver("d2", {"clients.csv": CLIENTS.encode("utf-16")})
    home.deliver("d3", {"sessions.csv": CLIENTS})
    night.ingest(settings_at(home.path))
    return home.path


@pytest.fixture
def clinic(taken_in: Path, home: Home) -> Home:
    shutil.copytree(taken_in, home.path)
    settings_at(home.path)
    return home


def held(home: Path, *sought: str) -> set[str]:
    """Return the first folder of every file that holds a string, once it is decrypted."""
    named = {str(n): said for n, said in enumerate(sought)}
    found = search_folder(home, named, table_reader(home))
    assert [path for path in found.undecoded if not path.startswith("inbox/")] == []
    return {hit.path.split("/")[0] for hit in found.hits}


def encrypted_files(home: Path) -> list[Path]:
    files = [path for path in home.rglob("*") if path.is_file()]
    return [p for p in files if p.suffix == ".parquet" or is_sealed(p)]


def opens(path: Path, key: DiskKey) -> bool:
    try:
        if is_sealed(path):
            return bool(list(unsealed(path, [key])))
        with in_memory([key]) as con:
            return bool(con.execute(f"from {parquet(path)}").description)
    except Exception:
        return False


def test_everything_that_is_taken_in_lies_encrypted(clinic: Home) -> None:
    assert plain_files(settings_at(clinic.path)) == []
    assert held(clinic.path, GONE) == {"inbox", "quarantine", "vault"}
    [refused] = (clinic.path / "quarantine").rglob("*.refused")
    assert is_sealed(refused)
    assert kept_file(clinic.path, refused) == CLIENTS.encode()
    key = disk_keys(clinic.path)[0]
    files = encrypted_files(clinic.path)
    assert len(files) >= 5
    assert all(opens(path, key) for path in files)


def test_refused_rows_are_shown_from_an_encrypted_quarantine(
    clinic: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(
        quarantine, "sys", SimpleNamespace(stdin=terminal, stdout=terminal)
    )
    settings = settings_at(clinic.path)
    refused = ControlState(clinic.path).refusals()
    batches = {row["batch_id"] for row in refused if row["table_name"] == "diagnoses"}
    [batch] = batches
    found = quarantine.shown(settings, batch, values=True)
    assert GONE in repr(found["values"])


def test_what_is_transcribed_is_read_in_memory(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill leaves nothing of it on the disk."""
    encrypt(home)
    home.deliver("d1", {"clients.csv": CLIENTS.encode("utf-16")})
    folders: list[Path] = []
    left = DeliveryFiles.__exit__

    def leave(files: DeliveryFiles, *raised: object) -> None:
        if files._folder is not None:
            folders.append(files._folder)
            assert any(GONE in p.read_text("utf-8") for p in files._folder.iterdir())
        left(files, *raised)

    monkeypatch.setattr(DeliveryFiles, "__exit__", leave)
    night.ingest(settings_at(home.path))
    assert folders
    if Path("/dev/shm").is_dir():
        assert not any(folder.is_relative_to(home.path) for folder in folders)
    assert not any(folder.exists() or (folder.parent.name.startswith("rapport-") and
                   folder.parent.exists()) for folder in folders)  # fmt: skip


def test_an_erasure_finds_what_is_encrypted(clinic: Home) -> None:
    settings = settings_at(clinic.path)
    done = purge.purge_client(settings, "canonical", GONE, REASON)
    assert done.left == ()
    assert held(clinic.path, GONE) == set()
    assert held(clinic.path, STAYS) == {"inbox", "quarantine", "vault"}
    assert plain_files(settings_at(clinic.path)) == []


def test_what_an_erasure_collects_lies_sealed(
    clinic: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*arguments: object) -> None:
        raise KeyboardInterrupt

    settings = settings_at(clinic.path)
    with monkeypatch.context() as patched:
        patched.setattr(purge, "erase_from_bronze", kill)
        with pytest.raises(KeyboardInterrupt):
            purge.purge_client(settings, "canonical", GONE, REASON)
    [pending] = (clinic.path / "vault" / "purges").glob("*.pending.json")
    assert GONE.encode() not in pending.read_bytes()
    assert purge.purge_client(settings, "canonical", GONE, REASON).left == ()
    assert held(clinic.path, GONE) == set()


@pytest.mark.parametrize("step", ["activate_key", "settle_encryption"])
def test_a_rotation_leaves_nothing_under_the_old_key(
    clinic: Home, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Killed on the way too: the same command goes on."""
    settings = settings_at(clinic.path)
    [old] = disk_keys(clinic.path)
    people = sorted(id_ for _, _, id_ in Vault(clinic.path).people())
    with monkeypatch.context() as patched:
        patched.setattr(rotation, step, _kill)
        with pytest.raises(KeyboardInterrupt):
            rotation.rotate_key(settings, REASON)
    rotation.rotate_key(settings, REASON)
    new, *_ = disk_keys(clinic.path)
    assert new.kid == "k2" and new.key != old.key
    files = encrypted_files(clinic.path)
    assert len(files) >= 5
    assert [path for path in files if opens(path, old)] == []
    assert [path for path in files if not opens(path, new)] == []
    assert plain_files(settings_at(clinic.path)) == []
    assert sorted(id_ for _, _, id_ in Vault(clinic.path).people()) == people
    clinic.deliver("d9", {"clients.csv": CLIENTS})
    assert night.ingest(settings)["n_deliveries"] == 1


def _kill(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_two_writers_of_a_sealed_store_lose_nothing(clinic: Home) -> None:
    """One after the other reads, changes and writes."""
    vaults = [Vault(clinic.path), Vault(clinic.path)]
    for n, vault in enumerate(vaults * 3):
        vault.remember(
            "canonical",
            clients=[(f"id-{n}", f"cl_{n:026d}")],
            therapists=[],
            raw_codes=[],
        )
    assert len(list(Vault(clinic.path).people())) == 2 + 6


def test_a_failed_change_of_a_sealed_store_changes_nothing(clinic: Home) -> None:
    state = ControlState(clinic.path)
    before = state.path.read_bytes()
    with pytest.raises(RuntimeError), state._transaction() as con:
        con.execute("delete from delivery")
        raise RuntimeError
    assert state.path.read_bytes() == before
    assert len(state.deliveries()) == 3


def test_a_setting_that_is_missing_decrypts_nothing(clinic: Home) -> None:
    """A shell without the variable that the nights have reads, and lays nothing open."""
    (clinic.path / "rapport.toml").unlink()
    settings = settings_at(clinic.path)
    with pytest.raises(SettingsError, match="is not set"):
        night.start_run(settings)
    vault, state = Vault(clinic.path), ControlState(clinic.path)
    vault.remember("canonical", clients=[("x", "cl_x")], therapists=[], raw_codes=[])
    state.remember_guards({"gate.min_rows": 20})
    assert len(list(vault.people())) == 3
    assert plain_files(settings_at(clinic.path)) == []


def test_a_home_that_lost_its_key_makes_no_new_one(clinic: Home) -> None:
    shutil.rmtree(clinic.path / "vault" / "keys")
    with pytest.raises(KeyMissing):
        night.open_keys(settings_at(clinic.path))
    with pytest.raises(KeyMissing):
        encryption.settle_encryption(settings_at(clinic.path))
    assert not (clinic.path / "vault" / "keys").exists()


_KILLED = """
import os, signal, sys
from pathlib import Path
from rapport.settings import load_settings
from rapport.warehouse.connections import open_database, work_path

settings = load_settings()
with open_database(work_path(settings), encrypted=sys.argv[1] == "True") as con:
    con.execute("create table t as select 'ZqLogKestrel' || i as c from range(500) r(i)")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("is_encrypted", [True, False])
def test_what_a_kill_leaves_beside_a_database_is_encrypted_as_it_is(
    clinic: Home, *, is_encrypted: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(is_encrypted)],
        env={**os.environ, "RAPPORT_HOME": str(clinic.path)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    log = work_path(settings_at(clinic.path)).with_name("work.duckdb.wal")
    said = log.read_bytes()
    assert len(said) > 4096
    assert (b"ZqLogKestrel" in said) is not is_encrypted
