"""Prove: nights that compute only the touched clients come to one build of all.

``make prove``. A line of ``records/increments.jsonl`` is forty random clinics over five
nights, and the build of all that their last night is held against, row by row.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.increments import all_differences, incremental_nights
from lib.proving import Record

N_CLINICS, N_AT_ONCE = 1_000, 40
# The suite holds every twelfth seed below this one.
FIRST = 720


def main() -> int:
    """Go on until there are a thousand; say in which tables rows differ."""
    record = Record("increments")
    while record.n < N_CLINICS:
        first = FIRST + 12 * record.n
        seeds = range(first, first + 12 * N_AT_ONCE, 12)
        with tempfile.TemporaryDirectory(prefix="prove_") as folder:
            nights = incremental_nights(Path(folder), seeds)
            found = all_differences(nights, nights.incremented)
            waves = all_differences(nights, nights.in_waves)
        differing = {
            f"{how}{t}": rows[1:]
            for how, tables in (("", found), ("in waves: ", waves))
            for t, rows in tables.items()
            if rows[1:] != (0, 0)
        }
        record.add(
            {
                "n": N_AT_ONCE,
                "first": first,
                "n_touched": [c.get("n_touched") for c in nights.results],
                "n_rows": sum(n for n, *_ in found.values()),
                "differing": differing,
                "good": not differing,
            }
        )
    print(f"increments: {record.n:,} clinics, {len(record.bad)} lines did not hold")
    return 1 if record.bad else 0


if __name__ == "__main__":
    sys.exit(main())
