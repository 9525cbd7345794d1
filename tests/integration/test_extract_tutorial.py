"""The tutorial on extracts as its readers run it: every command, and the regression."""

import re
import shlex
import subprocess
from datetime import date
from pathlib import Path

import pytest

from conftest import ROOT
from lib.extract_home import change_snapshot, lay_home
from rapport.cli import main

PAGE = ROOT / "docs" / "tutorial" / "research-extract.md"
N = 260
# The page's period ends in August 2026: a snapshot of two months later.
LATER = ("update ops.run set as_of = date '2026-10-31'",)


class Fixed(date):
    @classmethod
    def today(cls) -> "Fixed":
        return cls(2026, 11, 2)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text("utf-8"), re.S)


def estimates(text: str) -> dict[str, tuple[float, float, float]]:
    found = re.findall(r"^(\D+?) +(-?[\d.]+) +(-?[\d.]+) to +(-?[\d.]+)$", text, re.M)
    return {name: (float(a), float(b), float(c)) for name, a, b, c in found}


def run(line: str, folder: Path) -> None:
    """Run a line of the page; a comment says with which code a command ends."""
    command, _, comment = line.partition("  # exit ")
    if command.startswith("rapport "):
        with pytest.raises(SystemExit) as caught:
            main(shlex.split(command)[1:])
        assert int(caught.value.code or 0) == int(comment or 0), line
    else:
        subprocess.run(command, shell=True, check=True, cwd=folder)


def test_every_step_of_the_tutorial_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = lay_home(tmp_path / "data", N)
    change_snapshot(settings, LATER, n=N)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAPPORT_HOME", str(settings.home))
    monkeypatch.setattr("rapport.cli.date", Fixed)
    (toml,), (code,) = blocks("toml"), blocks("python")
    (tmp_path / "request.toml").write_text(toml, encoding="utf-8")
    twin, ask, *officer = blocks("sh")
    assert len(officer) == 3

    for line in [*twin.splitlines(), *ask.splitlines()]:
        run(line, tmp_path)
    said = capsys.readouterr().out
    id_ = re.findall(r"^(q_[a-z2-7]{12})  built", said, re.M)[-1]
    assert "Nothing has left" in said

    exec(compile(code, "first.py", "exec"), {})
    found = estimates(capsys.readouterr().out)
    for name, planted in (("no rupture", -10), ("repaired", -2), ("unrepaired", 6)):
        slope, low, high = found[name]
        assert slope == pytest.approx(planted, abs=1.5)
        assert low - 0.5 <= planted <= high + 0.5
        assert high - low < 5

    for block in officer:
        for line in block.splitlines():
            line = re.sub(r"q_[a-z2-7]{12}", id_, line)
            for key in (settings.home / "extracts" / "keys").glob("*.pub"):
                line = re.sub(r"[0-9a-f]{16}\.pub", key.name, line)
            run(line, tmp_path)
    said = capsys.readouterr()
    for figure in ("smallest class: ", "distinct secrets", "three remembered points: "):
        assert figure in said.out
    assert "✗ README.md: bytes differ from SHA256SUMS" in said.out
    assert "nobody approves a request of their own" in said.err

    release = settings.home / "extracts" / id_ / "release"
    own = code.replace('Path("twin")', f"Path({str(release)!r})")
    exec(compile(own, "first.py", "exec"), {})
    said = capsys.readouterr().out
    assert estimates(said)["no rupture"][0] < 0
    assert int(said.splitlines()[-1].split()[0]) > 100
