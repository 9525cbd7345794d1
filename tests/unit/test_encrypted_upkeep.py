"""Seals, copies and digests of an encrypted home; no night is run."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from conftest import ROOT, Home, table
from lib.encrypted_home import encrypt, settings_at
from rapport import encryption, night, rotation
from rapport.encryption import plain_files, settle_encryption
from rapport.errors import Damaged, DiskFull, StateDamaged
from rapport.housekeeping import rehearse_restore, vacuum, verify
from rapport.privacy.at_rest import disk_keys, is_sealed, put_file, standing_kid
from rapport.state import ControlState, schema_version, writer_lock
from rapport.state.control import SCHEMA_VERSION
from rapport.state.seal import check_seal, copies, every_copy, store_path
from rapport.upgrade import plan_upgrade, upgrade
from rapport.warehouse.connections import damaged_path
from rapport.warehouse.integrity import built, damage_of

CLIENTS = table("client_id | sex\nClient-10427 | f\nClient-20427 | m")
FIRST_RELEASE = ROOT / "tests" / "fixtures" / "first_release" / "state.sql"
EARLIER, STANDS = "r_20260101_000000_aaaa", "r_20260102_000000_bbbb"


@pytest.fixture(scope="module")
def plain(new_home: Callable[[str], Home]) -> Path:
    """Take two deliveries in; beside them a snapshot and one night of the history."""
    home = new_home("plain")
    home.deliver("d1", {"clients.csv": CLIENTS})
    home.deliver("d2", {"clients.csv": CLIENTS})
    encrypt(home, is_on=False)
    settings = settings_at(home.path)
    night.ingest(settings)
    state = ControlState(home.path)
    folder = home.path / "published"
    (folder / "history").mkdir(parents=True)
    files = {
        EARLIER: folder / "history" / f"2026-01-01.{EARLIER}.duckdb",
        STANDS: folder / "rapport.duckdb",
    }
    with writer_lock(home.path):
        for run_id, path in files.items():
            _snapshot(path, run_id)
        state.remember_built(built("snapshot", *one) for one in files.items())
        state.back_up(STANDS)
    return home.path


def _snapshot(path: Path, run_id: str) -> None:
    with duckdb.connect(path) as con:
        con.execute("create schema ops")
        con.execute(
            "create table ops.run as select ?::varchar as run_id, 'published' as outcome,"
            " timestamp '2026-01-01' as started_at",
            [run_id],
        )


@pytest.fixture
def clinic(plain: Path, home: Home) -> Home:
    shutil.copytree(plain, home.path)
    settings_at(home.path)
    return home


@pytest.fixture
def sealed(clinic: Home) -> Home:
    encrypt(clinic)
    settle_encryption(settings_at(clinic.path))
    return clinic


def _flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    said = bytearray(path.read_bytes())
    said[len(said) // 2] ^= 1
    path.write_bytes(said)


def _bronze(home: Home) -> list[Path]:
    return sorted((home.path / "bronze").rglob("*.parquet"))


def test_files_that_are_written_anew_are_known_by_their_new_bytes(clinic: Home) -> None:
    assert damage_of(settings_at(clinic.path)) == ([], [])
    for is_on in (True, False):
        encrypt(clinic, is_on=is_on)
        settings = settings_at(clinic.path)
        assert settle_encryption(settings) > 0
        assert damage_of(settings) == ([], [])
        state = ControlState(clinic.path)
        assert all(digest for *_, digest in state.bronze_digests())
        assert {run for _, run in state.built_files()} == {EARLIER, STANDS}
        assert (plain_files(settings_at(clinic.path)) == []) is is_on
        _flip(_bronze(clinic)[0])
        assert [d.kind for d in damage_of(settings)[0]] == ["bronze"]
        _flip(_bronze(clinic)[0])


def test_a_rotation_renews_what_is_known(sealed: Home) -> None:
    settings = settings_at(sealed.path)
    (sealed.path / "published" / "rapport.duckdb").unlink()  # no night is run
    rotation.rotate_key(settings, "asked for by letter")
    assert standing_kid(sealed.path) == "k2"
    assert damage_of(settings) == ([], [])
    assert all(digest for *_, digest in ControlState(sealed.path).bronze_digests())


def test_a_rotation_begins_with_sound_bronze_only(sealed: Home) -> None:
    settings = settings_at(sealed.path)
    _flip(_bronze(sealed)[0])
    with pytest.raises(Damaged):
        rotation.rotate_key(settings, "asked for by letter")
    assert [key.kid for key in disk_keys(sealed.path)] == ["k1"]
    assert not (sealed.path / "vault" / "rotation.json").exists()
    assert [d.kind for d in damage_of(settings)[0]] == ["bronze"]


@pytest.mark.parametrize("step", ["rewrite_database", "remember_standing"])
def test_a_kill_between_leaves_nothing_that_looks_damaged(
    clinic: Home, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    encrypt(clinic)
    settings = settings_at(clinic.path)
    with monkeypatch.context() as patched:
        patched.setattr(encryption, step, _kill)
        with pytest.raises(KeyboardInterrupt):
            settle_encryption(settings)
    assert damage_of(settings) == ([], [])
    settle_encryption(settings)
    assert damage_of(settings) == ([], [])
    assert plain_files(settings_at(clinic.path)) == []
    built_runs = {run for _, run in ControlState(clinic.path).built_files()}
    assert built_runs == {EARLIER, STANDS}


def _kill(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_full_disk_is_told_and_the_same_command_goes_on(
    clinic: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypt(clinic)
    settings = settings_at(clinic.path)
    with monkeypatch.context() as patched:
        patched.setattr(encryption, "rewrite_database", _no_room)
        with pytest.raises(DiskFull, match="encrypting"):
            settle_encryption(settings)
    assert damage_of(settings) == ([], []) and standing_kid(clinic.path) is None
    settle_encryption(settings)
    assert plain_files(settings) == []


def _no_room(*arguments: object) -> None:
    raise duckdb.IOException("Could not write: No space left on device")


def test_damaged_bronze_does_not_come_out_sound(clinic: Home) -> None:
    """It stays as it lies and is named, until it is read again."""
    damaged, sound = _bronze(clinic)
    _flip(damaged)
    lies = damaged.read_bytes()
    encrypt(clinic)
    settings = settings_at(clinic.path)
    settle_encryption(settings)
    assert damaged.read_bytes() == lies
    assert standing_kid(clinic.path) is None
    [told] = damage_of(settings)[0]
    assert told.place.endswith(damaged.name)
    assert [Path(name).name for name in plain_files(settings_at(clinic.path))] == [
        damaged.name
    ]
    night.retry_delivery(settings, told.mend.split()[-1])
    settle_encryption(settings)
    assert damage_of(settings) == ([], [])
    assert plain_files(settings_at(clinic.path)) == []
    assert standing_kid(clinic.path) == "k1"
    assert sound.exists()


def test_damaged_snapshots_and_copies_are_kept_and_do_not_come_out_sound(
    clinic: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    published = clinic.path / "published"
    [earlier] = (published / "history").glob("*.duckdb")
    [copy] = copies(store_path(clinic.path))
    was = [published / "rapport.duckdb", earlier, copy]
    for path in was:
        _flip(path)
    lie = [path.read_bytes() for path in was]
    encrypt(clinic)
    settings = settings_at(clinic.path)
    settle_encryption(settings)
    first = damaged_path(settings)
    kept = [first, first.with_name(f"{first.name}.{earlier.stem}"), copy]
    said = capsys.readouterr().err
    for path, aside in zip(was[:2], kept[:2], strict=True):
        assert not path.exists()
        assert (
            f"{path.name} was altered" in said
            and f"kept as warehouse/{aside.name}" in said
        )
    assert all(is_sealed(aside) for aside in kept)
    assert plain_files(settings) == [] and standing_kid(clinic.path) == "k1"
    # The copy's own seal goes on saying that it was altered.
    damage, [line] = damage_of(settings)
    assert damage == [] and copy.name in line
    encrypt(clinic, is_on=False)
    settle_encryption(settings_at(clinic.path))
    assert [aside.read_bytes() for aside in kept] == lie


def test_what_cannot_be_read_and_nobody_knew_does_not_come_out_known(
    clinic: Home,
) -> None:
    """A kill left the bytes unknown; then the disk failed."""
    damaged, sound = _bronze(clinic)
    [earlier] = (clinic.path / "published" / "history").glob("*.duckdb")
    bronze = clinic.path / "bronze"
    with writer_lock(clinic.path):
        ControlState(clinic.path).forget_bytes(
            path.relative_to(bronze).as_posix() for path in (damaged, sound)
        )
    for path in (damaged, earlier):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    encrypt(clinic)
    settings = settings_at(clinic.path)
    settle_encryption(settings)
    assert standing_kid(clinic.path) is None, "it tries again"
    [told] = damage_of(settings)[0]
    assert told.place.endswith(damaged.name)
    assert plain_files(settings) == [told.place]
    first = damaged_path(settings)
    assert is_sealed(first.with_name(f"{first.name}.{earlier.stem}"))
    assert {run for _, run in ControlState(clinic.path).built_files()} == {STANDS}


def test_an_earlier_night_stands_in_for_a_damaged_snapshot(clinic: Home) -> None:
    published = clinic.path / "published"
    [earlier] = (published / "history").glob("*.duckdb")
    _flip(published / "rapport.duckdb")
    encrypt(clinic)
    settings = settings_at(clinic.path)
    settle_encryption(settings)
    assert damage_of(settings) == ([], [])
    # The next publish puts it into the history again.
    assert {run for _, run in ControlState(clinic.path).built_files()} == {EARLIER}
    assert (published / "rapport.duckdb").exists() and not earlier.exists()


def test_a_sealed_control_state_is_held_against_its_seal(sealed: Home) -> None:
    store = store_path(sealed.path)
    with writer_lock(sealed.path):
        ControlState(sealed.path).remember_guards({"gate.min_rows": 20})
    assert is_sealed(store)
    check_seal(store)
    _flip(store)
    with pytest.raises(StateDamaged), writer_lock(sealed.path):
        pass
    damage, [line] = damage_of(settings_at(sealed.path))
    assert damage == [] and "rapport.sqlite is damaged" in line


def test_copies_of_a_sealed_control_state_are_sealed_and_open(sealed: Home) -> None:
    store = store_path(sealed.path)
    [first] = copies(store)  # made while it lay plain
    with writer_lock(sealed.path):
        state = ControlState(sealed.path)
        state.remember_guards({"gate.min_rows": 20})
        state.back_up("r_20260103_000000_cccc")
    made = every_copy(store)
    assert len(made) == 2 and first in made
    assert all(is_sealed(copy) for copy in made)
    for copy in made:
        check_seal(copy)
        store.unlink()
        store.with_name(f"{store.name}.sha256").unlink(missing_ok=True)
        shutil.copyfile(copy, store)
        assert len(ControlState(sealed.path).deliveries()) == 2
    with writer_lock(sealed.path):
        ControlState(sealed.path).rewrite()
    assert every_copy(store) == []
    assert is_sealed(store)


def test_the_house_is_kept_in_an_encrypted_home(sealed: Home) -> None:
    settings = settings_at(sealed.path)
    assert verify(settings)["n_damaged"] == 0
    restored = rehearse_restore(settings)
    assert restored["run_id"] == EARLIER and restored["n_rows"] == 1
    assert vacuum(settings)["n_bytes"] > 0
    assert is_sealed(store_path(sealed.path))
    check_seal(store_path(sealed.path))
    assert plain_files(settings_at(sealed.path)) == []
    assert (sealed.path / "state" / "health.json").exists()
    assert not list((sealed.path / "warehouse" / "tmp").glob("restore*"))


def test_a_sealed_state_of_the_first_version_is_upgraded(sealed: Home) -> None:
    store = store_path(sealed.path)
    shutil.rmtree(store.parent / "backup")
    store.with_name(f"{store.name}.sha256").unlink()
    with closing(sqlite3.connect(":memory:")) as con:
        con.executescript(FIRST_RELEASE.read_text())
        con.execute("pragma user_version = 1")
        put_file(store, con.serialize(), disk_keys(sealed.path)[0])
    assert plan_upgrade(sealed.path).state == (1, SCHEMA_VERSION)
    upgrade(sealed.path)
    assert schema_version(sealed.path) == SCHEMA_VERSION
    assert is_sealed(store)
    check_seal(store)
    [copy] = every_copy(store)
    assert copy.name == "rapport.version-1.sqlite" and is_sealed(copy)
