"""The dashboard of a large service, written and opened.

For whoever looks after the pages. Usage, with Chromium on the machine:

    PYTHONPATH=tests python benchmarks/pages.py FOLDER [--clients N] > result.json

FOLDER becomes a RAPPORT_HOME with the snapshot of twenty clinics over ten years; 104,000
clients have about a million sessions. A snapshot that is there already is used again. The
targets: `rapport dashboard` in 20 s and 1 GB; each page's first paint from its file in 1 s.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import duckdb

from lib.chromium import started_chromium
from lib.laid_clinics import Clinic, Service, facts_of
from lib.laid_snapshots import Laid, lay_snapshot

AS_OF = date(2026, 6, 30)
N_OPENED = 3


def main() -> None:
    """Lay, write, open; print one JSON document."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clients", type=int, default=104_000)
    said = parser.parse_args()
    snapshot = said.folder / "published" / "rapport.duckdb"
    if not snapshot.exists():
        clinics = tuple(Clinic(f"Practice {n + 1:02}") for n in range(20))
        service = Service(clinics, said.clients, date(2016, 7, 4), AS_OF)
        lay_snapshot(said.folder, Laid(AS_OF, facts_of(service)))
    result = {
        "n_sessions": _count(snapshot, "core.fct_session"),
        "snapshot_mb": round(snapshot.stat().st_size / 1e6, 1),
        **_written(said.folder),
        "first_paint_ms": _opened(said.folder / "dashboard"),
    }
    print(json.dumps(result, indent=1))


def _count(snapshot: Path, table: str) -> int:
    with duckdb.connect(snapshot, read_only=True) as con:
        [(n,)] = con.execute(f"select count(*) from {table}").fetchall()
    return int(n)


def _written(home: Path) -> dict[str, float]:
    """Run the command once, as a night does, and say what it took."""
    began = time.perf_counter()
    subprocess.run(
        [str(Path(sys.executable).with_name("rapport")), "dashboard"],
        env={**os.environ, "RAPPORT_HOME": str(home)},
        check=True,
        stdout=sys.stderr,
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    pages = [path.stat().st_size for path in (home / "dashboard").iterdir()]
    return {
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1e3),
        "n_pages": len(pages),
        "largest_page_kb": round(max(pages) / 1e3),
        "all_pages_kb": round(sum(pages) / 1e3),
    }


def _opened(folder: Path) -> dict[str, float]:
    """Return the median first contentful paint of each page, opened afresh each time."""
    found = {}
    with started_chromium() as browser:
        for path in sorted(folder.iterdir()):
            times = []
            for _ in range(N_OPENED):
                context = browser.new_context()
                page = context.new_page()
                page.goto(path.as_uri())
                times.append(page.evaluate(_PAINTED))
                context.close()
            found[path.stem] = round(statistics.median(times))
    return found


_PAINTED = """
() => new Promise(resolve => {
    const look = () => {
        const [paint] = performance.getEntriesByName('first-contentful-paint');
        if (paint) resolve(paint.startTime); else requestAnimationFrame(look);
    };
    look();
})
"""

if __name__ == "__main__":
    main()
