"""The connections that rapport lends: the snapshot, the candidate, a scratch database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from rapport.errors import NothingPublished
from rapport.settings import Settings

# Nothing is fetched or loaded by the name of a file.
_NO_EXTENSIONS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def published_path(settings: Settings) -> Path:
    """Return where the snapshot that people read lies."""
    return settings.home / "published" / "rapport.duckdb"


def candidate_path(settings: Settings) -> Path:
    """Return where tonight's candidate lies: the published schemas alone."""
    return settings.home / "warehouse" / "candidate.duckdb"


def work_path(settings: Settings) -> Path:
    """Return the writer's working database; nobody else reads it."""
    return settings.home / "warehouse" / "work.duckdb"


def kept_path(settings: Settings) -> Path:
    """Return what the next night must know of the published one; nobody else reads it."""
    return settings.home / "warehouse" / "kept.duckdb"


def kept_tonight_path(settings: Settings) -> Path:
    """Return what takes the place of the kept database once tonight is published."""
    return settings.home / "warehouse" / "kept.tonight.duckdb"


def built_paths(settings: Settings) -> tuple[Path, ...]:
    """Return every database that a build writes; none is needed to build anew."""
    return (
        work_path(settings),
        candidate_path(settings),
        kept_path(settings),
        kept_tonight_path(settings),
    )


def temp_folder(settings: Settings) -> Path:
    """Return the folder that the engine may spill into."""
    folder = settings.home / "warehouse" / "tmp"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def open_published(
    settings: Settings, *, may_write: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published snapshot read-only, closed to everything outside it.

    Args:
        settings: the settings.
        may_write: the one file that an answer may be copied to.

    Raises:
        NothingPublished: no night has been published yet (exit 2).
    """
    path = published_path(settings)
    if not path.exists():
        raise NothingPublished(
            "nothing is published yet",
            next_step="put an export into the inbox, then run rapport night",
        )
    with open_snapshot(path, may_write=may_write) as con:
        yield con


@contextmanager
def open_candidate(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open tonight's candidate read-only.

    Raises:
        NothingPublished: nothing was built.
    """
    path = candidate_path(settings)
    if not path.exists():
        raise NothingPublished("no candidate is built", next_step="run rapport build")
    with open_snapshot(path) as con:
        yield con


@contextmanager
def open_snapshot(
    path: Path, *, may_write: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open one snapshot file read-only, an earlier one from the history say."""
    con = duckdb.connect(
        path,
        read_only=True,
        config=_NO_EXTENSIONS,
    )
    try:
        if may_write is not None:
            con.execute(f"set allowed_paths = ['{may_write}']")
        con.execute("set enable_external_access = false")
        con.execute("set timezone = 'UTC'")
        con.execute("set lock_configuration = true")
        yield con
    finally:
        con.close()


@contextmanager
def _memory(config: dict[str, str]) -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect(config=config | _NO_EXTENSIONS)
    try:
        con.execute("set timezone = 'UTC'")
        yield con
    finally:
        con.close()


@contextmanager
def scratch(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database that spills into the warehouse's own folder."""
    limits = {
        "memory_limit": settings.warehouse.memory_limit,
        "threads": str(settings.warehouse.threads),
        "temp_directory": str(temp_folder(settings)),
    }
    with _memory(limits) as con:
        yield con


@contextmanager
def scratch_over_published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database with the snapshot beside it, read-only, as ``pub``.

    Raises:
        NothingPublished: no night has been published yet (exit 2).
    """
    path = published_path(settings)
    if not path.exists():
        raise NothingPublished(
            "nothing is published yet",
            next_step="put an export into the inbox, then run rapport night",
        )
    with scratch(settings) as con:
        con.execute(f"attach '{path}' as pub (read_only)")
        yield con


@contextmanager
def in_memory() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database: no RAPPORT_HOME, nothing spilled or left behind."""
    with _memory({"threads": "2", "temp_directory": ""}) as con:
        yield con
