"""The figures of the long proofs: rendered from their records into the reference page.

    python -m lib.figures        (in tests/; ``make prove`` does it at its end)

A row whose record is not there keeps what the page says of it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import ROOT
from lib.proving import RECORDS, Record

PAGE = ROOT / "docs" / "reference" / "reliability.md"
_HEAD = "| fault | volume | program | what held |"
Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """One row of the table: what was done, and how its lines are told."""

    name: str
    fault: str
    program: str
    told: Callable[[Lines], tuple[str, str]]


def _total(lines: Lines, name: str) -> int:
    return sum(line[name] for line in lines)


def _kills(lines: Lines) -> tuple[str, str]:
    return (
        f"{_total(lines, 'n'):,} kills that met a running night, in {len(lines)} rounds",
        "after every round each published table equals an undisturbed night's, every row "
        "is in a sum, no half file, process or lock is left; a reader that looked "
        f"{_total(lines, 'n_looks'):,} times saw yesterday's snapshot or tonight's",
    )


def _vault_kills(lines: Lines) -> tuple[str, str]:
    of = {line["what"]: line["of"] for line in lines}
    places = ", ".join(
        f"{sum(line['what'] == what for line in lines)} of {n} places of the {what}"
        for what, n in of.items()
    )
    return places, "given again, each ended file by file as one that nobody disturbed"


def _readers(lines: Lines) -> tuple[str, str]:
    return (
        f"{max(line['n_readers'] for line in lines)} readers × {_total(lines, 'n')} publishes",
        f"{_total(lines, 'n_looks'):,} looks, {_total(lines, 'n_failures')} errors; each "
        "look was of one snapshot, also over a connection held open across publishes",
    )


def _two_at_once(lines: Lines) -> tuple[str, str]:
    return (
        f"writers that met a running night: {_total(lines, 'n')}; nights started twice at "
        f"one moment: {len(lines)}",
        "one night ran, everyone else was told in words and exited with 5; "
        f"deliveries dropped meanwhile ({_total(lines, 'n_late')}) were not of that night "
        "and were taken in once by the next ingest; equal tables",
    )


def _full_disk(lines: Lines) -> tuple[str, str]:
    levels = sorted({line["free"] for line in lines})
    full = Counter(step for line in lines for step in line["full"])
    steps = ", ".join(f"{step} {n}" for step, n in full.items())
    rooms = ", ".join(f"{level:,}" for level in levels)
    return (
        f"7 steps, with so many bytes of room on a real tmpfs: {rooms}",
        f"told in words, by step: {steps}; where there was room enough the step completed; "
        "the snapshot stood, each step then completed, and the tables are equal",
    )


def _damage(lines: Lines) -> tuple[str, str]:
    stores = Counter(one.split()[0] for line in lines for one in line["tried"])
    said = ", ".join(f"{store} {n}" for store, n in sorted(stores.items()))
    return (
        f"{_total(lines, 'n')} flips, cuts and zeroed blocks in {len(lines)} homes ({said})",
        "each was named, nothing was built of it, its cure made it whole, and the tables "
        "are equal",
    )


def _clocks(lines: Lines) -> tuple[str, str]:
    cells = "; ".join(line["cell"] for line in lines)
    return f"{len(lines)} machines: {cells}", "the same tables on each"


def _fuzz(lines: Lines) -> tuple[str, str]:
    of = Counter[str]()
    for line in lines:
        of[line["kind"]] += line["n_cases"]
    peak = max(line["peak_mb"] for line in lines)
    failures = sum(len(line["failures"]) for line in lines)
    return (
        ", ".join(f"{n:,} {kind}" for kind, n in of.items()),
        f"{failures} tracebacks or rows in no sum; at most {peak} MB",
    )


def _thirty(lines: Lines) -> tuple[str, str]:
    n = sum(line["n"] for line in lines)
    is_over = lines[-1]["day"] == "end"
    return (
        f"{n} days: late, refused, empty and burst ones among them",
        "each night, digest and alert as it had to be; "
        + (
            "at the end every export is in the ledger once, every row in a sum, and the "
            "tables are those of a full rebuild"
            if is_over
            else "the end is not reached yet"
        ),
    )


def _restore(lines: Lines) -> tuple[str, str]:
    said = "; ".join(
        f"{x['clinic']}: backup {x['backup_s']} s, laid and checked {x['lay_and_check_s']} s, "
        f"night {x['night_s']} s"
        for x in lines
    )
    return said, "the same tables, row for row"


def _bursts(lines: Lines) -> tuple[str, str]:
    slowest = max(line["published_s"] for line in lines)
    return (
        f"{_total(lines, 'n')} deliveries in {len(lines)} bursts, "
        f"{_total(lines, 'n_killed')} kills",
        "each was taken in once, every row is in a sum, and the snapshot held them all "
        f"without another command, {slowest} s after a burst began at the latest; `down` "
        "left no process",
    )


def _postgres(lines: Lines) -> tuple[str, str]:
    return (
        f"{_total(lines, 'n')} deliveries in bursts, {_total(lines, 'n_killed')} kills, a "
        "second start, a clean-up",
        "each was taken in once and published by itself; the metadata were laid once; "
        f"{_total(lines, 'n_cleaned')} of Airflow's records that were over their time went",
    )


def _increments(lines: Lines) -> tuple[str, str]:
    return (
        f"{_total(lines, 'n'):,} random clinics over five nights each",
        f"{_total(lines, 'n_rows'):,} rows equal to one build of all",
    )


def _oracle(lines: Lines) -> tuple[str, str]:
    n_settings = len({line["profile"] for line in lines})
    return (
        f"{_total(lines, 'n'):,} random clinics under {n_settings} sets of settings",
        f"{_total(lines, 'n_rows'):,} rows equal to what the page says, computed apart",
    )


ROWS = (
    Row("kills", "SIGKILL of a night at a random moment: the leading process, a child, or all", "prove_kills.py", _kills),
    Row("vault_kills", "SIGKILL of a rotation and of an erasure, right before a change of a file", "prove_vault_kills.py", _vault_kills),
    Row("bursts", "bursts of deliveries into the live system, its scheduler and triggerer killed in each", "prove_bursts.py", _bursts),
    Row("postgres", "the live system on Postgres, in bursts, its scheduler and triggerer killed", "prove_postgres.py", _postgres),
    Row("readers", "readers while nights are published", "prove_readers.py", _readers),
    Row("two_at_once", "two nights at once; ingest, build, publish and housekeeping during a night", "prove_two_at_once.py", _two_at_once),
    Row("full_disk", "a full disk at each step of a night", "prove_full_disk.py", _full_disk),
    Row("damage", "bit flips, cuts and zeroed blocks in every store", "prove_damage.py", _damage),
    Row("clocks", "clocks that jump, daylight saving, a leap day, the host's zone", "prove_clocks.py", _clocks),
    Row("fuzz", "fuzzed input", "prove_fuzz.py", _fuzz),
    Row("thirty_nights", "thirty nights of the live system, its clock moved from each night to its morning", "prove_thirty_nights.py", _thirty),
    Row("restore", "restore on an empty machine from bronze, state and a backup of the vault", "prove_restore.py", _restore),
    Row("increments", "nights that compute only the touched clients", "prove_increments.py", _increments),
    Row("oracle", "the marts against an oracle written from the specification", "prove_oracle.py", _oracle),
)  # fmt: skip


def cells_of(row: Row, record: Record) -> str:
    """Return a row of the table; what did not hold comes first."""
    whole = [line for line in record.lines if "error" not in line]
    volume, held = row.told(whole) if whole else ("none to its end", "nothing")
    bad = len(record.bad)
    if bad:
        held = f"**{bad} of {len(record.lines)} lines did not hold**; in the others: {held}"
    for mended in record.mended:
        held += f". One line did not hold, and led to what was mended since: {mended}"
    return f"| {row.fault} | {volume} | `tests/chaos/{row.program}` | {held} |"


def canary_line(records: list[Record]) -> str:
    """Say how many homes were searched for canaries, and in how many one lay astray."""
    searched = [x for r in records for x in r.lines if "canaries_in" in x]
    astray = sum(bool(x["canaries_in"]) for x in searched)
    return (
        "| canary scan after the above | every file and table of the homes of "
        f"{len(searched)} lines | all of them | {astray} with a hit outside inbox, "
        "quarantine and vault |"
    )


def rendered(page: str, folder: Path) -> str:
    """Return the page with the rows whose records lie in the folder told anew."""
    records = {row.name: Record(row.name, folder) for row in ROWS}
    lines = page.splitlines()
    for row in ROWS:
        begins = f"| {row.fault} |"
        if records[row.name].lines:
            _put(lines, begins, cells_of(row, records[row.name]))
        elif not any(line.startswith(begins) for line in lines):
            _put(
                lines, begins, f"{begins} not run yet | `tests/chaos/{row.program}` | |"
            )
    if any(record.lines for record in records.values()):
        _put(lines, "| canary scan", canary_line(list(records.values())))
    return "\n".join(lines) + "\n"


def _put(lines: list[str], begins: str, row: str) -> None:
    """Put a row in the place of its old one, or at the end of the table."""
    places = [n for n, line in enumerate(lines) if line.startswith(begins)]
    if places:
        lines[places[0]] = row
        return
    end = lines.index(_HEAD)
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    lines.insert(end, row)


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text("utf-8"), RECORDS), "utf-8")
    print(f"written: {PAGE}")
