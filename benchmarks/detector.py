"""How well the rupture methods find what was planted, and what they find where nothing is.

Three things, all through the real door and SQL:

1. a synthetic clinic's night, held against its planted truth (``rapport demo check``);
2. clients whose alliance never changes, each with twelve WAI-SR totals that differ by error
   of measurement alone, and the share of them that shows a rupture by each method;
3. the share of comparisons of such clients in which ``default_rc3`` fires.

Run ``python benchmarks/detector.py`` to print the tables; ``--write`` puts them into
docs/reference/detector.md, between its marks. The home folder is thrown away.
"""

import argparse
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "detector.md"
METHODS = ROOT / "dbt_project" / "seeds" / "rupture_method.csv"
AS_OF = date(2026, 6, 30)
N_SESSIONS, SEM, LEVEL = 12, 0.2214, 4.0


def run(home: Path, *arguments: str) -> str:
    """Run ``rapport`` on a home; return what it said on stdout."""
    command = [str(Path(sys.executable).with_name("rapport")), *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, "RAPPORT_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}")
    return done.stdout


def planted(folder: Path, clients: int, seed: int) -> dict:
    """Make a clinic, run its night, hold it against its truth."""
    out, home = folder / "clinic", folder / "home"
    run(home, "demo", "generate", "--clients", str(clients), "--seed", str(seed),
        "--until", str(AS_OF), "--out", str(out))  # fmt: skip
    shutil.copytree(out / "inbox", home / "inbox", dirs_exist_ok=True)
    run(home, "night", "--as-of", str(AS_OF))
    found: dict = json.loads(run(home, "demo", "check", str(out / "truth"), "--json"))
    return found


def stable(folder: Path, clients: int, seed: int) -> Path:
    """Build the tables of clients whose alliance never changes; return the candidate."""
    rng = np.random.Generator(np.random.PCG64(seed))
    totals = np.clip(rng.normal(LEVEL, SEM, (clients, N_SESSIONS)), 1, 5)
    home = folder / "stable"
    delivery = home / "inbox" / "canonical" / "d1"
    delivery.mkdir(parents=True)
    days = [AS_OF - timedelta(weeks=N_SESSIONS - n) for n in range(N_SESSIONS)]
    people = range(clients)
    _write(delivery / "clients.csv", ["client_id"], ([f"p{c}"] for c in people))
    _write(
        delivery / "sessions.csv",
        ["session_id", "client_id", "therapist_id", "started_at", "status"],
        ([f"p{c}s{n}", f"p{c}", "t", f"{day}T10:00", "attended"]
         for c in people for n, day in enumerate(days)),
    )  # fmt: skip
    _write(
        delivery / "measures.csv",
        ["administration_id", "client_id", "session_id", "instrument", "rater",
         "administered_at", "total_reported"],
        ([f"p{c}f{n}", f"p{c}", f"p{c}s{n}", "WAI-SR", "client", day, repr(float(totals[c, n]))]
         for c in people for n, day in enumerate(days)),
    )  # fmt: skip
    (delivery / "_SUCCESS").touch()
    run(home, "ingest")
    run(home, "build", "--as-of", str(AS_OF))
    return home / "warehouse" / "candidate.duckdb"


