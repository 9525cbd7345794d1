"""Realistic faults that no expectation was written for: how many does the gate see?

    python benchmarks/planted_faults.py FOLDER [--clients N]

The recipe: twenty kinds of export fault, taken from what record systems and their exports
do (docs/reference/gate.md lists them), fixed before the first run; for each the rows or ids
that it hits are drawn with one seed. Each is planted in the last delivery of a synthetic
clinic whose other nights are published, and goes through the real door, build and gate;
what follows a verdict (publish, pages, digest) is left out, since it can't change one. dbt
compiles the night once, without a fault; each faulty night runs the very same statements.
A check counts when it did not fail on the same night without a fault.

Each finished fault is a line of FOLDER/results.jsonl; a second call goes on from there.
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb

from rapport import night as chain
from rapport.settings import PROJECT_ROOT, Settings, load_settings
from rapport.state import writer_lock
from rapport.validate import Gate
from rapport.warehouse import build as warehouse_build
from rapport.warehouse import candidate_path, work_path
from rapport.warehouse.connections import kept_tonight_path
from rapport.warehouse.dbt_process import RECORD

SEED, UNTIL = 20260630, "2026-06-30"
Rows = dict[str, list[dict[str, str]]]
Fault = Callable[[Rows, Rows, random.Random], None]


def _each(table: str, change: Callable[[dict[str, str]], None]) -> Fault:
    def plant(tonight: Rows, earlier: Rows, rng: random.Random) -> None:
        for row in tonight[table]:
            change(row)

    return plant


def _keep(table: str, wanted: Callable[[dict[str, str], random.Random], bool]) -> Fault:
    def plant(tonight: Rows, earlier: Rows, rng: random.Random) -> None:
        tonight[table] = [row for row in tonight[table] if wanted(row, rng)]

    return plant


def _swap(row: dict[str, str], one: str, other: str) -> None:
    row[one], row[other] = row[other], row[one]


def _number(row: dict[str, str], change: Callable[[float], float]) -> None:
    if row["value"]:
        row["value"] = f"{change(float(row['value'])):g}"


def _move(row: dict[str, str], column: str, by: timedelta) -> None:
    if row[column]:
        moved = datetime.fromisoformat(row[column]) + by
        row[column] = moved.isoformat(timespec="minutes")


def _stale(tonight: Rows, earlier: Rows, rng: random.Random) -> None:
    for table in tonight:
        tonight[table] = [dict(row) for row in earlier[table]]


def _rekeyed(tonight: Rows, earlier: Rows, rng: random.Random) -> None:
    for rows in tonight.values():
        for row in rows:
            if row.get("client_id"):
                row["client_id"] = "N" + row["client_id"]


def _two_therapists(tonight: Rows, earlier: Rows, rng: random.Random) -> None:
    for row in tonight["sessions"]:
        if rng.random() < 0.5:
            row["therapist_id"] += "-2"


def _items_slip(tonight: Rows, earlier: Rows, rng: random.Random) -> None:
    ids = [row["administration_id"] for row in tonight["measure_items"]]
    for row, slipped in zip(tonight["measure_items"], ids[7:] + ids[:7], strict=True):
        row["administration_id"] = slipped


def _doubled(tonight: Rows, earlier: Rows, rng: random.Random) -> None:
    tonight["measures"] = tonight["measures"] * 2


def _same_session(tonight: Rows, earlier: Rows, rng: random.Random) -> None:
    named = [row["session_id"] for row in tonight["measures"] if row["session_id"]]
    for row in tonight["measures"]:
        row["session_id"] = named[0]


def _placeholder(row: dict[str, str], rng: random.Random) -> None:
    if rng.random() < 0.6:
        row["value"] = "99"


def _placeholders(tonight: Rows, earlier: Rows, rng: random.Random) -> None:
    for row in tonight["measure_items"]:
        _placeholder(row, rng)


FAULTS: dict[str, Fault] = {
    "therapist and client ids swapped": _each(
        "sessions", lambda row: _swap(row, "client_id", "therapist_id")
    ),
    "start and end swapped": _each(
        "sessions", lambda row: _swap(row, "started_at", "ended_at")
    ),
    "scale shifted down by one": _each(
        "measure_items", lambda row: _number(row, lambda v: v - 1)
    ),
    "unit changed (answers a tenth)": _each(
        "measure_items", lambda row: _number(row, lambda v: v / 10)
    ),
    "scale reversed (six minus)": _each(
        "measure_items", lambda row: _number(row, lambda v: 6 - v)
    ),
    "stale file: an earlier night again": _stale,
    "half a day: no session after noon": _keep(
        "sessions", lambda row, rng: row["started_at"][11:13] < "12"
    ),
    "two rows in three lost": _keep("sessions", lambda row, rng: rng.random() < 1 / 3),
    "items of half the forms lost": _keep(
        "measure_items", lambda row, rng: hash_half(row["administration_id"])
    ),
    "one therapist under two ids": _two_therapists,
    "every client re-keyed": _rekeyed,
    "forms without their session": _each(
        "measures", lambda row: row.update(session_id="")
    ),
    "dates a year early": _each(
        "sessions", lambda row: [_move(row, c, timedelta(-365)) for c in
                                 ("started_at", "ended_at")] and None
    ),
    "clock five hours off": _each(
        "sessions", lambda row: [_move(row, c, timedelta(hours=5)) for c in
                                 ("started_at", "ended_at")] and None
    ),
    "every status attended": _each(
        "sessions", lambda row: row.update(status="attended")
    ),
    "every form from the therapist": _each(
        "measures", lambda row: row.update(rater="therapist")
    ),
    "forms doubled": _doubled,
    "items slip to the next form": _items_slip,
    "all forms on one session": _same_session,
    "placeholders for answers": _placeholders,
}  # fmt: skip


def hash_half(text: str) -> bool:
    """Take about half of the ids, the same half each time."""
    return sum(text.encode()) % 2 == 0


def read(folder: Path) -> Rows:
    """Read every CSV of a delivery."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found[path.stem] = list(csv.DictReader(file))
    return found


