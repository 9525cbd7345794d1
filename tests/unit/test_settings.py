"""Settings: defaults, the file, the environment, and what is refused."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from rapport.errors import SettingsError
from rapport.night import discover_deliveries, ingest, log_weakened, start_run
from rapport.privacy import verify_audit
from rapport.settings import Gate, Settings, load_settings, setting_sources
from rapport.warehouse.build import dbt_environment
from rapport.warehouse.connections import scratch


def test_defaults_are_those_of_the_measurement_page(tmp_path: Path) -> None:
    settings = load_settings({"RAPPORT_HOME": str(tmp_path)})
    said = settings.measurement()
    assert said["episodes.gap_days"] == 90
    assert said["rupture.repair_fraction"] == 0.5
    assert said["early.sessions"] == "3,4,5,2,1"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "rapport.toml").write_text("[episodes]\ngap_days = 60\n")
    environ = {"RAPPORT_HOME": str(tmp_path), "RAPPORT_EPISODES__GAP_DAYS": "45"}
    assert load_settings(environ).episodes.gap_days == 45
    (source,) = setting_sources(environ)
    assert source.origin == "RAPPORT_EPISODES__GAP_DAYS"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[episodes]\ngap_days = 5\n", "episodes.gap_days"),
        ("[episodes]\ngap_dayz = 90\n", "episodes.gap_dayz"),
        ("[source.north]\ntimezone = 'Mars/Base'\n", "source.north.timezone"),
        ("[rupture]\nmethods = ['abs_drop']\n", "rupture.methods"),
        ("[rupture]\nbaseline_min = 4\n", "rupture"),
        ("[qi]\nshift_points = 9\n", "qi.shift_points"),
        ("[[qi.target]]\nchart = 'complation.*'\nvalue = 0.8\n", "qi.target.0.chart"),
        ("[[qi.target]]\nchart = 'completion.*'\nvalue = 80\n", "qi.target.0"),
        ("[[qi.target]]\nchart = 'completion.*'\nvalue = -1\n", "qi.target.0.value"),
        ("[[qi.target]]\nchart = 'dropout.x'\nvalue = inf\n", "qi.target.0.value"),
        (
            "[[qi.process_change]]\nchart = '*'\nfrom = '2025-02-30'\nnote = 'new'\n",
            "qi.process_change.0.from",
        ),
        (
            "[[qi.process_change]]\nchart = 'allianc'\nfrom = 2025-02-03\nnote = 'new'\n",
            "qi.process_change.0.chart",
        ),
    ],
)
def test_an_invalid_setting_stops_with_its_name(
    tmp_path: Path, text: str, where: str
) -> None:
    (tmp_path / "rapport.toml").write_text(text)
    with pytest.raises(SettingsError) as stopped:
        load_settings({"RAPPORT_HOME": str(tmp_path)})
    assert where in stopped.value.message
    assert stopped.value.exit_code == 2


def test_a_setting_that_moves_a_number_moves_the_digest(tmp_path: Path) -> None:
    plain = load_settings({"RAPPORT_HOME": str(tmp_path)})
    other = load_settings(
        {"RAPPORT_HOME": str(tmp_path), "RAPPORT_LINK__WINDOW_DAYS": "4"}
    )
    assert plain.digest() != other.digest()


def test_a_target_and_a_change_take_dates_and_globs_as_the_page_writes_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "rapport.toml").write_text("""
        [qi]
        first_month = 2024-01-01
        [[qi.process_change]]
        chart = "completion.*"
        from = 2025-07-01
        note = "Forms on a tablet"
        [[qi.target]]
        chart = "alliance.WAI-SR.client.*"
        value = 4.2
        [[qi.target]]
        chart = "comp*"
        clinic = "North"
        value = 0.8
    """)
    settings = load_settings({"RAPPORT_HOME": str(tmp_path)})
    assert settings.measurement()["qi.first_month"] == "2024-01-01"
    assert settings.qi.process_change[0].from_ == date(2025, 7, 1)
    assert [t.value for t in settings.qi.target] == [4.2, 0.8]
    plain = settings.model_copy(
        update={"qi": settings.qi.model_copy(update={"target": ()})}
    )
    assert settings.digest() != plain.digest()


def test_numbers_of_a_choice_may_come_from_the_environment(tmp_path: Path) -> None:
    environ = {"RAPPORT_HOME": str(tmp_path), "RAPPORT_QI__SHIFT_POINTS": "7"}
    assert load_settings(environ).qi.shift_points == 7


# --- settings that weaken a rule (privacy.md A4) -----------------------------------------


def weakened(home: Path) -> list[str]:
    path = home / "vault" / "audit.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    entries = [json.loads(line) for line in lines]
    return [e["object"] for e in entries if e["action"] == "setting_weakened"]


def night_with(home: Path, toml: str) -> Settings:
    (home / "rapport.toml").write_text(toml)
    settings = load_settings({"RAPPORT_HOME": str(home)})
    log_weakened(settings)
    return settings


@pytest.mark.parametrize(
    ("toml", "entry"),
    [
        ("[gate]\ndeviations = 9.5", "gate.deviations: 3.5 to 9.5"),
        ("[gate]\nshort_below_share = 0.1", "gate.short_below_share: 0.5 to 0.1"),
        ("[gate]\nmax_waiver_days = 90", "gate.max_waiver_days: 31 to 90"),
        ("[inbox]\nmax_inflated_gb = 500.0", "inbox.max_inflated_gb: 20.0 to 500.0"),
        ("[qi]\nsmall_cell_min = 3", "qi.small_cell_min: 11 to 3"),
        (
            "[security]\nshared_read = ['digest']",
            'security.shared_read: [] to ["digest"]',
        ),
        ("[security]\nshared_group = 'all'", 'security.shared_group: null to "all"'),
    ],
)
def test_a_setting_that_weakens_a_rule_is_logged_once(
    tmp_path: Path, toml: str, entry: str
) -> None:
    night_with(tmp_path, toml)
    night_with(tmp_path, toml)
    assert weakened(tmp_path) == [entry]
    assert verify_audit(tmp_path) == []


def test_a_stricter_setting_is_no_entry_and_a_return_is(tmp_path: Path) -> None:
    for text in ("min_rows = 5", "min_rows = 5", "min_rows = 20", "min_rows = 5"):
        night_with(tmp_path, f"[gate]\n{text}")
    assert weakened(tmp_path) == ["gate.min_rows: 5 to 20"]
    night_with(tmp_path, "")
    assert weakened(tmp_path) == ["gate.min_rows: 5 to 20"] * 2


def test_a_source_that_is_part_2_no_longer_is_logged(tmp_path: Path) -> None:
    """Also when its whole section is gone."""
    night_with(tmp_path, "[source.north]\npart2 = true\n[source.south]\npart2 = true")
    assert weakened(tmp_path) == []
    night_with(tmp_path, "[source.north]\npart2 = false")
    assert weakened(tmp_path) == [
        "source.north.part2: true to false", "source.south.part2: true to false",
    ]  # fmt: skip


@pytest.mark.parametrize("step", [discover_deliveries, ingest, start_run])
def test_each_step_that_begins_a_night_writes_it(
    tmp_path: Path, step: Callable[[Settings], object]
) -> None:
    (tmp_path / "rapport.toml").write_text("[qi]\nsmall_cell_min = 5\n")
    (tmp_path / "inbox").mkdir()
    step(load_settings({"RAPPORT_HOME": str(tmp_path)}))
    assert weakened(tmp_path) == ["qi.small_cell_min: 11 to 5"]


def test_every_setting_of_the_gate_says_what_weakens_it(tmp_path: Path) -> None:
    """One that weakens nothing, whichever way it moves, is named here."""
    guards = load_settings({"RAPPORT_HOME": str(tmp_path)}).guards()
    # What the engine can't do within its memory is an error, which holds the night.
    weakens_nothing = {
        "history_nights", "heartbeat_url", "heartbeat_timeout_seconds", "memory_limit",
    }  # fmt: skip
    marked = {name.split(".")[1] for name in guards if name.startswith("gate.")}
    assert marked == set(Gate.model_fields) - weakens_nothing


@pytest.mark.parametrize(
    ("limit", "of_engine"),
    [("4GB", 3_000_000_000), ("2.5GB", 1_875_000_000), ("600MB", 450_000_000)],
)
def test_the_engine_gets_three_quarters_of_the_memory_and_its_processes_the_rest(
    tmp_path: Path, limit: str, of_engine: int
) -> None:
    settings = load_settings(
        {"RAPPORT_HOME": str(tmp_path), "RAPPORT_WAREHOUSE__MEMORY_LIMIT": limit}
    )
    assert settings.warehouse.engine_bytes == of_engine
    said = dbt_environment(settings)["DBT_RAPPORT_MEMORY"]
    with scratch(settings) as con:
        (kept_to,) = (
            con.execute("select current_setting('memory_limit')").fetchone() or ()
        )
        con.execute(f"set memory_limit = '{said}'")
        assert con.execute("select current_setting('memory_limit')").fetchone() == (
            kept_to,
        )
    with duckdb.connect(config={"memory_limit": f"{of_engine}B"}) as alike:
        assert alike.execute("select current_setting('memory_limit')").fetchone() == (
            kept_to,
        )
