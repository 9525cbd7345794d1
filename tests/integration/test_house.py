"""A home looked after: past nights again, files held against the ledger, retention.

One small home for all: three nights of which one is refused, then what comes after them.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from conftest import ROOT, Home, table
from lib.runbooks import run_block
from lib.small_nights import settings_of
from lib.snapshots import published
from rapport import housekeeping, night
from rapport.backfill import PastNight, backfill, summary_lines
from rapport.errors import (
    Damaged,
    NoRoomForANight,
    RapportError,
    StateDamaged,
    UsageError,
)
from rapport.health import health_of
from rapport.privacy.at_rest import keep_file
from rapport.privacy.backup import backup_vault, restore_vault
from rapport.privacy.store import open_store
from rapport.space import night_bytes, require_room
from rapport.state import ControlState, schema_version, writer_lock
from rapport.state.seal import copies
from rapport.upgrade import plan_upgrade, upgrade
from rapport.warehouse.build import BuildResult, night_inputs
from rapport.warehouse.integrity import damage_of, snapshot_damage

FIXTURES = ROOT / "tests" / "fixtures"
FIRST, LAST = date(2026, 5, 4), date(2026, 5, 6)
CLIENTS = table("client_id | sex\nClient-1 | f\nClient-2 | m")
HEADER = "session_id | client_id | therapist_id | started_at | status"
ROWS = "\n".join(
    f"Session-{n} | Client-{1 + n % 2} | Therapist-1 | 2026-05-0{n} 10:00 | attended"
    for n in (1, 2, 3, 4)
)


def _manifest(day: str) -> str:
    return json.dumps(
        {
            "received_at": f"{day}T05:00:00Z",
            "tables": {"sessions": {"mode": "snapshot"}},
        }
    )


@pytest.fixture(scope="module", autouse=True)
def private() -> Iterator[None]:
    """Make files for their owner alone, as every command does: doctor looks at modes."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def nights(new_home: Callable[[str], Home]) -> tuple[Home, list[PastNight]]:
    """Three days on which the machine was down; the second export was a header alone."""
    home = new_home("house")
    sessions = table(f"{HEADER}\n{ROWS}")
    for day, files in (
        ("2026-05-04", {"clients.csv": CLIENTS, "sessions.csv": sessions}),
        ("2026-05-05", {"sessions.csv": table(HEADER)}),
        ("2026-05-06", {"sessions.csv": sessions}),
    ):
        home.deliver(day, files, manifest=_manifest(day))
    return home, backfill(settings_of(home), FIRST, LAST)


@pytest.fixture
def house(nights: tuple[Home, list[PastNight]], tmp_path: Path) -> Home:
    """Return a copy of that home, to be broken."""
    shutil.copytree(nights[0].path, tmp_path / "house", symlinks=True)
    return Home(tmp_path / "house")


def _state(home: Home) -> ControlState:
    return ControlState(home.path)


# --- past nights --------------------------------------------------------------------


def test_missed_nights_are_published_in_order_around_a_refused_one(
    nights: tuple[Home, list[PastNight]],
) -> None:
    home, found = nights
    assert [(n.as_of.day, n.outcome) for n in found] == [
        (4, "published"), (5, "refused"), (6, "published"),
    ]  # fmt: skip
    said = "\n".join(summary_lines(found))
    assert "2 published" in said and "1 refused" in said and "2026-05-05" in said
    settings = settings_of(home)
    health = health_of(settings, "digest", "done")
    assert health["snapshot_as_of"] == "2026-05-06"
    on_disk = json.loads((home.path / "state" / "health.json").read_text())
    assert on_disk["step"] == "digest" and on_disk["run_outcome"] == "published"
    assert (home.path / "state" / "health.json").stat().st_mode & 0o777 == 0o600
    assert {p.name for p in (home.path / "digest").glob("*.html")} >= {
        "2026-05-04.html", "2026-05-06.html",
    }  # fmt: skip


