"""Every attack of privacy.md F on an extract: tried with its control off, then on.

An attack is a small program over the CSV files of a package, written here and sharing
nothing with the controls. ``python -m lib.extract_attacks`` renders what came of it into
``docs/reference/extract-attacks.md``; uids and study keys are fixed, so that it repeats.
"""

import csv
import json
import random
import shutil
import tempfile
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scipy.optimize import linprog
from scipy.stats import spearmanr

from conftest import ROOT
from lib.extract_home import TODAY, lay_home, spec, with_uids
from rapport.errors import ExtractRefused, UsageError
from rapport.extracts import cells, frames, lifecycle, package, public
from rapport.extracts.build import build_package
from rapport.extracts.frozen import lay_frozen_months
from rapport.extracts.generalise import anonymised
from rapport.extracts.ledger import ledger_path, verify_ledger
from rapport.extracts.request import read_request
from rapport.extracts.verify import passed, seal_checks, verify_package
from rapport.privacy import zip3
from rapport.privacy.chain import chain_entries
from rapport.privacy.studies import key_id, pseudonym
from rapport.settings import Settings
from rapport.warehouse import in_memory, scratch_over_published

PAGE = ROOT / "docs" / "reference" / "extract-attacks.md"
N, K = 260, 11
KEYS = {"alliance-repair-2026": b"\1" * 32, "another-study-2026": b"\2" * 32}
QIS = (
    "index_year",
    "age_band",
    "sex",
    "race_group",
    "state",
    "n_sessions_band",
    "dx_group",
)
_ONE = "(select episode_key from person where i = {})"
# Rare codes, a short course, people of 89, 90 and 105, scores that are fingerprints.
PLANTED = (
    f"update core.fct_episode set closure_reason = 'referred' where episode_key = {_ONE.format(20)}",
    f"update core.fct_session set delivery_mode = 'phone' where episode_key = {_ONE.format(21)}",
    f"delete from core.fct_session where session_number > 4 and episode_key = {_ONE.format(22)}",
    f"delete from alliance.fct_alliance_session where session_number > 4 and episode_key = {_ONE.format(22)}",
    f"update core.fct_episode set n_attended = 2 where episode_key = {_ONE.format(23)}",
    *(
        "update core.dim_client set birth_year = year(first_session_date)"
        f" - {age} where client_key = (select client_key from person where i = {place})"
        for place, age in ((0, 89), (1, 90), (2, 105))
    ),
    "update alliance.fct_alliance_session set client_total = client_total"
    " + (hash(session_key) % 25) / 100.0",
)
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Tried:
    """What came of an attack: in words, and whether it succeeded."""

    off: str
    on: str
    succeeds_off: bool
    succeeds_on: bool


@dataclass(frozen=True)
class Stage:
    """A released package, what would have left without any control, and the home."""

    settings: Settings
    request_id: str
    folder: Path
    raw: Path
    report: dict

    def rows(self, table: str, *, raw: bool = False) -> Rows:
        folder = self.raw if raw else self.folder
        return read_rows(folder / "data" / f"{table}.csv")

    def ask(self, **changes: str) -> lifecycle.Waiting:
        return lifecycle.request_extract(
            self.settings, self.request_file(**changes), TODAY
        )

    def request_file(self, **changes: str) -> Path:
        path = self.settings.home / "request.toml"
        path.write_text(spec(**changes), encoding="utf-8")
        return path

    def built(self, name: str, **changes: str) -> Path:
        """Build a package without asking anyone, in a folder of its own."""
        folder = self.settings.home / "tried" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        request = read_request(self.request_file(**changes))
        make = public.build_public if request.profile == "public" else build_package
        make(self.settings, request, "q_tried", folder, {}, TODAY)
        return folder