def write(folder: Path, rows: Rows, headers: dict[str, list[str]]) -> None:
    """Write the tables back, header first."""
    for table, of_table in rows.items():
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
            out = csv.DictWriter(file, headers[table], lineterminator="\n")
            out.writeheader()
            out.writerows(of_table)


def rapport(home: Path, *arguments: str) -> int:
    """Run a command quietly; return its exit code."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("rapport")), *arguments],
        env={**os.environ, "RAPPORT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode


class Statements:
    """What dbt ran on the night without a fault, to be run again on the others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def record(self, settings: Settings, asked: object, command: list[str]) -> int:
        """Let dbt build, and keep what it ran, in its order."""
        with warehouse_build.Dbt(settings) as dbt:
            returncode, _ = dbt.run(
                *command, "--exclude-resource-type", "unit_test",
                "--exclude-resource-type", "test",
            )  # fmt: skip
        if returncode:
            raise SystemExit("the night without a fault was not built")
        target = settings.home / "warehouse" / "target"
        results = json.loads((target / RECORD).read_text("utf-8"))
        names = [r["unique_id"] for r in results if r["unique_id"].startswith("model.")]
        ran = {path.stem: path for path in (target / "run").rglob("models/**/*.sql")}
        self.folder.mkdir()
        for place, name in enumerate(names):
            path = ran[name.rsplit(".", 1)[1]]
            shutil.copy(path, self.folder / f"{place:04}_{path.name}")
        shutil.copy(work_path(settings), self.folder / "seeds.duckdb")
        return len(names)

    def repeat(self, settings: Settings, asked: object, command: list[str]) -> int:
        """Run them on the databases that were laid for tonight."""
        files = sorted(self.folder.glob("*.sql"))
        con = duckdb.connect(work_path(settings))
        con.execute("set timezone = 'UTC'")
        con.execute(f"attach '{candidate_path(settings)}' as pub")
        con.execute(f"attach '{kept_tonight_path(settings)}' as kept")
        con.execute("create schema if not exists kept.finding")
        con.execute("create schema if not exists kept.form")
        con.execute(f"attach '{self.folder / 'seeds.duckdb'}' as old (read_only)")
        for schema in ("seed", "staging", "intermediate"):
            con.execute(f"create schema if not exists {schema}")
        for (name,) in con.execute(
            "select table_name from duckdb_tables() where database_name = 'old'"
            " and schema_name = 'seed'"
        ).fetchall():
            con.execute(f"create table seed.{name} as from old.seed.{name}")
        con.execute("detach old")
        for path in files:
            con.execute(path.read_text("utf-8"))
        con.close()
        return len(files)


