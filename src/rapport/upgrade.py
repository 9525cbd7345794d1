"""``rapport upgrade``: what an earlier rapport left is brought up to this one (ADR 0056).

The control state migrates itself, and is copied aside before. Settings are a person's:
what is renamed or retired is written into a copy beside them, and told. The next night
computes every client anew.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rapport import observe
from rapport import settings as settings_module
from rapport.errors import LiveSystemRuns, RapportError, SettingsError
from rapport.files import private_folder
from rapport.health import live_components_of
from rapport.live import airflow_environment, laid_version, migrate
from rapport.privacy import append_audit
from rapport.settings import load_settings
from rapport.state import ControlState, schema_version, writer_lock
from rapport.state.control import SCHEMA_VERSION
from rapport.state.seal import backup_folder, store_path

SETTINGS, UPGRADED = "rapport.toml", "rapport.upgraded.toml"
_SETTINGS_FILES = (SETTINGS, "process_changes.toml", "waivers.toml")
_SECTION = re.compile(r"^\s*\[+\s*([^\]]+?)\s*\]+\s*(#.*)?$")
_KEY = re.compile(r"^(\s*)([A-Za-z_][\w-]*)(\s*=.*)$")


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade does, or did.

    Attributes:
        state: version of the control state before and after.
        settings: what is renamed or retired, in words.
        has_airflow: whether Airflow's metadata are of another version.
        backup: folder of the copies, once they are made.
    """

    state: tuple[int, int]
    settings: tuple[str, ...]
    has_airflow: bool
    backup: Path | None = None

    def lines(self) -> list[str]:
        """Say it."""
        before, after = self.state
        same = "is up to date" if before in (0, after) else f"from version {before}"
        return [
            f"control state: version {after}, {same}",
            *(f"settings: {line}" for line in self.settings),
            *([] if self.settings else ["settings: nothing is renamed or retired"]),
            "Airflow's metadata: "
            + ("of another version" if self.has_airflow else "up to date, or none"),
            "the next night computes every client anew",
        ]


def plan_upgrade(home: Path) -> Upgrade:
    """Say what an upgrade would do; nothing is written.

    Raises:
        RapportError: the control state is of a later rapport: a downgrade.
        LiveSystemRuns: the live system is up (exit 5).
    """
    with suppress(SettingsError):  # settings that are not valid yet say nothing of keys
        load_settings()
    running = live_components_of(home) or {}
    if any(running.values()):
        raise LiveSystemRuns(
            "the live system is up; nothing was changed",
            next_step="rapport down, then rapport upgrade, then rapport up",
        )
    before = schema_version(home)
    if before > SCHEMA_VERSION:
        raise RapportError(
            f"state/rapport.sqlite is of version {before}; this rapport reads version "
            f"{SCHEMA_VERSION}: it is older than its data, and nothing was changed",
            next_step="use the rapport that wrote it, or a later one; going back is "
            "docs/runbooks/upgrade.md",
            reason="state_version",
        )
    path = home / SETTINGS
    text = path.read_text("utf-8") if path.exists() else ""
    laid = laid_version(home)
    has_airflow = laid != metadata.version("apache-airflow") and (
        bool(laid) or (home / "airflow" / "airflow.db").exists()
    )
    return Upgrade((before, SCHEMA_VERSION), tuple(rewritten(text)[1]), has_airflow)


def upgrade(home: Path) -> Upgrade:
    """Copy state and settings aside, migrate, and let the next night build all anew.

    Raises:
        RapportError: a downgrade, or Airflow's metadata did not migrate.
        LiveSystemRuns: the live system is up (exit 5).
        WriterBusy: a writer is at work (exit 5).
    """
    with writer_lock(home):
        plan = plan_upgrade(home)
        backup = _copy_settings(home)
        ControlState(home)  # copies itself into state/backup, then migrates
        _write_settings(home)
        for left in (home / "warehouse").glob("kept*.duckdb*"):
            left.unlink()
        if (home / "vault").is_dir():
            before, after = plan.state
            append_audit(home, "upgrade", f"state {before} to {after}", "upgrade")
        if plan.has_airflow:
            _migrate_airflow()
    return Upgrade(plan.state, plan.settings, plan.has_airflow, backup)


def _copy_settings(home: Path) -> Path:
    """Copy what people wrote: settings, waivers, changes and mappings."""
    now = datetime.now(UTC)
    folder = backup_folder(store_path(home)) / f"settings-{now:%Y%m%dT%H%M%S}"
    private_folder(folder)
    for name in _SETTINGS_FILES:
        if (home / name).is_file():
            shutil.copyfile(home / name, folder / name)
    if (home / "mappings").is_dir():
        shutil.copytree(home / "mappings", folder / "mappings", dirs_exist_ok=True)
    return folder


def _write_settings(home: Path) -> None:
    path = home / SETTINGS
    if not path.exists():
        return
    text, lines = rewritten(path.read_text("utf-8"))
    if not lines:
        return
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise SettingsError(
            f"{SETTINGS}: what is renamed stands in more than one line",
            next_step="change the lines that rapport upgrade --check names by hand",
        ) from None
    (home / UPGRADED).write_text(text, encoding="utf-8")
    (home / UPGRADED).chmod(0o600)


def rewritten(text: str) -> tuple[str, list[str]]:
    """Return settings with their renamed and retired names replaced, and what was done.

    Comments and the order of lines stay. A value must stand in one line.
    """
    retired = settings_module.RETIRED
    section, lines, told = "", text.splitlines(), []
    moved: dict[str, list[str]] = {}
    kept: list[str] = []
    for line in lines:
        head = _SECTION.match(line)
        if head:
            section = head[1]
        key = _KEY.match(line)
        name = f"{section}.{key[2]}" if key else ""
        if not key or name not in retired:
            kept.append(line)
            continue
        heir, why = retired[name].heir, retired[name].why
        if heir is None:
            told.append(f"{name} is retired: {why}")
            kept.append(f"# retired ({why}): {line.strip()}")
            continue
        told.append(f"{name} is {heir} now: {why}")
        of, _, new = heir.rpartition(".")
        if of == section:
            kept.append(f"{key[1]}{new}{key[3]}")
        else:
            moved.setdefault(of, []).append(f"{new}{key[3]}")
    for of, entries in moved.items():
        heads = [n for n, line in enumerate(kept) if line.strip() == f"[{of}]"]
        place = heads[0] + 1 if heads else len(kept)
        kept[place:place] = entries if heads else ["", f"[{of}]", *entries]
    return "\n".join(kept) + "\n", told


def _migrate_airflow() -> None:
    try:
        settings = load_settings()
    except SettingsError:
        observe.say(
            f"  Airflow's metadata wait: put {UPGRADED} in the place of {SETTINGS}, then "
            "rapport upgrade again"
        )
        return
    logs = settings.home / "logs"
    private_folder(logs)
    migrate(airflow_environment(settings), logs / "airflow.log")