def read_rows(path: Path) -> Rows:
    """Return the rows of a CSV file as a researcher reads them."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def lay_stage(home: Path) -> Stage:
    """Lay the home, release one package, and write what no control had touched."""
    settings = lay_home(home, N, PLANTED)
    with_uids(settings, lambda place: place * 7919 + 1)
    folder = home / "vault" / "studies"
    folder.mkdir()
    for study, key in KEYS.items():
        (folder / f"{study}.key").write_bytes(key)
        (folder / f"{study}.key").chmod(0o600)
    path = home / "request.toml"
    path.write_text(spec(), encoding="utf-8")
    waiting = lifecycle.request_extract(settings, path, TODAY)
    report = lifecycle.review_extract(settings, waiting.request_id)["report"]
    lifecycle.approve_extract(settings, waiting.request_id, "Grace Hopper", TODAY)
    released = lifecycle.release_extract(settings, waiting.request_id, TODAY)
    raw = home / "raw"
    _write_raw(settings, path, raw)
    return Stage(settings, waiting.request_id, released, raw, report)


def _write_raw(settings: Settings, path: Path, folder: Path) -> None:
    request = read_request(path)
    with scratch_over_published(settings) as con:
        frames.lay_subjects(con, settings.home)
        period = request.period
        lay_frozen_months(con, settings.home, period.from_, period.to, period.to)
        frames.lay_pseudonyms(con, request.study, KEYS[request.study])
        frames.lay_cohort(con, request)
        frames.lay_base(con, request)
        values = frames.client_values(con, ())
        tables = frames.lay_data(con, request, frames.RUNGS[0], values)
        fields = package.fields_of(con, tables, {}, {})
        package.write_tables(con, folder / "data", fields, (), TODAY)


def by_person(rows: Rows) -> dict[str, Rows]:
    """Group rows by their pseudonym."""
    found: dict[str, Rows] = defaultdict(list)
    for row in rows:
        found[row["client_id"]].append(row)
    return found


# --- who is it, and what do they have ----------------------------------------------


def voter_list(stage: Stage) -> Tried:
    """Sweeney 2000; Benitez & Malin 2010: link by what a public list also tells."""

    def alone(rows: Rows) -> tuple[int, int]:
        names = [name for name in QIS if name in rows[0]]
        sizes = Counter(tuple(row[name] for name in names) for row in rows)
        return min(sizes.values()), sum(n for n in sizes.values() if n < K)

    k_off, n_off = alone(stage.rows("clients", raw=True))
    rows = stage.rows("clients")
    k_on, n_on = alone(rows)
    masked = sum("masked" in row.values() for row in rows)
    return Tried(
        f"{n_off} of {N} persons among fewer than {K}; smallest class {k_off}",
        f"k_min {k_on}, {masked} masked, {N - len(rows)} dropped",
        n_off > 0,
        n_on > 0,
    )


def shared_secret(stage: Stage) -> Tried:
    """Machanavajjhala et al. 2007: who is in a class that shares one secret."""

    def known(keys: list[tuple], secrets: list[str]) -> tuple[int, int]:
        held: dict[tuple, list[str]] = defaultdict(list)
        for key, secret in zip(keys, secrets, strict=True):
            held[key].append(secret)
        least = min(len({s for s in said if s}) for said in held.values())
        return least, sum(len(s) for s in held.values() if len({x for x in s if x}) < 2)

    asked = ("sex", "state")
    raw = stage.rows("clients", raw=True)
    pattern = {r["client_id"]: r["pattern"] for r in stage.rows("episodes", raw=True)}
    values = {name: [row[name] for row in raw] for name in asked}
    done = anonymised(asked, values, [], K, {})
    assert done is not None
    assert not done.is_dropped.any()
    keys = list(zip(*done.values.values(), strict=True))
    l_off, n_off = known(keys, [pattern[row["client_id"]] for row in raw])
    folder = stage.built(
        "secret",
        quasi_identifiers='["sex", "state"]',
        tables='["clients", "episodes"]',
    )
    rows = read_rows(folder / "data" / "clients.csv")
    names = [name for name in asked if name in rows[0]]
    episodes = {
        row["client_id"]: row["pattern"]
        for row in read_rows(folder / "data" / "episodes.csv")
    }
    l_on, n_on = known(
        [tuple(row[name] for name in names) for row in rows],
        [episodes[row["client_id"]] for row in rows],
    )
    return Tried(
        f"k alone: the pattern of {n_off} of {N} persons is sure; l_min {l_off}",
        f"l_min {l_on}",
        n_off > 0,
        n_on > 0,
    )


def singletons(stage: Stage) -> Tried:
    """A null or a rare value as a fingerprint: values that fewer than k persons hold."""
    categories = {
        "clients": ("trauma_focused",),
        "episodes": ("closure_reason", "dropout", "treatment_approach", "pattern"),
        "sessions": ("status", "modality", "delivery_mode", "duration_band"),
        "ruptures": ("method", "strength", "lead_component", "shape", "status"),
        "outcomes": ("instrument", "reliable_change", "clinical_class"),
    }

    def rare(*, raw: bool) -> int:
        found = 0
        for table, names in categories.items():
            holders: dict[tuple, set[str]] = defaultdict(set)
            for row in stage.rows(table, raw=raw):
                for name in names:
                    if row.get(name):
                        holders[name, row[name]].add(row["client_id"])
            found += sum(len(who) < K for who in holders.values())
        return found

    off, on = rare(raw=True), rare(raw=False)
    return Tried(f"{off} values single someone out", f"{on} left", off > 0, on > 0)


def remembered_visits(stage: Stage) -> Tried:
    """El Emam 2012; de Montjoye 2013: three facts of a course that an acquaintance knows."""
    off = _mean_risk(stage, raw=True)
    on = _mean_risk(stage, raw=False)
    return Tried(
        f"mean risk {off:.3f}",
        f"mean risk {on:.3f} ({stage.report['trajectory']['mean']:.3f} in the report)",
        off > 0.05,
        on > 0.05,
    )


def _mean_risk(stage: Stage, *, raw: bool) -> float:
    scores = [f"{who}_{part}" for who in ("client", "therapist", "gap")
              for part in ("total", "goal", "task", "bond")]  # fmt: skip
    points: dict[str, set[tuple]] = defaultdict(set)
    for table in ("sessions", "alliance", "ruptures"):
        if not (
            (stage.raw if raw else stage.folder) / "data" / f"{table}.csv"
        ).exists():
            continue
        for row in stage.rows(table, raw=raw):
            week = row.get("week_index", row.get("onset_week"))
            at = week if week is not None else row.get("session_number", row.get("onset_session_number"))  # fmt: skip
            told = points[row["client_id"]]
            if table == "sessions" and row.get("status"):
                told.add(("s", at, row["status"]))
            if table == "ruptures":
                told.add(("r", row["method"], at))
                if row.get("strength"):
                    told.add(("r", row["method"], at, row["strength"]))
            for score in scores:
                if row.get(score):
                    told.add(("a", row["instrument"], at, score, row[score]))
    people = [row["client_id"] for row in stage.rows("clients", raw=raw)]
    held: dict[tuple, int] = defaultdict(int)
    for place, who in enumerate(people):
        for point in points[who]:
            held[point] |= 1 << place
    draw = random.Random(20260630)
    risks = []
    for who in people:
        told = sorted(points[who], key=str)
        found = []
        for _ in range(40):
            matches = (1 << len(people)) - 1
            for point in draw.sample(told, min(3, len(told))):
                matches &= held[point]
            found.append(1 / matches.bit_count())
        risks.append(sum(found) / len(found))
    return sum(risks) / len(risks)


def counted_rows(stage: Stage) -> Tried:
    """Who has exactly so many rows."""

    def few(*, raw: bool) -> int:
        found = 0
        for table in ("episodes", "sessions", "alliance", "ruptures", "outcomes"):
            counts = Counter(len(r) for r in by_person(stage.rows(table, raw=raw)).values())  # fmt: skip
            found += sum(n < K for n in counts.values())
        return found

    off, on = few(raw=True), few(raw=False)
    return Tried(
        f"{off} row counts that fewer than {K} persons have", f"{on}", off > 0, on > 0
    )


def oldest_old(stage: Stage) -> Tried:
    """Persons of 89, 90 and 105 years in their index year (164.514(b)(2)(i)(C))."""
    keys = sorted(  # as with_uids numbers them: by key
        "cl_" + str(i).translate(str.maketrans("0189", "klmn")).rjust(26, "a")
        for i in range(N)
    )

    def uid(i: int) -> str:
        key = "cl_" + str(i).translate(str.maketrans("0189", "klmn")).rjust(26, "a")
        return f"{keys.index(key) * 7919 + 1:032x}"

    study = "alliance-repair-2026"
    names = [pseudonym(KEYS[study], study, "client", uid(i)) for i in range(3)]
    folder = stage.built(
        "limited", profile='"limited"', dua='"DUA-2026-014"', tables='["clients"]'
    )
    ages = {row["client_id"]: row["age"] for row in read_rows(folder / "data" / "clients.csv")}  # fmt: skip
    bands = {row["client_id"]: row["age_band"] for row in stage.rows("clients", raw=True)}  # fmt: skip
    told = [f"{ages[name]} ({bands[name]})" for name in names]
    with (
        patch.object(frames, "TABLES", frames.TABLES),
        patch.object(frames, "_expression", _uncapped_age),
    ):
        off_folder = stage.built(
            "uncapped", profile='"limited"', dua='"DUA-2026-014"', tables='["clients"]'
        )
    rows = read_rows(off_folder / "data" / "clients.csv")
    off = [next(r["age"] for r in rows if r["client_id"] == name) for name in names]
    return Tried(
        f"ages {', '.join(off)}: the oldest is alone",
        f"{', '.join(told)}: all right",
        off == ["89", "90", "105"],
        told != ["89 (80-89)", "90+ (90+)", "90+ (90+)"],
    )


_EXPRESSION = frames._expression


def _uncapped_age(table: str, name: str, *rest: object) -> str:
    return "t.age_years::varchar" if name == "age" else _EXPRESSION(table, name, *rest)


def small_areas(stage: Stage) -> Tried:
    """Postal prefixes of 20,000 people or fewer, under the deny-list printed in 2012."""
    printed = [
        "036",
        "059",
        "063",
        "102",
        "203",
        "556",
        "692",
        "790",
        "821",
        "823",
        "830",
        "831",
        "878",
        "879",
        "884",
        "890",
        "893",
    ]
    path = Path(zip3.__file__).with_suffix(".csv")
    with path.open(encoding="utf-8") as file:
        people = {r["zip3"]: int(r["population_2020"] or 0) for r in csv.DictReader(file)}  # fmt: skip
    every = [f"{n:03d}" for n in range(1000)]
    small = {p for p in every if p in people and people[p] <= 20_000}
    off = small - set(printed)
    kept = [p for p in every if zip3.reduced_postal_code(f"{p}01") == p and p != "000"]
    return Tried(
        f"the deny-list of 2012 lets {len(off)} small areas through",
        f"all 1,000 prefixes: {len(kept)} kept, {len(small & set(kept))} of them small",
        len(off) > 0,
        len(small & set(kept)) > 0 or len(kept) != 876,
    )


# --- two packages -------------------------------------------------------------------


def two_studies(stage: Stage) -> Tried:
    """The same cohort under two studies: are the persons or their order the same?"""
    folder = stage.built("second", study='"another-study-2026"', tables='["clients"]')
    mine = [row["client_id"] for row in stage.rows("clients")]
    other = [row["client_id"] for row in read_rows(folder / "data" / "clients.csv")]
    uids = [f"{place * 7919 + 1:032x}" for place in range(N)]
    ranks = []
    for ids, study in ((mine, "alliance-repair-2026"), (other, "another-study-2026")):
        named = {pseudonym(KEYS[study], study, "client", uid): uid for uid in uids}
        ranks.append({named[id_]: place for place, id_ in enumerate(ids)})
    both = sorted(ranks[0].keys() & ranks[1].keys())
    order = spearmanr([ranks[0][u] for u in both], [ranks[1][u] for u in both]).statistic  # fmt: skip
    one_key = {pseudonym(b"k" * 32, "one", "client", uid) for uid in uids}
    shared = len(set(mine) & set(other))
    return Tried(
        f"one key for all: {len(one_key & one_key)} shared ids, the same order",
        f"{shared} shared ids of {len(both)} shared persons, order correlated {order:.2f}",
        len(one_key) == N,
        shared > 0 or abs(order) > 0.2,
    )


def two_releases(stage: Stage) -> Tried:
    """A cohort without one person, beside the cohort with them."""
    changes = {"study": '"another-study-2026"', "cohort": "{ min_attended = 3 }"}
    folder = stage.built("without", **changes, tables='["clients"]')
    mine = {row["client_id"] for row in stage.rows("clients")}
    other = {row["client_id"] for row in read_rows(folder / "data" / "clients.csv")}
    uids = [f"{place * 7919 + 1:032x}" for place in range(N)]
    study = "alliance-repair-2026"
    # Whoever joined the two would see who is in one alone.
    lone = sum(
        (pseudonym(KEYS[study], study, "client", uid) in mine)
        != (
            pseudonym(
                KEYS[changes["study"][1:-1]], changes["study"][1:-1], "client", uid
            )
            in other
        )
        for uid in uids
    )
    try:
        stage.ask(**changes, tables='["clients"]')
        refused = False
    except ExtractRefused as refusal:
        refused = refusal.reason == "extract_differencing"
    return Tried(
        f"the two differ by {lone} person, whom their holder sees",
        "refused",
        0 < lone < K,
        not refused,
    )


def totals(stage: Stage) -> Tried:
    """Subtract shown cells from shown totals; every hidden cell by linear programmes."""
    seen: dict[str, tuple] = {}
    protect = cells.protect

    def watched(
        system: cells.System, counts: list[int], k: int
    ) -> frozenset[int] | None:
        seen["system"], seen["counts"] = system, counts
        return protect(system, counts, k)

    with patch.object(cells, "protect", watched):
        folder = stage.built("public", profile='"public"',
                             tables='["qi.endings", "qi.outcome_monthly"]')  # fmt: skip
    system, counts = seen["system"], seen["counts"]
    small = cells.primary_cells(counts, 20)
    told = dict(zip(system.keys, counts, strict=True))
    off_table = {
        key: None if place in small else n
        for place, (key, n) in enumerate(told.items())
    }
    widths_off = _widths(off_table, {system.keys[p] for p in small})
    on_table: dict[tuple, int | None] = {}
    for table, place in (("qi_endings", 2), ("qi_outcome_monthly", 3)):
        for row in read_rows(folder / "data" / f"{table}.csv"):
            values = list(row.values())
            key = [values[0], values[1], "total", "total"]
            key[place] = values[2]
            on_table[tuple(key)] = int(row["n_persons"]) if row["n_persons"] else None
    assert on_table.keys() == told.keys()
    widths_on = _widths(on_table, {system.keys[p] for p in small})
    hidden = sum(n is None for n in on_table.values())
    exact = sum(width < 0.5 for width in widths_off)
    return Tried(
        f"{exact} of {len(small)} small cells follow from the totals",
        f"{len(small)} small and {hidden - len(small)} further cells hidden, "
        f"min width {min(widths_on):.0f}",
        exact > 0,
        min(widths_on) < 19,
    )


def _widths(table: dict[tuple, int | None], wanted: set[tuple]) -> list[float]:
    """Return how far each wanted hidden cell may lie apart, by two linear programmes."""
    hidden = [key for key, n in table.items() if n is None]
    place = {key: n for n, key in enumerate(hidden)}
    rows, sides = [], []
    for whole, dimension in product(table, range(4)):
        if whole[dimension] != "total":
            continue
        parts = [
            key for key in table
            if key[dimension] != "total"
            and key[:dimension] + key[dimension + 1 :] == whole[:dimension] + whole[dimension + 1 :]
        ]  # fmt: skip
        if not parts or not ({whole, *parts} & place.keys()):
            continue
        row, side = np.zeros(len(hidden)), 0
        for key, sign in ((whole, -1), *((part, 1) for part in parts)):
            if key in place:
                row[place[key]] = sign
            else:
                side -= sign * int(table[key] or 0)
        rows.append(row)
        sides.append(side)
    widths = []
    for key in sorted(wanted):
        ends = []
        for sign in (1, -1):
            goal = np.zeros(len(hidden))
            goal[place[key]] = sign
            found = linprog(goal, A_eq=np.array(rows), b_eq=sides, bounds=(1, 10_000))
            ends.append(sign * found.fun)
        widths.append(ends[1] - ends[0])
    return widths


def clinic_groups(rows: list[tuple[str, str, int]]) -> dict[str, str | None]:
    """Return the group of each clinic, of (clinic, therapist, clients)."""
    with in_memory() as con:
        con.execute("create schema base")
        con.execute("create table clinic_name as select upper(uid) as name, uid from"
                    " (values ('a'), ('b'), ('c')) as v(uid)")  # fmt: skip
        con.execute("create table base.clients (clinic_uid varchar, therapist_uid varchar)")  # fmt: skip
        for clinic, therapist, n in rows:
            con.executemany("insert into base.clients values (?, ?)", [(clinic, therapist)] * n)  # fmt: skip
        frames.lay_clinic_groups(con, K)
        return dict(
            con.execute(
                "select clinic_uid, clinic_group from base.clinic_group"
            ).fetchall()
        )


def one_therapist(stage: Stage) -> Tried:
    """A clinic of which one therapist has 81 % of the clients, and one of two therapists."""
    rows = [("a", "t1", 40), ("a", "t2", 40), ("a", "t3", 20), ("b", "t4", 81),
            ("b", "t5", 10), ("b", "t6", 9), ("c", "t7", 50), ("c", "t8", 50)]  # fmt: skip
    with patch.multiple(frames, MIN_THERAPISTS=1, MAX_THERAPIST_SHARE=1):
        off = clinic_groups(rows)
    on = clinic_groups(rows)
    named = [name for name in ("b", "c") if on[name] != "other units"]
    return Tried(
        "both clinics are told apart: their figures are one therapist's",
        "pooled: 81 % case and 2-therapist case are other units",
        off == {"a": "A", "b": "B", "c": "C"},
        bool(named) or on["a"] != "A",
    )


# --- files --------------------------------------------------------------------------


def formula(stage: Stage) -> Tried:
    """Cells that a spreadsheet would run, in columns that hold no closed list."""
    with tempfile.TemporaryDirectory() as name:
        settings = lay_home(
            Path(name) / "home",
            60,
            (
                "update outcomes.fct_episode_outcome set instrument = '=cmd'",
                "update core.dim_client set sex = '＝x', state = chr(9) || 'NY'",
            ),
        )
        other = Stage(settings, "", Path(name), Path(name), {})
        tables = {"tables": '["clients", "episodes", "outcomes"]'}
        with (
            patch.object(package, "stop_on_formula", lambda *_: None),
        ):
            folder = other.built("off", **tables)
        cells_off = {
            value
            for table in ("clients", "outcomes")
            for row in read_rows(folder / "data" / f"{table}.csv")
            for value in row.values()
            if value[:1] in ("=", "＝", "\t")
        }
        try:
            other.built("on", **tables)
            refused: set[str] = set()
        except ExtractRefused as refusal:
            refused = {line.split(":")[0] for line in refusal.message.splitlines()[1:]}
    return Tried(
        f"{len(cells_off)} kinds of cell would run (=cmd, ＝, tab)",
        "refused: " + ", ".join(sorted(refused)),
        len(cells_off) == 3,
        refused != {"clients.sex", "clients.state", "outcomes.instrument"},
    )


def altered_files(stage: Stage) -> Tried:
    """Change one byte of each file in turn; without a signature the sums are rewritten."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(stage.folder, Path(name) / "package"))
        key = next((stage.settings.home / "extracts" / "keys").glob("*.pub"))
        said = json.loads((folder / "release.json").read_text())
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        found = unsigned = 0
        for path in files:
            whole, sums = path.read_bytes(), (folder / "SHA256SUMS").read_bytes()
            path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
            try:
                known = json.loads((folder / "release.json").read_text())
                found += not passed(seal_checks(folder, known, key))
            except ValueError:
                found += not passed(verify_package(folder, key, None, TODAY))
            if path.name not in ("SHA256SUMS", "release.json"):
                listed = package.sums_text(package.file_sums(folder, but=("SHA256SUMS",)))  # fmt: skip
                (folder / "SHA256SUMS").write_text(listed)
                unsigned += _sums_hold(folder)
            path.write_bytes(whole)
            (folder / "SHA256SUMS").write_bytes(sums)
        assert passed(seal_checks(folder, said, key))
    return Tried(
        f"sums without a signature, rewritten: {unsigned} of {len(files) - 2} not seen",
        f"{found} of {len(files)} found",
        unsigned == len(files) - 2,
        found < len(files),
    )


