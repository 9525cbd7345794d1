"""The vault's backup, its return, and keys that are not this clinic's."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from conftest import Home, table
from lib.documented import documented, run_here
from lib.small_nights import settings_of
from rapport import night
from rapport.errors import DiskFull, KeyMissing, UsageError
from rapport.privacy import KeyRing, Vault
from rapport.privacy import backup as backups
from rapport.privacy.backup import backup_vault, needs_backup, restore_vault

WORDS = "correct horse battery staple"
CLIENTS = table("client_id | sex\nNorth-4711 | f")


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "_COST", 1 << 10)


@pytest.fixture
def clinic(home: Home) -> Home:
    """Return a home that has taken one client in."""
    home.deliver("d1", {"clients.csv": CLIENTS})
    night.ingest(settings_of(home))
    return home


def test_a_restored_vault_makes_the_same_keys_and_knows_the_same_people(
    clinic: Home, tmp_path: Path
) -> None:
    assert needs_backup(clinic.path)
    out = tmp_path / "vault.backup"
    backup_vault(clinic.path, out, WORDS)
    assert not needs_backup(clinic.path)
    assert b"North-4711" not in out.read_bytes()
    assert out.stat().st_mode & 0o077 == 0
    elsewhere = Home(tmp_path / "elsewhere")
    elsewhere.path.mkdir()
    restore_vault(elsewhere.path, out, WORDS)
    here, there = settings_of(clinic), settings_of(elsewhere)
    made = [KeyRing.of(s).row_key("client", "canonical", "X") for s in (here, there)]
    assert made[0] == made[1]
    people = list(Vault(there.home).people())
    assert people == list(Vault(here.home).people()) and people


def test_a_wrong_passphrase_or_a_changed_byte_restores_nothing(
    clinic: Home, tmp_path: Path
) -> None:
    out = tmp_path / "vault.backup"
    backup_vault(clinic.path, out, WORDS)
    home = tmp_path / "elsewhere"
    home.mkdir()
    with pytest.raises(UsageError, match="passphrase is wrong"):
        restore_vault(home, out, WORDS + "!")
    said = bytearray(out.read_bytes())
    said[-20] ^= 1
    out.write_bytes(said)
    with pytest.raises(UsageError, match="damaged"):
        restore_vault(home, out, WORDS)
    out.write_bytes(b"PK\x03\x04")
    with pytest.raises(UsageError, match="no backup"):
        restore_vault(home, out, WORDS)
    assert list(home.iterdir()) == []


def test_a_vault_that_is_there_is_not_overwritten(clinic: Home, tmp_path: Path) -> None:
    out = tmp_path / "vault.backup"
    backup_vault(clinic.path, out, WORDS)
    before = (clinic.path / "vault/keys/k1.key").read_bytes()
    with pytest.raises(UsageError, match="here already"):
        restore_vault(clinic.path, out, WORDS)
    assert (clinic.path / "vault/keys/k1.key").read_bytes() == before


def test_a_full_disk_leaves_no_half_backup(
    clinic: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull):
        backup_vault(clinic.path, tmp_path / "vault.backup", WORDS)
    assert list(tmp_path.glob("vault.backup*")) == []


def test_another_clinics_vault_stops_before_any_row(
    clinic: Home, tmp_path: Path
) -> None:
    other = Home(tmp_path / "other")
    other.deliver("d1", {"clients.csv": CLIENTS})
    night.ingest(settings_of(other))
    shutil.rmtree(clinic.path / "vault")
    shutil.copytree(other.path / "vault", clinic.path / "vault")
    clinic.deliver("d2", {"clients.csv": CLIENTS})
    with pytest.raises(KeyMissing, match="did not make the keys"):
        night.ingest(settings_of(clinic))


def test_the_commands_take_the_passphrase_from_a_file_never_from_argv(
    clinic: Home, tmp_path: Path
) -> None:
    words, out = tmp_path / "words", tmp_path / "vault.backup"
    words.write_text(WORDS + "\n")
    words.chmod(0o644)
    command = ["vault", "backup", "--out", str(out), "--passphrase-file", str(words)]
    assert "open to others" in clinic.run(*command, check=2).stderr
    words.chmod(0o600)
    clinic.run(*command)
    empty = Home(tmp_path / "empty")
    empty.run("vault", "restore", str(out), "--passphrase-file", str(words))
    assert KeyRing.of(settings_of(empty))
    actions = [
        json.loads(line)["action"]
        for line in (empty.path / "vault/audit.jsonl").read_text().splitlines()
    ]
    assert actions[-1] == "vault_restore"


def test_the_how_tos_on_backup_restore_and_loss_do_what_they_say(
    clinic: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_VAULT_PASSPHRASE", WORDS)
    out = str(tmp_path / "vault.backup")
    run_here(
        clinic, documented("back-up-the-vault", "vault backup", out=out), monkeypatch
    )
    empty = Home(tmp_path / "empty")
    shutil.copytree(clinic.path / "bronze", empty.path / "bronze")
    shutil.copytree(clinic.path / "state", empty.path / "state")
    restore = documented("restore-the-vault", "vault restore", last=out)
    run_here(empty, restore, monkeypatch)
    here, there = (KeyRing.of(settings_of(h)) for h in (clinic, empty))
    assert here.row_key("client", "n", "1") == there.row_key("client", "n", "1")
    empty.deliver("d2", {"clients.csv": CLIENTS})
    assert night.ingest(settings_of(empty))["n_deliveries"] == 1
    # Loss without a backup: nothing is read any more; the exports make a new home.
    shutil.rmtree(clinic.path / "vault" / "keys")
    with pytest.raises(KeyMissing, match="row key missing"):
        night.ingest(settings_of(clinic))
    again = Home(tmp_path / "again")
    shutil.copytree(clinic.path / "inbox", again.path / "inbox")
    assert night.ingest(settings_of(again))["n_rows_loaded"] == 1
    new = KeyRing.of(settings_of(again))
    assert new.row_key("client", "n", "1") != there.row_key("client", "n", "1")
