"""What deploy/ starts are commands of rapport, with settings that exist."""

import configparser
import re

import pytest
import yaml

from conftest import ROOT
from rapport.cli import app
from rapport.settings import load_settings

DEPLOY = ROOT / "deploy"
COMMANDS = {
    command.name or command.callback.__name__
    for command in app.registered_commands
    if command.callback
}


def of_unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str
    unit.read(DEPLOY / "systemd" / name)
    return unit


@pytest.mark.parametrize("name", ["rapport-live.service", "rapport-night.service"])
def test_a_unit_starts_a_command_that_there_is(name: str) -> None:
    service = of_unit(name)["Service"]
    for key in ("ExecStart", "ExecStopPost"):
        if key in service:
            program, command, *_ = service[key].split()
            assert program.endswith("/.venv/bin/rapport")
            assert command in COMMANDS
    assert "/srv/rapport" in service["ReadWritePaths"]
    assert service["UMask"] == "0077"


def test_the_container_starts_a_command_that_there_is() -> None:
    said = (DEPLOY / "Containerfile").read_text()
    (command,) = re.findall(r'CMD \["rapport", "(\w+)", "--foreground"\]', said)
    assert command in COMMANDS
    assert "USER rapport" in said


def test_the_containers_settings_are_settings(tmp_path) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    service = compose["services"]["rapport"]
    secret = tmp_path / "url"
    settings = load_settings({
        "RAPPORT_HOME": str(tmp_path), "RAPPORT_LIVE__HOST": "0.0.0.0",
        **dict.fromkeys(service["environment"], str(secret)),
    })  # fmt: skip
    assert settings.live.database_url_file == secret
    assert service["ports"] == ["127.0.0.1:8080:8080"]