def _sums_hold(folder: Path) -> bool:
    listed = dict(
        reversed(line.split("  "))
        for line in (folder / "SHA256SUMS").read_text().splitlines()
    )
    return all(
        listed[name] == sums["sha256"]
        for name, sums in package.file_sums(folder, but=("SHA256SUMS",)).items()
    )


def forged_signature(stage: Stage) -> Tried:
    """A package signed anew by someone else, who says it holds more persons."""
    said = json.loads((stage.folder / "release.json").read_text())
    own = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
    public_half = own.public_key().public_bytes_raw()
    del said["signature"]
    said |= {
        "n_persons": 1,
        "public_key": b64encode(public_half).decode(),
        "key_id": key_id(public_half),
    }
    said["signature"] = b64encode(own.sign(rfc8785.dumps(said))).decode()
    key = next((stage.settings.home / "extracts" / "keys").glob("*.pub"))

    def is_taken(pinned: Path | None) -> bool:
        checks = seal_checks(stage.folder, said, pinned)
        return next(c.ok for c in checks if "signed by an unknown key" in c.line)

    return Tried(
        "no key at hand: the signature matches its own key",
        "signed by an unknown key",
        is_taken(None),
        is_taken(key),
    )


def own_approval(stage: Stage) -> Tried:
    """Approve one's own request, and swap the build after the approval."""
    settings = stage.settings
    id_ = stage.ask(study='"own-approval"', tables='["clients"]').request_id

    def approves() -> bool:
        with suppress(UsageError):
            lifecycle.approve_extract(settings, id_, "Ada Byron", TODAY)
            return True
        return False

    def releases() -> bool:
        with suppress(ExtractRefused):
            lifecycle.release_extract(settings, id_, TODAY)
            return True
        return False

    on = approves()
    with patch.object(lifecycle, "_require_second_person", lambda *_: None):
        off = approves()
    readme = settings.home / "extracts" / id_ / "build" / "README.md"
    digest = package.build_digest(readme.parent)
    readme.write_text(readme.read_text() + "\nswapped\n")
    swapped_on = releases()
    with patch.object(package, "build_digest", lambda _: digest):
        swapped_off = releases()
    return Tried(
        "both succeed",
        "both refused",
        off and swapped_off,
        on or swapped_on,
    )


