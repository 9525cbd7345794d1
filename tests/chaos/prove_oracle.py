"""Prove: the marts equal the oracle, row by row, on three thousand random clinics.

``make prove``. A line of ``records/oracle.jsonl`` is a hundred clinics under one set of
settings, of which there is one more than the suite has.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.proving import Record
from oracle.compare import PROFILES, compare, random_subjects, report

N_CLINICS, N_AT_ONCE = 3_000, 100


def main() -> int:
    """Go on until each set of settings has them all; say where the two sides differ."""
    record = Record("oracle")
    done = {(line["profile"], line["first"]) for line in record.lines}
    for first in range(0, N_CLINICS, N_AT_ONCE):
        for profile in PROFILES:
            if (profile.name, first) in done:
                continue
            subjects = random_subjects(list(range(first, first + N_AT_ONCE)))
            with tempfile.TemporaryDirectory(prefix="prove_") as folder:
                home = Path(folder) / "home"
                home.mkdir()
                [found] = compare(subjects, (profile,), home)
            is_good = not found.differences and not found.missing_tables
            record.add(
                {
                    "n": N_AT_ONCE,
                    "profile": profile.name,
                    "first": first,
                    "n_rows": sum(found.n_rows.values()),
                    "said": "" if is_good else report([found]),
                    "good": is_good,
                }
            )
    print(f"oracle: {record.n:,} clinics, {len(record.bad)} lines did not hold")
    return 1 if record.bad else 0


if __name__ == "__main__":
    sys.exit(main())