def failed_checks(home: Path, gate: Gate, statements: Statements) -> dict[str, str]:
    """Take a night up to the gate's verdict; return what did not hold, with severity."""
    settings = load_settings({"RAPPORT_HOME": str(home)})
    is_first = not statements.folder.exists()
    warehouse_build._run_dbt = statements.record if is_first else statements.repeat
    with writer_lock(home):
        chain.ingest(settings)
        run_id = chain.start_run(settings, date.fromisoformat(UNTIL))
        chain.build(settings, run_id, full_refresh=True)
    verdicts = gate.judge(
        {"work": work_path(settings), "candidate": candidate_path(settings)}
    )
    return {v["check_name"]: v["severity"] for v in verdicts if v["status"] != "pass"}


def night(
    base: Path,
    last: Path,
    home: Path,
    plant: Fault | None,
    gate: Gate,
    statements: Statements,
) -> dict[str, object]:
    """Run the last night on a copy of the base, with a fault or without."""
    shutil.copytree(base, home)
    target = home / "inbox" / "canonical" / last.name
    shutil.copytree(last, target)
    (target / "_SUCCESS").unlink()
    earlier = [
        f for f in sorted((home / "inbox" / "canonical").iterdir()) if f != target
    ]
    tonight = read(target)
    headers = {
        path.stem: path.read_text("utf-8").splitlines()[0].split(",")
        for path in target.glob("*.csv")
    }
    full = next(f for f in reversed(earlier) if set(tonight) <= set(read(f)))
    if plant is not None:
        plant(tonight, read(full), random.Random(SEED))
    write(target, tonight, headers)
    (target / "_SUCCESS").touch()
    found = failed_checks(home, gate, statements)
    shutil.rmtree(home)
    return {"failed": found}


def main() -> None:
    """Run what is not done yet, then print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clients", type=int, default=150)
    said = parser.parse_args()
    folder: Path = said.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    base, demo, log = folder / "base", folder / "demo", folder / "results.jsonl"
    if not (base / "published").exists():
        shutil.rmtree(base, ignore_errors=True)
        rapport(folder, "demo", "generate", "--clients", str(said.clients), "--seed",
                str(SEED), "--out", str(demo), "--until", UNTIL)  # fmt: skip
        for delivery in deliveries(demo)[:-1]:
            shutil.copytree(delivery, base / "inbox" / "canonical" / delivery.name)
        if rapport(base, "night", "--as-of", UNTIL) not in (0, 4):
            raise SystemExit("the base night was not published")
    done = {}
    if log.exists():
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        done = {line["fault"]: line for line in lines}
    last = deliveries(demo)[-1]
    statements = Statements(folder / "statements")
    if not statements.folder.exists():
        done = {}
    with Gate(PROJECT_ROOT) as gate:  # one process judges every night
        for name, plant in {"none": None, **FAULTS}.items():
            if name in done:
                continue
            # A place of its own: the gate's process knows databases by their path.
            home = folder / f"night_{len(done)}"
            shutil.rmtree(home, ignore_errors=True)
            done[name] = {
                "fault": name,
                **night(base, last, home, plant, gate, statements),
            }
            with log.open("a") as file:
                file.write(json.dumps(done[name]) + "\n")
            print(
                f"{len(done) - 1} of {len(FAULTS)}: {name}", file=sys.stderr, flush=True
            )
    print_table(done)


def deliveries(demo: Path) -> list[Path]:
    """List the deliveries up to the last that brings sessions, forms and items."""
    found = sorted((demo / "inbox" / "canonical").iterdir())
    needed = {"sessions", "measures", "measure_items"}
    while not needed <= {path.stem for path in found[-1].glob("*.csv")}:
        found.pop()
    return found


def print_table(done: dict[str, dict]) -> None:
    """Print what was seen, as the reference page shows it."""
    usual = done["none"]["failed"]
    caught = {"held": 0, "marked": 0, "noted": 0, "missed": 0}
    print("| fault | the gate | checks |\n| --- | --- | --- |")
    for name in FAULTS:
        new = {c: s for c, s in done[name]["failed"].items() if c not in usual}
        kind = (
            "held" if "critical" in new.values()
            else "marked" if "warning" in new.values()
            else "noted" if new else "missed"
        )  # fmt: skip
        caught[kind] += 1
        print(f"| {name} | {kind} | {', '.join(f'`{c}`' for c in sorted(new))} |")
    print("\n" + ", ".join(f"{n} {kind}" for kind, n in caught.items()))


if __name__ == "__main__":
    main()