def altered_ledger(stage: Stage) -> Tried:
    """Flip a byte of the ledger of releases, swap two lines, drop the tail."""
    path = ledger_path(stage.settings.home)
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    altered = (
        [lines[0].replace("Ada", "Eve"), *lines[1:]],
        [lines[1], lines[0], *lines[2:]],
        lines[:-1],
    )
    found = unseen = 0
    for said in altered:
        path.write_text("".join(said))
        unseen += len(chain_entries(path)) == len(said)  # every line reads as it should
        found += bool(verify_ledger(stage.settings.home))
    path.write_text(whole)
    assert verify_ledger(stage.settings.home) == []
    return Tried(
        f"lines alone: {unseen} of 3 not seen",
        f"{found} of 3 found",
        unseen == 3,
        found < 3,
    )


@dataclass(frozen=True)
class Attack:
    """One row of the page."""

    name: str
    control: str
    run: Callable[[Stage], Tried]


ATTACKS = (
    Attack(
        "link with a voter list",
        "11 persons agree in every quasi-identifier",
        voter_list,
    ),
    Attack("the group shares one secret", "two distinct values a class", shared_secret),
    Attack(
        "a null or rare value as a fingerprint",
        "`missing` and `masked` are values; rare becomes `other`",
        singletons,
    ),
    Attack(
        "three remembered visits",
        "coarser rungs until the mean risk is 0.05",
        remembered_visits,
    ),
    Attack("count the rows", "counts that few share are cut", counted_rows),
    Attack("the oldest old: 89, 90, 105", "age by year, `90+`", oldest_old),
    Attack("a small postal area, a stale list", "allow-list of 2020", small_areas),
    Attack("join two studies", "a key a study", two_studies),
    Attack("subtract two releases", "differencing rule, frozen months", two_releases),
    Attack(
        "subtract totals", "complementary suppression, attacked by programmes", totals
    ),
    Attack("one therapist is the clinic", "unit rule", one_therapist),
    Attack("spreadsheet formula", "closed text: the build stops", formula),
    Attack("altered package", "sums under a signature", altered_files),
    Attack("forged package", "a pinned public key", forged_signature),
    Attack(
        "approve your own, or swap after approval", "two persons, digest", own_approval
    ),
    Attack(
        "alter the ledger", "hash chain, and the audit log beside it", altered_ledger
    ),
)

_HEAD = f"""# Attacks on extracts, tried

For privacy officers: each attack of the threat table, run as a program against a released package of {N} synthetic persons, once
with its control switched off and once with it on. Rendered from `tests/lib/extract_attacks.py` (`make docs`); `tests/integration/test_extract_attacks.py`
fails when an attack without its control fails, when one with it succeeds, or when this page is stale. Corrections of frozen months:
`tests/integration/test_extract_upkeep.py`.

| attack | control | control off | control on |
| --- | --- | --- | --- |
"""


def rendered(tried: dict[str, Tried]) -> str:
    """Return the page."""
    rows = [
        f"| {a.name} | {a.control} | {tried[a.name].off} | {tried[a.name].on} |\n"
        for a in ATTACKS
    ]
    return _HEAD + "".join(rows)


def main() -> None:
    """Try every attack and write the page."""
    with tempfile.TemporaryDirectory() as name:
        stage = lay_stage(Path(name) / "home")
        tried = {attack.name: attack.run(stage) for attack in ATTACKS}
    PAGE.write_text(rendered(tried), "utf-8")


if __name__ == "__main__":
    main()
