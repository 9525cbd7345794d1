"""Settings: defaults, the file, the environment, and what is refused."""

from pathlib import Path

import pytest

from rapport.errors import SettingsError
from rapport.settings import load_settings, setting_sources


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
