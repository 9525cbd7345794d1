"""What is refused, and that nothing half made is left where someone might take it."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.extract_home import TODAY, lay_home, spec
from rapport.errors import ExtractRefused, KeyMissing, UsageError, is_disk_full
from rapport.extracts import frames, lifecycle, package
from rapport.extracts.ledger import verify_ledger
from rapport.extracts.lifecycle import (
    approve_extract,
    find_standing,
    release_extract,
    request_extract,
)
from rapport.extracts.verify import passed, verify_package
from rapport.settings import Settings

CLIENTS = '["clients", "episodes"]'
# A process that dies by SIGKILL the moment a function of ours is reached.
_DIES = """
import os, signal
from datetime import date
from pathlib import Path
from rapport.extracts import build, difference, frozen, lifecycle, package
from rapport.settings import load_settings

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

{module}.{function} = die
settings = load_settings()
day = date({day.year}, {day.month}, {day.day})
{step}
"""
_ASK = 'lifecycle.request_extract(settings, Path("{file}"), day)'
_RELEASE = 'lifecycle.release_extract(settings, "{id}", day)'


def ask(settings: Settings, **changes: str) -> str:
    path = settings.home / "request.toml"
    path.write_text(spec(**{"tables": CLIENTS, **changes}), encoding="utf-8")
    return request_extract(settings, path, TODAY).request_id


def killed(settings: Settings, place: str, step: str) -> None:
    """Run a step in a process that is killed at a place; it must have come there."""
    module, function = place.split(".")
    done = subprocess.run(
        [sys.executable, "-c",
         _DIES.format(module=module, function=function, day=TODAY, step=step)],
        env={**os.environ, "RAPPORT_HOME": str(settings.home)},
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def takeable(settings: Settings) -> set[str]:
    """List what someone may take: released packages, and builds that are shown."""
    folder = settings.home / "extracts"
    return {
        path.relative_to(folder).as_posix()
        for path in folder.glob("*/*")
        if path.name in ("release", "build") and not path.parent.name.startswith(".")
    }


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, str]:
    """Return a home with one release of few tables."""
    settings = lay_home(tmp_path_factory.mktemp("bad") / "home", 60)
    id_ = ask(settings)
    approve_extract(settings, id_, "Grace Hopper", TODAY)
    release_extract(settings, id_, TODAY)
    return settings, id_


@pytest.fixture
def own(laid: tuple[Settings, str], new_home: Callable) -> Settings:
    home = Path(shutil.copytree(laid[0].home, new_home("own").path))
    return laid[0].model_copy(update={"home": home})


def test_a_build_that_is_killed_leaves_nothing_to_take(own: Settings) -> None:
    before = takeable(own)
    path = own.home / "request.toml"
    path.write_text(spec(tables=CLIENTS, study='"killed-2026"'), encoding="utf-8")
    killed(own, "package.codebook_csv", _ASK.format(file=path))
    left = list((own.home / "extracts" / ".work").rglob("clients.csv"))
    assert len(left) == 1  # killed in the midst of it, and out of sight
    assert takeable(own) == before
    assert verify_ledger(own.home) == []
    # The same command once more, killed when the build is in place and not in the ledger.
    killed(own, "lifecycle.Built", _ASK.format(file=path))
    (shown,) = takeable(own) - before
    id_ = shown.split("/")[0]
    assert find_standing(own.home, id_).state == "requested"
    with pytest.raises(UsageError, match="nothing to approve"):
        approve_extract(own, id_, "Grace Hopper", TODAY)
    assert request_extract(own, path, TODAY).request_id == id_
    assert find_standing(own.home, id_).state == "built"
    assert takeable(own) == {*before, shown}
    assert not list((own.home / "extracts").rglob(".work/*"))


def test_a_release_that_is_killed_is_whole_or_not_there(own: Settings) -> None:
    id_ = ask(own, study='"killed-release"')
    approve_extract(own, id_, "Grace Hopper", TODAY)
    before = takeable(own)
    for place, is_told in (("lifecycle._publish_key", False), ("os.rename", True)):
        killed(own, place, _RELEASE.format(id=id_))
        assert (own.home / "extracts" / id_ / ".release" / "SHA256SUMS").exists()
        assert takeable(own) == before
        assert find_standing(own.home, id_).was_released == is_told
    folder = release_extract(own, id_, TODAY)
    assert passed(verify_package(folder, None, None, TODAY))
    assert not (folder.parent / ".release").exists()


def test_a_full_disk_leaves_no_part_of_a_package(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = ask(own, study='"full-disk"')
    approve_extract(own, id_, "Grace Hopper", TODAY)
    before = takeable(own)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(lifecycle, "_make_durable", full)
    with pytest.raises(OSError) as caught:
        release_extract(own, id_, TODAY)
    assert is_disk_full(caught.value)
    assert not (own.home / "extracts" / id_ / ".release").exists()
    with pytest.raises(OSError):
        ask(own, study='"full-disk-again"')
    monkeypatch.setattr(package, "write_tables", full)
    with pytest.raises(OSError):
        ask(own, study='"full-disk-once-more"')
    assert takeable(own) == before
    assert not list((own.home / "extracts" / ".work").glob("*"))
    assert verify_ledger(own.home) == []


def test_a_lost_signing_key_stops_a_release_and_makes_no_other(own: Settings) -> None:
    id_ = ask(own, study='"lost-signing-key"')
    approve_extract(own, id_, "Grace Hopper", TODAY)
    before = takeable(own)
    key = own.home / "vault" / "keys" / "release.ed25519"
    key.unlink()
    with pytest.raises(KeyMissing, match="restore vault/keys from its backup"):
        release_extract(own, id_, TODAY)
    assert not key.exists()
    assert takeable(own) == before
    assert not (own.home / "extracts" / id_ / ".release").exists()


def test_a_public_request_makes_no_key_for_a_study_that_lost_its_own(
    own: Settings,
) -> None:
    key = own.home / "vault" / "studies" / "alliance-repair-2026.key"
    key.unlink()
    ask(own, profile='"public"', tables='["qi.endings"]')
    assert not key.exists()


def test_two_subjects_with_one_pseudonym_stop_the_build(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "pseudonym", lambda *_: "AAAAAAAAAAAAAAAA")
    with pytest.raises(ExtractRefused, match="share a pseudonym"):
        ask(own, study='"a-collision"')


def test_a_package_without_its_manifest_is_no_sound_package(
    laid: tuple[Settings, str], tmp_path: Path
) -> None:
    released = laid[0].home / "extracts" / laid[1] / "release"
    folder = Path(shutil.copytree(released, tmp_path / "package"))
    (folder / "release.json").unlink()
    (check,) = verify_package(folder, None, None, TODAY)
    assert (check.ok, check.line) == (False, "release.json: listed but missing")