def test_a_night_behind_the_snapshot_goes_into_the_history_alone(
    house: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refused date again; what stands is skipped, and no log learns of it.

    What is kept where is asked here, so that the last night's candidate stands for a build.
    """
    settings, state = settings_of(house), _state(house)
    monkeypatch.setattr(
        night, "build_candidate", lambda *_, **__: BuildResult(1, 3, None, "past_night")
    )
    monkeypatch.setitem(
        night.STEP_FUNCTIONS,
        "validate",
        lambda _, run_id: state.set_run(run_id, "validated") or {},
    )
    snapshot = (house.path / "published" / "rapport.duckdb").read_bytes()
    digests = {p: p.read_bytes() for p in (house.path / "digest").iterdir()}
    before = (state.signal_log(), state.first_seen())
    found = backfill(settings, FIRST, LAST)
    assert [n.outcome for n in found] == ["skipped", "rebuilt", "skipped"]
    assert (house.path / "published" / "rapport.duckdb").read_bytes() == snapshot
    assert {p: p.read_bytes() for p in (house.path / "digest").iterdir()} == digests
    assert (state.signal_log(), state.first_seen()) == before
    history = house.path / "published" / "history"
    assert list(history.glob(f"2026-05-05.{found[1].run_id}.duckdb"))
    assert snapshot_damage(settings, state) == []
    assert state.nights()[-1].outcome == "published"


def test_dates_out_of_order_or_ahead_are_refused(house: Home) -> None:
    for first, last in ((LAST, FIRST), (FIRST, date(2999, 1, 1))):
        with pytest.raises(UsageError, match="--from must not be after"):
            backfill(settings_of(house), first, last)


# --- what must be whole -------------------------------------------------------------


def _flip(path: Path, place: int = -64) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def test_a_sound_home_passes_every_step(house: Home) -> None:
    done = {step.step: step for step in housekeeping.keep_house(settings_of(house))}
    assert [step for step in done.values() if step.error] == []
    assert done["verify"].counts["n_files"] == len(_state(house).bronze_digests()) > 0
    assert done["rehearse_restore"].counts["n_rows"] > 0
    assert done["retire"].counts["n_inbox"] == 0
    assert damage_of(settings_of(house)) == ([], [])


@pytest.mark.parametrize("fault", ["flipped", "cut", "missing"])
def test_damaged_bronze_is_named_and_nothing_is_built_of_it(
    house: Home, fault: str
) -> None:
    settings, state = settings_of(house), _state(house)
    batch, _, relative, *_ = state.bronze_digests()[0]
    path = house.path / "bronze" / relative
    if fault == "flipped":
        _flip(path, path.stat().st_size // 2)
    elif fault == "cut":
        os.truncate(path, path.stat().st_size - 9)
    else:
        path.unlink()
    with pytest.raises(Damaged, match=batch) as told:
        housekeeping.verify(settings)
    assert f"rapport quarantine retry {batch}" in told.value.message
    run_id = night.start_run(settings, LAST)
    with pytest.raises(Damaged, match=f"bronze/{relative}"):
        night.build(settings, run_id)
    assert state.run(run_id).outcome == "failed"
    # The cure that is named makes it whole.
    night.retry_delivery(settings, batch)
    assert damage_of(settings) == ([], [])


def test_a_flipped_bit_in_the_control_state_stops_every_writer(house: Home) -> None:
    settings, store = settings_of(house), house.path / "state" / "rapport.sqlite"
    with writer_lock(house.path):
        pass
    _flip(store)
    with pytest.raises(StateDamaged), writer_lock(house.path):
        pass
    done = {step.step: step for step in housekeeping.keep_house(settings)}
    assert "rapport.sqlite is damaged" in done["verify"].error
    assert "corrupt-file" in done["verify"].next_step
    # The runbook: the newest copy takes its place.
    shutil.copyfile(copies(store)[0], store)
    Path(f"{store}.sha256").unlink()
    assert damage_of(settings) == ([], [])
    assert _state(house).nights()[-1].as_of == LAST


def test_a_damaged_snapshot_is_set_aside_and_an_earlier_one_stands_in(
    house: Home,
) -> None:
    settings, state = settings_of(house), _state(house)
    path = house.path / "published" / "rapport.duckdb"
    _flip(path, 5000)
    (damage,) = snapshot_damage(settings, state)
    assert damage.place == "published/rapport.duckdb"
    night.start_run(settings, LAST)
    assert snapshot_damage(settings, state) == []
    assert path.exists() and (house.path / "warehouse" / "damaged.duckdb").exists()


def test_a_damaged_history_is_named_and_does_not_come_back(house: Home) -> None:
    settings = settings_of(house)
    (earlier,) = (house.path / "published" / "history").iterdir()
    _flip(earlier, 5000)
    (damage,) = snapshot_damage(settings, _state(house))
    assert (
        damage.kind == "history" and "rapport backfill --from 2026-05-04" in damage.mend
    )
    done = {step.step: step for step in housekeeping.keep_house(settings)}
    assert "history" in done["verify"].error
    assert not done["vacuum"].error  # the others ran


# --- retention ----------------------------------------------------------------------


def _make_old(home: Home, n_days: int) -> None:
    """Move the times of runs, deliveries and files back."""
    store = home.path / "state" / "rapport.sqlite"
    with open_store(home.path, store, writes=True) as con, con:
        for name, column in (
            ("run", "started_at"), ("run", "ended_at"), ("delivery", "picked_up_at"),
        ):  # fmt: skip
            con.execute(
                f"update {name} set {column} = strftime('%Y-%m-%dT%H:%M:%S.000000',"
                f" {column}, '-{n_days} days')"
            )
    (home.path / "state" / "rapport.sqlite.sha256").unlink(missing_ok=True)


def test_what_is_over_its_time_goes_and_the_next_run_counts_it(house: Home) -> None:
    _make_old(house, 91)
    old = house.path / "quarantine" / "canonical" / "b_aaaaaaaaaaaa"
    old.mkdir(parents=True)
    log = house.path / "logs" / "rapport-2026-01-01-1.jsonl.gz"
    for path in (old / "clients-1.parquet", log):
        path.write_bytes(b"old")
        os.utime(path, (0, 0))
    os.utime(old, (0, 0))
    settings = settings_of(house)
    counts = housekeeping.retire(settings)
    assert counts["n_inbox"] == 3 and counts["n_quarantine"] == 1
    assert counts["n_logs"] == 1 and counts["n_kept"] == 0
    assert not old.exists() and not log.exists()
    assert list((house.path / "inbox" / "canonical").iterdir()) == []
    assert sum(d.n_items for d in _state(house).deletions()) == 5
    # A second time there is nothing to do, and nothing looks changed or new.
    assert housekeeping.retire(settings)["n_inbox"] == 0
    assert night.discover_deliveries(settings) == []
    assert _state(house).refusals() == []


def test_what_is_not_published_or_has_changed_stays(house: Home) -> None:
    """An unknown delivery, one of no published night, one with other bytes, a link."""
    _make_old(house, 91)
    inbox = house.path / "inbox" / "canonical"
    (inbox / "2026-05-04" / "sessions.csv").write_text("other")
    (inbox / "2026-05-05").rename(house.path / "elsewhere")
    (inbox / "2026-05-05").symlink_to(house.path / "elsewhere")
    house.deliver("2026-05-07", {"clients.csv": CLIENTS})
    counts = housekeeping.retire(settings_of(house))
    assert counts["n_inbox"] == 1 and counts["n_kept"] == 1
    assert {p.name for p in inbox.iterdir()} == {
        "2026-05-04",
        "2026-05-05",
        "2026-05-07",
    }
    assert (house.path / "elsewhere" / "sessions.csv").exists()


def test_nothing_goes_before_its_time_or_when_it_is_kept_for_good(
    house: Home,
) -> None:
    _make_old(house, 89)
    assert housekeeping.retire(settings_of(house))["n_inbox"] == 0
    _make_old(house, 4000)
    kept = settings_of(house)
    kept = kept.model_copy(
        update={"retention": kept.retention.model_copy(update={"inbox_days": 0})}
    )
    assert housekeeping.retire(kept)["n_inbox"] == 0


# --- room ---------------------------------------------------------------------------


def test_a_night_is_refused_before_it_begins_when_the_disk_is_too_small(
    house: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(house)
    require_room(settings)
    monkeypatch.setattr(
        "shutil.disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 100_000_000)
    )
    n_runs = len(_state(house).runs())
    with pytest.raises(
        NoRoomForANight, match=r"0\.10 GB are free and it needs about 0"
    ):
        night.ingest(settings)
    with pytest.raises(NoRoomForANight):
        night.start_run(settings)
    assert len(_state(house).runs()) == n_runs
    limits = settings.warehouse.model_copy(update={"min_free_gb": 0.0})
    require_room(settings.model_copy(update={"warehouse": limits}))


def test_a_first_night_asks_for_what_one_was_measured_to_write(home: Home) -> None:
    """Of a large service, less than a night's disk; of none, what the tables hold (ADR 54)."""
    assert 0.06e9 < night_bytes(settings_of(home)) < 0.1e9
    delivery = home.deliver("d1", {"measure_items.csv": ""})
    with (delivery / "measure_items.csv").open("wb") as file:
        file.truncate(3_700_000_000)  # no bytes are written
    assert 12.9e9 < night_bytes(settings_of(home)) < 20e9


# --- another machine, another version -----------------------------------------------


def _publish_last(home: Home) -> None:
    """Publish the last night again, as rapport night does after its ingest."""
    settings = settings_of(home)
    run_id = night.start_run(settings, LAST, LAST)
    night.build(settings, run_id)
    _state(home).set_run(run_id, "validated")
    night.publish(settings, run_id)


def test_bronze_state_and_a_backup_of_the_vault_give_the_same_snapshot(
    nights: tuple[Home, list[PastNight]], tmp_path: Path
) -> None:
    """As docs/runbooks/restore-on-a-new-machine.md tells it; the inbox is gone."""
    old, new = nights[0], Home(tmp_path / "new")
    sealed = tmp_path / "vault.backup"
    with writer_lock(old.path):
        backup_vault(old.path, sealed, "a long passphrase")
    shutil.copytree(old.path / "bronze", new.path / "bronze")
    (new.path / "state").mkdir()
    shutil.copyfile(
        copies(old.path / "state" / "rapport.sqlite")[0],
        new.path / "state" / "rapport.sqlite",
    )
    restore_vault(new.path, sealed, "a long passphrase")
    assert damage_of(settings_of(new)) == ([], [])
    _publish_last(new)
    assert published(new.path) == published(old.path)


def _set_back_to_the_first_version(home: Home) -> None:
    """Put the rows of the first version's tables into a store of its schema."""
    store = home.path / "state" / "rapport.sqlite"
    today = home.path / "state" / "today.sqlite"
    store.rename(today)
    Path(f"{store}.sha256").unlink(missing_ok=True)
    shutil.rmtree(home.path / "state" / "backup")
    with (
        closing(sqlite3.connect(":memory:")) as con,
        open_store(home.path, today, writes=False) as now,
    ):
        con.executescript((FIXTURES / "first_release" / "state.sql").read_text())
        tables = con.execute(
            "select name from sqlite_master where type = 'table'"
        ).fetchall()
        for (name,) in tables:
            columns = [row[1] for row in con.execute(f"pragma table_info({name})")]
            said = ", ".join(columns)
            con.executemany(
                f"insert into {name} ({said}) values ({', '.join('?' for _ in columns)})",
                now.execute(f"select {said} from {name}").fetchall(),
            )
        con.execute("pragma user_version = 1")
        con.commit()
        keep_file(home.path, store, con.serialize())
    today.unlink()


def test_a_home_of_the_first_version_is_upgraded_and_would_build_the_same(
    house: Home, nights: tuple[Home, list[PastNight]]
) -> None:
    _set_back_to_the_first_version(house)
    plan = plan_upgrade(house.path)
    assert plan.state[0] == 1 and schema_version(house.path) == 1  # nothing was written
    done = upgrade(house.path)
    assert schema_version(house.path) == plan.state[1]
    backup = house.path / "state" / "backup"
    copy = backup / "rapport.version-1.sqlite"
    with open_store(house.path, copy, writes=False) as con:
        assert con.execute("pragma user_version").fetchone() == (1,)
        assert con.execute("select count(*) from delivery").fetchone() == (3,)
    assert done.backup is not None and done.backup.is_dir()
    assert not (house.path / "warehouse" / "kept.duckdb").exists()
    assert "upgrade" in (house.path / "vault" / "audit.jsonl").read_text()
    # Equal inputs: the next build gives what stands (a build of its own costs half a minute).
    settings, state = settings_of(house), _state(house)
    assert damage_of(settings) == ([], [])  # which learns the bytes of bronze
    before = ControlState(nights[0].path).nights()[-1]
    assert before.inputs == night_inputs(settings, state, LAST, LAST)


def test_an_upgrade_waits_for_a_writer_and_for_the_live_system(house: Home) -> None:
    house.run("upgrade", "--check")
    live = house.path / "airflow" / "live.json"
    live.parent.mkdir(exist_ok=True)
    live.write_text(json.dumps({"pid": os.getpid(), "components": {}}))
    assert "rapport down" in house.run("upgrade", check=5).stderr
    live.unlink()
    with writer_lock(house.path):
        assert "another writer" in house.run("upgrade", check=5).stderr
        assert "another writer" in house.run("housekeeping", check=5).stdout


def test_a_store_of_a_later_version_is_refused_with_words(house: Home) -> None:
    store = house.path / "state" / "rapport.sqlite"
    with open_store(house.path, store, writes=True) as con:
        con.execute("pragma user_version = 99")
    before = store.read_bytes()
    with pytest.raises(RapportError, match="older than its data") as told:
        plan_upgrade(house.path)
    assert "runbooks/upgrade.md" in told.value.next_step
    assert store.read_bytes() == before


# --- the runbooks, as they stand ----------------------------------------------------


def _safe_copies(home: Home, safe: Path) -> None:
    """Lay what the runbook asks to be copied each night."""
    safe.mkdir()
    (home.path / "rapport.toml").touch(0o600)
    for name in ("bronze", "state/backup"):
        shutil.copytree(home.path / name, safe / name)
    shutil.copy2(home.path / "rapport.toml", safe / "rapport.toml")
    with writer_lock(home.path):
        backup_vault(home.path, safe / "vault-2026-07.backup", "four words of a person")


def test_the_runbook_of_a_corrupt_file_gives_the_control_state_back(
    house: Home,
) -> None:
    with writer_lock(house.path):
        pass
    _flip(house.path / "state" / "rapport.sqlite")
    told = run_block("corrupt-file", 0, house.path)
    assert told.returncode == 1 and "corrupt-file" in told.stdout + told.stderr
    done = run_block("corrupt-file", 1, house.path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.endswith("night: night\n")
    assert damage_of(settings_of(house)) == ([], [])


def test_the_runbook_of_a_lost_key_gives_the_vault_back(
    house: Home, tmp_path: Path
) -> None:
    _safe_copies(house, tmp_path / "safe")
    (house.path / "vault" / "keys" / "k1.key").unlink()
    with pytest.raises(RapportError):
        night.open_keys(settings_of(house))
    done = run_block("lost-key", 1, house.path, said={"/media/safe": str(tmp_path / "safe")})  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert night.discover_deliveries(settings_of(house)) == []


def test_the_runbook_of_a_new_machine_lays_a_sound_home(
    house: Home, tmp_path: Path
) -> None:
    safe, new = tmp_path / "safe", tmp_path / "srv"
    _safe_copies(house, safe)
    places = {"/srv/rapport": str(new), "/media/safe": str(safe)}
    laid = run_block("restore-on-a-new-machine", 0, new, said=places)
    assert laid.returncode == 0, laid.stderr + laid.stdout
    done = run_block("restore-on-a-new-machine", 1, new, said={"/media/safe": str(safe)})  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert damage_of(settings_of(Home(new))) == ([], [])


def test_the_runbooks_of_room_upgrade_erasure_and_mapping_run(house: Home) -> None:
    batch = _state(house).bronze_digests()[0][0]
    for page, place, said in (
        ("full-disk", 0, {}),
        ("upgrade", 0, {}),
        ("upgrade", 1, {}),
        ("upgrade", 2, {}),
        ("wrong-mapping", 1, {"b_aaaaaaaaaaaa": batch, "'north'": "'canonical'"}),
        ("erasure", 0, {"P000012": "Client-1"}),
    ):
        done = run_block(page, place, house.path, said=said)
        assert done.returncode == 0, f"{page}: {done.stderr}"
    assert damage_of(settings_of(house)) == ([], [])
