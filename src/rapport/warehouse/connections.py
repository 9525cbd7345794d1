"""The one place that opens databases and lends connections: plain, or encrypted.

Where ``security.encrypt_at_rest`` is set, new files are written under the newest key of
the vault and whatever the engine spills is encrypted too (privacy.md A3). What is read is
told by the file itself, so that a RAPPORT_HOME can be read while it changes from one to
the other. The key is in no statement that anybody logs: those that carry it run here
alone, and their errors are replaced.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import duckdb

from rapport.errors import (
    KeyMissing,
    NothingPublished,
    SettingsError,
    is_disk_full,
)
from rapport.files import private_folder
from rapport.privacy.at_rest import DiskKey, disk_keys, wrong_key
from rapport.settings import Settings

Config = dict[str, str | bool | int | float | list[str]]
# Nothing is fetched or loaded by the name of a file.
_NO_EXTENSIONS: Config = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
# Storage that the engine's older 1.x clients open; an encrypted file can't have it.
_OLDEST, _OLDEST_ENCRYPTED = "v1.0.0", "v1.4.0"
_PARQUET_KEY = "rapport"
_IN_MEMORY = Path("/dev/shm")


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


def damaged_path(settings: Settings) -> Path:
    """Return where a damaged snapshot is set aside."""
    return settings.home / "warehouse" / "damaged.duckdb"


def built_paths(settings: Settings) -> tuple[Path, ...]:
    """Return every database that a build writes; none is needed to build anew."""
    return (
        work_path(settings),
        candidate_path(settings),
        kept_path(settings),
        kept_tonight_path(settings),
        damaged_path(settings),
    )


def temp_folder(settings: Settings) -> Path:
    """Return the folder that the engine may spill into."""
    folder = settings.home / "warehouse" / "tmp"
    private_folder(folder)
    return folder


def plain_folder(settings: Settings, n_bytes: int) -> Path:
    """Return the folder for what can only be read plain: an inflated file, say.

    Where what lies on the disk is encrypted, that is one in memory, if the system has such
    a place with room for it: what a kill leaves there is on no disk.

    Args:
        settings: the settings.
        n_bytes: how much it may take.
    """
    if settings.security.encrypt_at_rest:
        memory = _memory_folder(settings.home)
        if memory is not None and shutil.disk_usage(_IN_MEMORY).free > n_bytes:
            with suppress(FileExistsError):
                memory.mkdir(mode=0o700)
            if _memory_folder(settings.home) is not None:  # still ours
                return memory
    return temp_folder(settings)


def plain_folders(settings: Settings) -> list[Path]:
    """Return every folder that ``plain_folder`` may have given."""
    memory = _memory_folder(settings.home)
    found = memory is not None and memory.is_dir()
    return [temp_folder(settings), *([memory] if memory and found else [])]


def leave_plain_folder(settings: Settings, folder: Path) -> None:
    """Remove a folder in memory that nobody uses any more; another one stays."""
    if folder != temp_folder(settings):
        with suppress(OSError):
            folder.rmdir()


def _memory_folder(home: Path) -> Path | None:
    """Return this home's own folder in memory; None where the system has no such place."""
    if not _IN_MEMORY.is_dir():
        return None
    name = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    folder = _IN_MEMORY / f"rapport-{os.geteuid()}-{name}"
    try:
        said = folder.lstat()
    except FileNotFoundError:
        return folder
    is_ours = said.st_uid == os.geteuid() and stat.S_ISDIR(said.st_mode)
    return folder if is_ours and not said.st_mode & 0o077 else None


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
    with open_database(path, read_only=True) as con:
        if may_write is not None:
            con.execute(f"set allowed_paths = ['{may_write}']")
        con.execute("set enable_external_access = false")
        con.execute("set timezone = 'UTC'")
        con.execute("set lock_configuration = true")
        yield con


