"""The processes of one RAPPORT_HOME's live system: found by their environment, ended."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import psutil

from rapport.live.airflow import MARK


def of_home(
    mark: Mapping[str, str], sessions: Collection[int] = ()
) -> list[psutil.Process]:
    """List the processes of this home's live system, whoever started them; not this one.

    Args:
        mark: what they carry in their environment.
        sessions: the sessions that its components began: a server that renames itself
            writes its name over its environment, and can be known by its session alone.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            is_marked = process.environ().get(MARK) == mark[MARK]
            if is_marked or _is_of_session(process, sessions):
                found.append(process)
    return found


def _is_of_session(process: psutil.Process, sessions: Collection[int]) -> bool:
    """Tell whether Airflow's process is of one of these; numbers come round again."""
    return os.getsid(process.pid) in sessions and any(
        "airflow" in part for part in process.cmdline()
    )


def end(processes: Sequence[psutil.Process], within_s: float) -> None:
    """Ask processes to end; end by force what still runs after a while."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=within_s)


def is_supervisor(pid: int) -> bool:
    """Tell whether a process of that number is a supervisor of ours."""
    with suppress(psutil.Error):
        return "rapport.live" in psutil.Process(pid).cmdline()
    return False