def _write(path: Path, header: list[str], rows: Iterable[list]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def interval(part: int, whole: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    Source: Wilson 1927, J Am Stat Assoc 22:209.
    """
    z, p = 1.959964, part / whole
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = (
        z
        * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole**2))
        / (1 + z * z / whole)
    )
    return max(0.0, middle - half), middle + half


def published_shares() -> dict[str, float]:
    """Return the share that the measurement page publishes for each method."""
    with METHODS.open(encoding="utf-8") as file:
        return {
            row["method"]: float(row["stable_share"])
            for row in csv.DictReader(file)
            if row["stable_share"]
        }


def stable_table(candidate: Path) -> list[str]:
    """Lay out the share of never-changing clients with a rupture, by method."""
    with duckdb.connect(candidate, read_only=True) as con:
        counts = {
            method: (n, total)
            for method, n, total in con.execute(
                "select method, count(*) filter (where n_ruptures > 0), count(*)"
                " from alliance.rupture_cohort group by method"
            ).fetchall()
        }
    lines = [
        "| method | clients with a rupture | share | 95 % interval | measurement page |",
        "| --- | --- | --- | --- | --- |",
    ]
    for method, said in published_shares().items():
        n, total = counts[method]
        low, high = interval(n, total)
        lines.append(
            f"| `{method}` | {n:,} of {total:,} | {n / total:.2%} |"
            f" {low:.2%} to {high:.2%} | {said:.1%} |"
        )
    return lines


def comparison_table(candidate: Path) -> list[str]:
    """Lay out how often a comparison by default_rc3 fires, by the scores behind it."""
    sql = """
        with compared as (
            select
                alliance.session_number,
                least(alliance.session_number - 1, 3) as n_behind,
                rupture.onset_session_number is not null as is_onset
            from alliance.fct_alliance_session as alliance
            left join alliance.fct_rupture as rupture
                on alliance.episode_key = rupture.episode_key
                and alliance.session_number = rupture.onset_session_number
                and rupture.method = 'default_rc3'
            left join alliance.fct_rupture as repaired
                on alliance.episode_key = repaired.episode_key
                and alliance.session_number = repaired.repair_session_number
                and repaired.method = 'default_rc3'
            where alliance.baseline is not null and repaired.rupture_key is null
                and (rupture.rupture_key is not null or not alliance.in_open_rupture)
        )
        select n_behind, count(*) filter (where is_onset), count(*)
        from compared group by n_behind order by n_behind
    """
    with duckdb.connect(candidate, read_only=True) as con:
        rows = con.execute(sql).fetchall()
    lines = [
        "| scores in the baseline | fired | of comparisons | share | 95 % interval |",
        "| --- | --- | --- | --- | --- |",
    ]
    for n_behind, n, total in rows:
        low, high = interval(n, total)
        lines.append(
            f"| {n_behind} | {n:,} | {total:,} | {n / total:.2%} |"
            f" {low:.2%} to {high:.2%} |"
        )
    return lines


def recovery_table(found: dict) -> list[str]:
    """Lay out recall, precision and false alarms on the synthetic clinic."""
    lines = [
        "| method | found of detectable | recall | true of published | precision |"
        " false alarms on stable episodes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["methods"]:
        lines.append(
            f"| `{row['method']}` | {row['n_found']} of {row['n_detectable']} |"
            f" {_decimal(row['recall'])} | {row['n_true']} of {row['n_published']} |"
            f" {_decimal(row['precision'])} |"
            f" {row['n_stable_with_rupture']} of {row['n_stable']}"
            f" ({_decimal(row['false_alarm_share'])}) |"
        )
    return lines


def agreement_table(found: dict) -> list[str]:
    """Lay out Cohen's kappa of each pair of methods as a triangle."""
    kappa = {(p["method_a"], p["method_b"]): p["kappa"] for p in found["agreement"]}
    names = [row["method"] for row in found["methods"]]
    lines = [
        "| | " + " | ".join(f"`{name}`" for name in names[1:]) + " |",
        "| --- |" + " --- |" * (len(names) - 1),
    ]
    for place, a in enumerate(names[:-1]):
        cells = [
            _decimal(kappa[a, b]) if k >= place else ""
            for k, b in enumerate(names[1:])
            if k < place or (a, b) in kappa
        ]
        lines.append(f"| `{a}` | " + " | ".join(cells) + " |")
    return lines


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def main() -> None:
    """Measure, print, and write where asked to."""
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument(
        "--clients", type=int, default=240, help="of the synthetic clinic"
    )
    said.add_argument("--stable", type=int, default=2400, help="never-changing clients")
    said.add_argument("--seed", type=int, default=7)
    said.add_argument("--write", action="store_true", help="into detector.md")
    chosen = said.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = planted(folder, chosen.clients, chosen.seed)
        candidate = stable(folder, chosen.stable, chosen.seed)
        tables = {
            "recovery": recovery_table(found),
            "stable": stable_table(candidate),
            "comparisons": comparison_table(candidate),
            "agreement": agreement_table(found),
        }
    for title, lines in tables.items():
        print(f"\n{title}\n" + "\n".join(lines))
    if chosen.write:
        text = PAGE.read_text(encoding="utf-8")
        for title, lines in tables.items():
            pattern = rf"(<!-- {title} -->\n).*?(<!-- end -->)"
            block = "\n".join(lines)
            text, n = re.subn(pattern, rf"\g<1>{block}\n\g<2>", text, flags=re.DOTALL)
            if n != 1:
                raise SystemExit(f"{PAGE.name} has no place for {title}")
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