@contextmanager
def open_database(
    path: Path, *, read_only: bool = False, encrypted: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open one database file, which is then the default; its name is the catalog's.

    Args:
        path: the file; one that is not there is made, unless it is only read.
        read_only: nothing is written to it.
        encrypted: a file that is not there is made encrypted.

    Raises:
        KeyMissing: it is encrypted, and no key of its vault opens it.
    """
    con = connect(path, read_only=read_only, encrypted=encrypted)
    try:
        yield con
    finally:
        con.close()


@contextmanager
def open_work(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the working database as a build does: in UTC, within the settings' limits."""
    with open_database(work_path(settings)) as con:
        con.execute("set timezone = 'UTC'")
        con.execute(f"set memory_limit = '{settings.warehouse.engine_bytes}B'")
        con.execute(f"set threads = {settings.warehouse.threads}")
        con.execute("set temp_directory = ?", [str(temp_folder(settings))])
        yield con


def connect(
    path: Path,
    *,
    read_only: bool = False,
    encrypted: bool = False,
    keys: Sequence[DiskKey] | None = None,
) -> duckdb.DuckDBPyConnection:
    """Return a connection that the caller closes; else as ``open_database``.

    Args:
        path: the file.
        read_only: nothing is written to it.
        encrypted: a file that is not there is made encrypted.
        keys: the keys that may open it; those of its vault by default.
    """
    if not (is_encrypted(path) if path.exists() else encrypted):
        return duckdb.connect(path, read_only=read_only, config=_NO_EXTENSIONS)
    keys = _keys_beside(path) if keys is None else keys
    spill = path.parent.parent / "warehouse" / "tmp"
    con = duckdb.connect(
        config=_NO_EXTENSIONS | {"temp_directory": str(spill) if spill.is_dir() else ""}
    )
    try:
        name = f'"{path.name.split(".")[0]}"'
        unlock(con, keys)
        attach(con, path, name, read_only=read_only, encrypted=encrypted, keys=keys)
        con.execute(f"use {name}")
    except BaseException:
        con.close()
        raise
    return con


def attach(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    alias: str,
    *,
    read_only: bool = False,
    encrypted: bool = False,
    oldest: bool = False,
    keys: Sequence[DiskKey] | None = None,
) -> None:
    """Attach a database file; an encrypted one with the key that opens it.

    Args:
        con: a connection; for an encrypted file, one that is unlocked.
        path: the file; one that is not there is made.
        alias: its name in this connection.
        read_only: nothing is written to it.
        encrypted: a file that is not there is made encrypted.
        oldest: a plain file that is not there is made for older clients too.
        keys: the keys that may open it; those of its vault by default.

    Raises:
        KeyMissing: it is encrypted, and none of the keys opens it.
    """
    options = ["read_only"] if read_only else []
    file = f"attach '{quoted(path)}' as {alias}"
    if not (is_encrypted(path) if path.exists() else encrypted):
        options += [f"storage_version '{_OLDEST}'"] if oldest else []
        con.execute(f"{file} ({', '.join(options)})" if options else file)
        return
    if not read_only:
        options += [f"storage_version '{_OLDEST_ENCRYPTED}'"]
    for key in _keys_beside(path) if keys is None else keys:
        said = [*options, f"encryption_key '{key.text}'", "encryption_cipher 'GCM'"]
        try:
            con.execute(f"{file} ({', '.join(said)})")
        except duckdb.InvalidInputException:
            continue  # another key may; the statement's own words hold this one
        except duckdb.Error as error:
            if is_disk_full(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            raise type(error)(f"{path.name}: not attached") from None
        return
    raise wrong_key(path.name)


def opening_key(path: Path, keys: Sequence[DiskKey]) -> DiskKey:
    """Return which of some keys opens an encrypted database.

    Raises:
        KeyMissing: none does.
    """
    for key in keys:
        try:
            connect(path, read_only=True, keys=[key]).close()
        except KeyMissing:
            continue
        return key
    raise wrong_key(path.name)


def unlock(con: duckdb.DuckDBPyConnection, keys: Sequence[DiskKey]) -> None:
    """Let a connection read and write what is encrypted, and encrypt what it spills.

    Raises:
        SettingsError: this engine's encryption is not installed (exit 2).
    """
    if not keys:
        return
    con.execute(f"load '{quoted(_crypto_extension())}'")
    con.execute("set temp_file_encryption = true")
    for name, key in [(_PARQUET_KEY, keys[0]), *((k.kid, k) for k in keys)]:
        add_parquet_key(con, name, key)


def add_parquet_key(con: duckdb.DuckDBPyConnection, name: str, key: DiskKey) -> None:
    """Let a connection read and write Parquet files under one more key."""
    try:
        con.execute(f"pragma add_parquet_key('{name}', '{key.text}')")
    except duckdb.Error as error:
        raise type(error)("a key was not taken") from None


def _crypto_extension() -> Path:
    """Return the engine's extension that encrypts: of exactly its version, from its wheel."""
    found = find_spec("duckdb_extension_httpfs")
    for folder in (found.submodule_search_locations or ()) if found else ():
        version = f"v{duckdb.__version__}"
        path = Path(folder) / "extensions" / version / "httpfs.duckdb_extension"
        if path.exists():
            return path
    raise SettingsError(
        "security.encrypt_at_rest: duckdb-extension-httpfs of the engine's version"
        f" ({duckdb.__version__}) is not installed",
        next_step="run make setup, or set encrypt_at_rest = false in rapport.toml",
        reason="encryption_not_installed",
    )


def _keys_beside(path: Path) -> tuple[DiskKey, ...]:
    """Return the keys of the vault that a database of ours stands beside."""
    for folder in path.absolute().parents:
        if (folder / "vault" / "keys").is_dir():
            if keys := disk_keys(folder):
                return keys
            break
    raise KeyMissing(
        f"{path.name} is encrypted, and its vault is not here",
        next_step="restore the vault: docs/how-to/restore-the-vault.md",
    )


def is_encrypted(path: Path) -> bool:
    """Tell whether a database or a Parquet file says that it is encrypted."""
    with path.open("rb") as file:
        head = file.read(28)
    # The engine's main header: mark, version, flags; of these the lowest bit.
    if len(head) < 28:
        return False
    return head[:4] == b"PARE" or (head[8:12] == b"DUCK" and head[20] & 1 == 1)


# --- Parquet ------------------------------------------------------------------------


def parquet(path: Path, *, kid: str = _PARQUET_KEY) -> str:
    """Return SQL that reads one Parquet file, plain or encrypted."""
    return _read_parquet([path], kid if is_encrypted(path) else None)


def parquet_union(con: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> str:
    """Return SQL that reads many Parquet files of ours, columns matched by name.

    The engine fails on an encrypted list that is united by name (DuckDB 1.5.5, issue 21508
    of its repository), so encrypted files of one schema are one list, and the lists are
    united.
    """
    lists: dict[tuple[tuple[str, str], ...], list[Path]] = {}
    plain = []
    for path in paths:
        if not is_encrypted(path):
            plain.append(path)
            continue
        columns = con.execute(f"describe from {parquet(path)}").fetchall()
        lists.setdefault(tuple((c[0], c[1]) for c in columns), []).append(path)
    said = [_read_parquet(files, _PARQUET_KEY) for files in lists.values()]
    if plain:
        said.append(_read_parquet(plain, None, ", union_by_name = true"))
    return f"(from {' union all by name from '.join(said)})"


def _read_parquet(paths: Sequence[Path], kid: str | None, how: str = "") -> str:
    listed = ", ".join(f"'{quoted(path)}'" for path in paths)
    if kid is not None:
        how += f", encryption_config = {{footer_key: '{kid}'}}"
    return f"read_parquet([{listed}]{how})"


def parquet_encryption(is_wanted: bool, *, kid: str = _PARQUET_KEY) -> str:
    """Return the option of ``copy … to`` that encrypts a Parquet file; none if plain."""
    return f", encryption_config {{footer_key: '{kid}'}}" if is_wanted else ""


def insert_rows(
    con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows, an array a column: four times as fast as a list a column."""
    if rows:
        import numpy as np

        given = {
            f"column_{place}": np.array(column, dtype=object)
            for place, column in enumerate(zip(*rows, strict=True))
        }
        # As text, which the table's types are made of: else the engine would guess a type
        # from the first values.
        con.execute("set pandas_analyze_sample = 0")
        con.register("given_rows", given)
        con.execute(f"insert into {table} from given_rows")
        con.unregister("given_rows")


def quoted(path: Path) -> str:
    """Return a path for the inside of a literal."""
    return str(path).replace("'", "''")


# --- connections without a file -----------------------------------------------------


@contextmanager
def _memory(
    config: Mapping[str, str], keys: Sequence[DiskKey] = ()
) -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect(config=_NO_EXTENSIONS | dict(config))
    try:
        unlock(con, keys)
        con.execute("set timezone = 'UTC'")
        yield con
    finally:
        con.close()


def open_memory(keys: Sequence[DiskKey]) -> duckdb.DuckDBPyConnection:
    """Return a database in memory that spills nothing, for a caller that keeps it."""
    con = duckdb.connect(config=_NO_EXTENSIONS | {"temp_directory": ""})
    unlock(con, keys)
    return con


@contextmanager
def scratch(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database that spills into the warehouse's own folder."""
    limits = {
        "memory_limit": f"{settings.warehouse.engine_bytes}B",
        "threads": str(settings.warehouse.threads),
        "temp_directory": str(temp_folder(settings)),
    }
    with _memory(limits, disk_keys(settings.home)) as con:
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
        attach(con, path, "pub", read_only=True)
        yield con


@contextmanager
def in_memory(keys: Sequence[DiskKey] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database: no RAPPORT_HOME, nothing spilled or left behind."""
    with _memory({"threads": "2", "temp_directory": ""}, keys) as con:
        yield con
