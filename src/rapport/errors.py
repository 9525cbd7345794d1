"""Every way rapport stops, with its exit code, its stable reason and whether a retry helps.

A message says what happened, where (delivery, file, row, column) and what to do next.
It never holds a patient's value. Reason codes are stable: a retired one is not reused.
"""

from __future__ import annotations

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command (contract §1)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    NEEDS_PERSON = 4
    BUSY = 5


class RapportError(Exception):
    """An error that rapport understands: its message may be shown as it stands."""

    exit_code: ExitCode = ExitCode.FAILED
    reason: str = "failed"
    is_retryable: bool = False

    def __init__(
        self, message: str, *, next_step: str = "", reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        if reason is not None:
            self.reason = reason


class UsageError(RapportError):
    """A wrong command, setting, key or folder: nothing was read or changed."""

    exit_code = ExitCode.USAGE
    reason = "usage"


class SettingsError(UsageError):
    """A setting is unknown, unreadable or out of its range."""

    reason = "settings_invalid"


class MappingError(UsageError):
    """A mapping file does not say what it must, or maps what is not wanted."""

    reason = "mapping_invalid"


class KeyMissing(UsageError):
    """A key of the vault is missing, too open, or not the one that was used before."""

    reason = "row_key_missing"


class NothingPublished(UsageError):
    """A reader came before the first night was published."""

    reason = "nothing_published"


class GateRefused(RapportError):
    """The quality gate refused the night; the earlier snapshot still stands."""

    exit_code = ExitCode.REFUSED
    reason = "gate_refused"


class RequestInvalid(UsageError):
    """A request for an extract does not say what it must, or asks for what never leaves."""

    reason = "extract_request_invalid"


class ExtractRefused(RapportError):
    """The disclosure gate refused an extract; nothing was released."""

    exit_code = ExitCode.REFUSED
    reason = "extract_refused"


class WriterBusy(RapportError):
    """Another process holds the warehouse."""

    exit_code = ExitCode.BUSY
    reason = "writer_busy"
    is_retryable = True


class BuildFailed(RapportError):
    """dbt ended without a complete candidate; the earlier snapshot still stands."""

    reason = "build_failed"


class Damaged(RapportError):
    """A file of rapport's own is not what rapport wrote; nothing was made of it."""

    reason = "file_damaged"


class StateDamaged(Damaged):
    """The control store's bytes are not those that rapport left."""

    reason = "state_damaged"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"state/rapport.sqlite is damaged ({what}): nothing was read or changed, and "
            "the snapshot stands",
            next_step="put the newest copy of state/backup/ in its place: "
            "docs/runbooks/corrupt-file.md",
        )


class LiveSystemRuns(RapportError):
    """The live system is up, and what was asked needs it down."""

    exit_code = ExitCode.BUSY
    reason = "live_system_runs"


class DiskFull(RapportError):
    """No room to write; what was being written is discarded and the run can repeat."""

    reason = "disk_full"
    is_retryable = True

    def __init__(self, doing: str, *, again: str = "rapport night") -> None:
        super().__init__(
            f"no room left on the disk while {doing}; nothing of it is kept and the "
            "earlier snapshot stands",
            next_step=f"free room, then run {again} again",
        )


class MemoryLimitReached(RapportError):
    """The engine needed more memory than it may have; what it wrote is discarded."""

    reason = "memory_limit_reached"

    def __init__(self, doing: str, *, again: str = "rapport night") -> None:
        super().__init__(
            f"the engine needed more memory than its limit while {doing}; nothing of it is "
            "kept and the earlier snapshot stands",
            next_step="raise warehouse.memory_limit in rapport.toml (or lower "
            f"warehouse.threads), then run {again} again",
        )


class NoRoomForANight(DiskFull):
    """Too little room to begin: told before anything is written (ADR 0054)."""

    def __init__(self, free_gb: float, needed_gb: float) -> None:
        RapportError.__init__(
            self,
            f"no room left on the disk for a night: {free_gb:.2f} GB are free and it needs "
            f"about {needed_gb:.2f} GB; nothing was begun and the earlier snapshot stands",
            next_step="free room (docs/runbooks/full-disk.md), then run the command again",
        )


class BuiltFileDamaged(Damaged):
    """A block of a file that tonight built, or of the snapshot, is not what was written."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"{place} is damaged (the checksum of a block does not hold, or its end is "
            "missing): nothing was published and the earlier snapshot stands",
            next_step="rapport night builds it anew; if it happens again, the disk fails: "
            "docs/runbooks/corrupt-file.md",
        )


# SQLite names what it was doing, not why the system refused it more room.
_SQLITE_NO_ROOM = {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE"}


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error of the system or of the engine means that the disk is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if getattr(error, "sqlite_errorname", "") in _SQLITE_NO_ROOM:
        return True
    said = str(error)
    return "No space left on device" in said or "disk is full" in said


def shortage(
    error: BaseException, doing: str, *, again: str = "rapport night"
) -> DiskFull | MemoryLimitReached | None:
    """Return what tells that the disk or the engine's memory was short; None if neither.

    Args:
        error: of the system, of SQLite or of the engine.
        doing: what was being done, in words: "building".
        again: the command that repeats it.
    """
    if is_disk_full(error):
        return DiskFull(doing, again=again)
    if "Out of Memory Error" in str(error):
        return MemoryLimitReached(doing, again=again)
    return None


def is_corrupt(error: BaseException) -> bool:
    """Tell whether the engine met a block of a database that is not what it wrote."""
    said = str(error)
    return "Corrupt database file" in said or "Could not read enough bytes" in said
