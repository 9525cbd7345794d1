"""A small clinic whose rotation or erasure is killed, and what it then came to."""

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from conftest import Home, table
from lib.small_nights import settings_of
from rapport.state.seal import check_seal

GONE, STAYS = "Client-1042", "Client-10423"
REASON = "--reason=a rehearsal"
COMMANDS = {
    "rotation": ("vault", "rotate", REASON),
    "erasure": ("purge", "client", "--source=canonical", f"--client-id={GONE}", REASON),
}
_CLIENTS = table(f"client_id | sex\n{GONE} | f\n{STAYS} | m")
_FORMS = table(
    "administration_id | client_id | instrument | rater | administered_at\n"
    f"Form-77001 | {GONE} | PHQ-9 | client | 2026-03-02\n"
    f"Form-88002 | {STAYS} | PHQ-9 | client | 2026-03-02"
)
_BAD = table(
    "client_id | code | recorded_on\n"
    f"{GONE} | F43.10 | never\n{STAYS} | F43.10 | 2026-03-02"
)


def lay_clinic(home: Home) -> None:
    """Take a clinic of two in; the key that a rotation would make lies there already."""
    from rapport import night

    home.deliver("d1", {"clients.csv": _CLIENTS, "measures.csv": _FORMS})
    home.deliver("d2", {"diagnoses.csv": _BAD, "clients.csv.gz": gzip.compress(_CLIENTS.encode())})  # fmt: skip
    night.ingest(settings_of(home))
    # So that two rotations make the same keys, and can be compared.
    key = home.path / "vault" / "keys" / "k2.key"
    key.touch(0o600)
    key.write_bytes(bytes(range(32)))


def run_until(home: Path, what: str, at: int) -> subprocess.CompletedProcess:
    """Run a command, killed right before its nth change of a file (0: to its end)."""
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kill_at.py")), str(at), *COMMANDS[what]],
        env={**os.environ, "RAPPORT_HOME": str(home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def was_killed(done: subprocess.CompletedProcess) -> bool:
    """Tell whether the kill came before the command's end."""
    return done.returncode == -signal.SIGKILL


def is_over(home: Path, what: str) -> bool:
    """Tell whether a command came to its end: given again, it would find nothing to do.

    (A rotation would make another key.)
    """
    vault = home / "vault"
    if what == "erasure":
        purges = [path.name for path in (vault / "purges").glob("*.json")]
        return purges == ["1.json"]
    ring = json.loads((vault / "keys" / "keyring.json").read_text())
    is_active = {"kid": "k2", "state": "active"}.items() <= ring["keys"][-1].items()
    return is_active and not list(vault.glob("rotation*.json"))


def end_state(home: Path) -> dict[str, Any]:
    """Return all that a rotation or an erasure leaves, but times."""
    found: dict[str, Any] = {}
    for path in sorted(home.rglob("*")):
        where = path.relative_to(home).as_posix()
        if not path.is_file() or where.split("/")[0] in ("logs", "warehouse"):
            continue
        if path.suffix == ".parquet":
            with duckdb.connect() as con:
                found[where] = con.execute("from read_parquet(?)", [str(path)]).fetchall()  # fmt: skip
        elif path.suffix == ".sqlite":
            found[where] = _rows(path)
        elif path.name.endswith(".sqlite.sha256"):
            # A seal is of a store's bytes, and those hold when each thing was done.
            check_seal(path.with_suffix(""))
            found[where] = "holds"
        elif path.name == "audit.jsonl":
            lines = path.read_text().splitlines()
            found[where] = {json.loads(line)["action"] for line in lines}
        elif path.suffix == ".json":
            found[where] = _timeless(json.loads(path.read_text()))
        elif not where.endswith((".lock", "-wal", "-shm")):
            found[where] = path.read_bytes()
    return found


def _rows(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as con:
        names = [n for (n,) in con.execute("select name from sqlite_master where type = 'table'")]  # fmt: skip
        found = {}
        for name in names:
            cursor = con.execute(f"select * from {name}")
            kept = [
                n
                for n, (column, *_) in enumerate(cursor.description)
                if not column.endswith("_at") and column not in ("stat_mark", "uid")
            ]
            found[name] = sorted(repr([row[n] for n in kept]) for row in cursor)
    return found


def _timeless(said: Any) -> Any:
    if isinstance(said, dict):
        return {
            key: _timeless(value)
            for key, value in said.items()
            # How many files there are when the search runs is no matter of the erasure.
            if key not in ("began_at", "ended_at", "created", "at", "n_files", "n_rows")
        }
    return [_timeless(one) for one in said] if isinstance(said, list) else said
