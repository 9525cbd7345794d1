"""What encryption at rest adds to a night: the same nights, plain and encrypted, in turn.

For whoever decides on `security.encrypt_at_rest`. Usage:

    python benchmarks/encryption.py [--inbox FOLDER] [--as-of DATE] [--repeat N] [--beside]
        > result.json

Each round runs a first night of a plain home, then of an encrypted one, over the same
deliveries (by default the tracked sample), so that whatever else runs on the machine slows
both; on a machine that others load unevenly, ``--beside`` runs the two at once. The CPU
time is of every process that a night waits for; ratios are of the medians. Both homes have
one key, so each published table must be the same to the last bit, or it ends with 1.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rapport.settings import PROJECT_ROOT, load_settings
from rapport.warehouse import open_published

_SIDES = {"plain": "false", "encrypted": "true"}
_STORES = ("bronze", "state", "vault", "warehouse", "published")


def main() -> None:
    """Run the nights in turn; print one JSON document."""
    parser = argparse.ArgumentParser()
    sample = PROJECT_ROOT / "data" / "sample" / "inbox"
    parser.add_argument("--inbox", type=Path, default=sample)
    parser.add_argument("--as-of", default="2026-06-30")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--beside", action="store_true")
    said = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in _SIDES}
    n_tables = 0
    for _ in range(said.repeat):
        with tempfile.TemporaryDirectory() as folder:
            homes = {side: Path(folder) / side for side in _SIDES}
            key = Path(folder) / "key"
            key.write_bytes(os.urandom(32))
            key.chmod(0o600)

            def run(side: str, homes: dict[str, Path] = homes) -> dict[str, float]:
                return _night(homes[side], said.inbox, said.as_of, side)

            with ThreadPoolExecutor(2 if said.beside else 1) as pool:
                for side, night in zip(_SIDES, pool.map(run, _SIDES), strict=True):
                    rounds[side].append(night)
            plain, encrypted = (_prints(homes[side]) for side in _SIDES)
            unlike = [name for name in plain if plain[name] != encrypted.get(name)]
            if unlike or plain.keys() != encrypted.keys():
                raise SystemExit(f"tables differ: {unlike}")
            n_tables = len(plain)
    medians = {
        side: {name: statistics.median(one[name] for one in found) for name in found[0]}
        for side, found in rounds.items()
    }
    ratios = {
        name: round(medians["encrypted"][name] / value, 3)
        for name, value in medians["plain"].items()
        if value and name in medians["encrypted"]
    }
    found = {
        "rounds": rounds,
        "medians": medians,
        "ratios": ratios,
        "equal_tables": n_tables,
    }
    print(json.dumps(found, indent=1))


def _night(home: Path, inbox: Path, as_of: str, side: str) -> dict[str, float]:
    shutil.copytree(inbox, home / "inbox")
    (home / "rapport.toml").write_text(
        f"[security]\nencrypt_at_rest = {_SIDES[side]}\n"
        f'key_file = "{home.parent / "key"}"\n'
    )
    began = time.perf_counter()
    night = subprocess.Popen(
        [str(Path(sys.executable).with_name("rapport")), "night", "--as-of", as_of],
        env={**os.environ, "RAPPORT_HOME": str(home)},
        stdout=sys.stderr,
    )
    _, status, used = os.wait4(night.pid, 0)
    night.returncode = os.waitstatus_to_exitcode(status)
    if night.returncode not in (0, 4):
        raise SystemExit(f"the night ended with {night.returncode}")
    return {
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1e3),
        **_steps(home),
        **{f"{name}_mb": _megabytes(home / name) for name in _STORES},
    }


def _prints(home: Path) -> dict[str, tuple[int, int]]:
    """Return rows and a hash of each published table, without the times of the night."""
    with open_published(load_settings({"RAPPORT_HOME": str(home)})) as con:
        columns = con.execute(
            "select schema_name || '.' || table_name, list(column_name)"
            " from duckdb_columns() where schema_name <> 'ops' and not internal"
            " and column_name not in ('first_seen_at', 'first_detected_at') group by 1"
        ).fetchall()
        return {
            table: con.execute(
                f"select count(*), bit_xor(hash({', '.join(names)})) from {table}"
            ).fetchone()
            for table, names in columns
        }


def _steps(home: Path) -> dict[str, float]:
    """Return the CPU seconds of each step, from the night's own log."""
    steps: dict[str, float] = {}
    for line in (home / "logs" / "rapport.jsonl").read_text("utf-8").splitlines():
        event = json.loads(line)
        if event.get("event") == "step":
            steps[f"{event['step']}_cpu_s"] = event["cpu_seconds"]
    return steps


def _megabytes(folder: Path) -> float:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return round(sum(path.stat().st_size for path in paths) / 1e6, 2)


if __name__ == "__main__":
    main()
