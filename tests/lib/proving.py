"""What the long proofs share: a record that is appended to, and trials until it is full.

A record is ``tests/chaos/records/NAME.jsonl``, a line a trial, so that a proof can be
stopped and goes on where it was, on another machine too: the records are tracked. A line
says how many trials it counts for (``n``), whether what must hold held (``good``), what was
seen, which files held a canary that may not, and of which commit the code was.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import ROOT
from lib.two_nights import TwoNights, canaries_outside, kept_two_nights

RECORDS = ROOT / "tests" / "chaos" / "records"
Trial = Callable[[TwoNights, Path, int], dict[str, Any]]


class Record:
    """The lines of one proof."""

    def __init__(self, name: str, folder: Path = RECORDS) -> None:
        self.name, self.path = name, folder / f"{name}.jsonl"
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        # A kill may have cut the last line off: that trial is made again.
        whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        if text and len("".join(whole)) < len(text):
            self.path.write_text("".join(whole), "utf-8")
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in whole]

    @property
    def n(self) -> int:
        """Return how many trials were made."""
        return sum(line["n"] for line in self.lines)

    @property
    def bad(self) -> list[dict[str, Any]]:
        """Return the lines in which something did not hold that was not mended since."""
        failed = [x for x in self.lines if not x["good"] or x.get("canaries_in")]
        return [x for x in failed if "mended" not in x]

    @property
    def mended(self) -> list[str]:
        """Return what was found and mended, as a person wrote it into the line."""
        return [x["mended"] for x in self.lines if "mended" in x]

    def add(self, line: dict[str, Any]) -> None:
        """Append a line, with the commit that was tried, and say it."""
        line |= {"commit": _commit()}
        self.lines.append(line)
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{self.name}, {self.n} so far: {json.dumps(line)}", flush=True)


def _commit() -> str:
    """Return the commit of the code, ``-changed`` behind it where what runs differs.

    Where git can't tell (no checkout, another owner's) that is ``unknown``.
    """
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git(
            "status", "--porcelain", "--", "src", "dbt_project", "expectations"
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-changed" if changed else commit


def _git(*arguments: str) -> str:
    git = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(
        git, capture_output=True, text=True, check=True
    ).stdout.strip()


def homes_in(folder: Path) -> list[Path]:
    """List the homes that a trial left."""
    return [path for path in sorted(folder.iterdir()) if (path / "vault").is_dir()]


def prove(name: str, n_wanted: int, trial: Trial, folder: Path | None = None) -> int:
    """Make trials until there are enough; return 0 when everything held in each.

    Args:
        name: of the record.
        n_wanted: how many trials; a number on the command line takes its place.
        trial: makes one line in a folder of its own; its homes are searched for canaries.
        folder: where trials are made; the system's own by default.
    """
    if len(sys.argv) > 1:
        n_wanted = int(sys.argv[1])
    record = Record(name)
    nights = kept_two_nights() if record.n < n_wanted else None
    while nights and record.n < n_wanted:
        with tempfile.TemporaryDirectory(prefix="prove_", dir=folder) as place:
            try:
                line = trial(nights, Path(place), len(record.lines))
            except Exception as error:  # whatever it is, it must not be lost
                record.add({"n": 0, "good": False, "error": str(error)[-2000:]})
                raise
            found = [hit for home in homes_in(Path(place)) for hit in canaries_outside(home)]  # fmt: skip
            record.add(line | {"canaries_in": found})
    print(f"{name}: {record.n} trials, {len(record.bad)} lines did not hold: {record.path}")  # fmt: skip
    return 1 if record.bad else 0
