"""Prove: ten thousand fuzzed inputs of each kind; see ``lib.fuzz`` for what a failure is.

``make prove``. Each five hundred of a kind run in a process of their own, so that its peak
memory is its own, and append a line to ``records/fuzz.jsonl``: stopped, it goes on there.
"""

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.fuzz import KINDS, fuzz
from lib.proving import Record

N_CASES, N_AT_ONCE = 10_000, 500


def main() -> int:
    """Go on until each kind has its ten thousand; say what was found."""
    record = Record("fuzz")
    done = {(line["kind"], line["seed"]) for line in record.lines}
    # A seed of every kind, then the next: stopped, no kind is far behind.
    for seed in range(N_CASES // N_AT_ONCE):
        for kind in KINDS:
            if (kind, seed) in done:
                continue
            said = subprocess.run(
                [sys.executable, __file__, kind, str(seed)],
                check=True, stdout=subprocess.PIPE, text=True,
            ).stdout  # fmt: skip
            record.add(json.loads(said.splitlines()[-1]))
    for kind in KINDS:
        mine = [line for line in record.lines if line["kind"] == kind]
        failures = sum(len(line["failures"]) for line in mine)
        print(
            f"{kind}: {sum(line['n_cases'] for line in mine):,} cases,"
            f" {sum(line['n_refused'] for line in mine):,} refused,"
            f" {failures} failures, peak {max(line['peak_mb'] for line in mine)} MB"
        )
    return 1 if record.bad else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        kind, seed = sys.argv[1], int(sys.argv[2])
        found = fuzz(kind, seed, N_AT_ONCE).as_said()
        said = {"n": N_AT_ONCE, "kind": kind, "seed": seed, **found}
        print(json.dumps(said | {"good": not found["failures"]}))
    else:
        sys.exit(main())
