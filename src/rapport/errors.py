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
