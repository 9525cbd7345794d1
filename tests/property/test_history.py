"""History: whatever order deliveries come in, each id stands as the rule says.

Random delivery sequences (repeats, corrections, deletions, snapshots with vanished rows,
merges, item sets) go through the real door; the current-state models are compared with a
plain model written from measurement.md K1 and B1 and contract §3, now and on ten
known-on dates.
"""

import csv
import io
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from conftest import Home
from rapport.ingest.inbox import Found
from rapport.ingest.load import Door
from rapport.night import open_keys
from rapport.privacy import KeyRing
from rapport.settings import Settings, load_settings
from rapport.state import ControlState
from rapport.warehouse.build import dbt_environment, delivery_order, prepare_work
from rapport.warehouse.connections import work_path

SEED = 20260601
# A source's deliveries are shared by many sequences of ids that never meet.
N_SOURCES, N_CELLS = 20, 26
AS_OF = date(2026, 12, 31)
KNOWN_ON = [date(2026, 6, day) for day in range(1, 11)]
TABLES = {
    "clients": ("client_id", "birth_date", "updated_at"),
    "sessions": (
        "session_id", "client_id", "therapist_id", "started_at", "status", "updated_at",
        "deleted",
    ),
    "measures": (
        "administration_id", "client_id", "instrument", "rater", "administered_at",
        "total_reported", "updated_at", "deleted",
    ),
    "measure_items": ("administration_id", "item", "value"),
    "diagnoses": ("client_id", "code", "system", "recorded_on", "status"),
    "client_merges": ("old_client_id", "new_client_id", "merged_on"),
}  # fmt: skip
STAMPS = (
    "", "", "2026-05-01T08:00:00Z", "2026-05-01T10:00:00+02:00", "2026-05-02",
    "2026-05-03T00:00:00.5Z", "2026-05-03T09:00:00",
)  # fmt: skip
Row = dict[str, str]


@dataclass
class Sent:
    """One delivery: its true id, when it was received, its tables and their modes."""

    delivery_id: str
    received_on: date
    tables: dict[str, list[Row]] = field(default_factory=dict)
    snapshots: set[str] = field(default_factory=set)


# --- random deliveries ---------------------------------------------------------------


def a_row(rng: random.Random, table: str, cell: int) -> Row:
    client = f"c{cell}-{rng.randrange(4)}"
    stamp, deleted = rng.choice(STAMPS), rng.choice(("", "false", "true"))
    if table == "clients":
        said = (client, str(rng.randrange(1950, 1956)), stamp)
    elif table == "sessions":
        said = (
            f"s{cell}-{rng.randrange(4)}", client, f"t{rng.randrange(2)}",
            f"2026-04-0{rng.randrange(1, 8)}T10:00", rng.choice(("attended", "no_show")),
            stamp, deleted,
        )  # fmt: skip
    elif table == "measures":
        said = (
            f"a{cell}-{rng.randrange(3)}", client, "PHQ-9", "client",
            f"2026-04-0{rng.randrange(1, 8)}", str(rng.randrange(28)), stamp, deleted,
        )  # fmt: skip
    elif table == "measure_items":
        value = rng.choice(("", "0", "1", "2", "2.0", "often"))
        said = (f"a{cell}-{rng.randrange(3)}", str(rng.randrange(1, 4)), value)
    elif table == "diagnoses":
        said = (
            client, rng.choice(("F43.10", "F32.1")), rng.choice(("", "icd10")),
            "2026-01-05", rng.choice(("active", "resolved")),
        )  # fmt: skip
    else:
        old, new = rng.sample(range(4), 2)
        when = rng.choice(("2026-05-01", "2026-05-09", "2027-02-01"))
        said = (f"c{cell}-{old}", f"c{cell}-{new}", when)
    return dict(zip(TABLES[table], said, strict=True))


def leads_back(rows: Iterable[Row]) -> bool:
    """Tell whether merges of one delivery form a cycle, which the door refuses."""
    step: dict[str, set[str]] = {}
    for row in rows:
        step.setdefault(row["old_client_id"], set()).add(row["new_client_id"])
    return any(start in reached(step, start) for start in step)


def reached(step: dict[str, set[str]], start: str) -> set[str]:
    found, left = set(), list(step.get(start, ()))
    while left:
        at = left.pop()
        if at not in found:
            found.add(at)
            left += step.get(at, ())
    return found


def some_rows(rng: random.Random, table: str) -> list[Row]:
    rows = [
        a_row(rng, table, cell)
        for cell in range(N_CELLS)
        for _ in range(rng.randrange(4))
    ]
    rng.shuffle(rows)
    if table == "client_merges" and leads_back(rows):
        return []
    return rows


def sequence(rng: random.Random) -> list[Sent]:
    ids = rng.sample(["2026-06-01", "Z", "a", "b-10", "b-9", "é", "~", "d d", "0"], 5)
    sent: list[Sent] = []
    for delivery_id in ids[: rng.randrange(3, 6)]:
        one = Sent(delivery_id, rng.choice(KNOWN_ON))
        for table in TABLES:
            if sent and rng.random() < 0.15:  # what was sent before, again
                rows = list(rng.choice(sent).tables.get(table, []))
            else:
                rows = some_rows(rng, table) if rng.random() < 0.75 else []
            if rows:
                one.tables[table] = rows
                if rng.random() < 0.4:
                    one.snapshots.add(table)
        sent.append(one)
    return sent


# --- the plain model -----------------------------------------------------------------


def moment(text: str) -> datetime | None:
    if not text:
        return None
    said = datetime.fromisoformat(text)
    return said if said.tzinfo else said.replace(tzinfo=UTC)


IDENTITY = {
    "clients": ("client_id",),
    "sessions": ("session_id",),
    "measures": ("administration_id",),
    "measure_items": ("administration_id",),  # its item set is one thing
    "diagnoses": ("client_id", "code", "system", "recorded_on"),
    "client_merges": ("old_client_id",),
}


def standing(known: list[Sent], table: str) -> Iterator[tuple[Sent, Row]]:
    """Give the winning version of each id, and its delivery; deleted ones are gone."""
    order = sorted(known, key=lambda sent: os.fsencode(sent.delivery_id))
    versions: dict[tuple, list[tuple[int, int, Sent, Row]]] = {}
    for place, sent in enumerate(order):
        for n, row in enumerate(sent.tables.get(table, [])):
            id_ = tuple(row[column] for column in IDENTITY[table])
            versions.setdefault(id_, []).append((place, n, sent, row))
    for found in versions.values():
        places = {place for place, *_ in found}
        vanished = [
            place
            for place, sent in enumerate(order)
            if table in sent.snapshots and place not in places and place > min(places)
        ]
        alive = [v for v in found if v[0] > max(vanished, default=-1)]
        if not alive:
            continue

        def rank(version: tuple[int, int, Sent, Row]) -> tuple:
            place, n, _, row = version
            at = moment(row.get("updated_at", ""))
            return (at is not None, at.timestamp() if at else 0, place, n)

        _, _, sent, row = max(alive, key=rank)
        if row.get("deleted") != "true":
            yield sent, row


def last_ids(known: list[Sent]) -> dict[str, str]:
    """Follow merges up to the as-of date to their ends; those in a cycle do not count."""
    step = {
        row["old_client_id"]: {row["new_client_id"]}
        for _, row in standing(known, "client_merges")
        if date.fromisoformat(row["merged_on"]) <= AS_OF
    }
    step = {old: new for old, new in step.items() if old not in reached(step, old)}
    ends = {}
    for old in step:
        at = old
        while at in step:
            (at,) = step[at]
        ends[old] = at
    return ends


def item_set(sent: Sent, administration: str) -> dict[str, float | None]:
    said: dict[str, set[object]] = {}
    for row in sent.tables["measure_items"]:
        if row["administration_id"] == administration:
            said.setdefault(row["item"], set()).add(number(row["value"]))
    return {
        item: value if len(values) == 1 and isinstance(value, float) else None
        for item, values in said.items()
        for value in [next(iter(values))]
    }


def number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def expected(source: str, known: list[Sent], keys: KeyRing) -> dict[str, list[tuple]]:
    ends = last_ids(known)

    def key(entity: str, id_: str) -> str:
        return keys.row_key(entity, source, id_)

    def client(id_: str) -> str:
        return key("client", ends.get(id_, id_))

    return {
        "int_client__current": [
            (key("client", r["client_id"]), int(r["birth_date"]))
            for _, r in standing(known, "clients")
            if r["client_id"] not in ends
        ],
        "int_session__current": [
            (
                key("session", r["session_id"]), client(r["client_id"]),
                key("therapist", r["therapist_id"]),
                datetime.fromisoformat(r["started_at"]), r["status"],
            )
            for _, r in standing(known, "sessions")
        ],
        "int_measure__current": [
            (
                key("administration", r["administration_id"]), client(r["client_id"]),
                float(r["total_reported"]),
            )
            for _, r in standing(known, "measures")
        ],
        "int_measure_item__current": [
            (key("administration", r["administration_id"]), item, value)
            for sent, r in standing(known, "measure_items")
            for item, value in item_set(sent, r["administration_id"]).items()
        ],
        "int_diagnosis__current": [
            (client(r["client_id"]), r["code"], r["system"] or "unknown", r["status"])
            for _, r in standing(known, "diagnoses")
        ],
        "int_client_merge__last": [
            (key("client", old), key("client", end)) for old, end in ends.items()
        ],
    }  # fmt: skip


# --- the models ----------------------------------------------------------------------

COLUMNS = {
    "int_client__current": "client_key, birth_year",
    "int_session__current": "session_key, client_key, therapist_key, started_at_wall,"
    " status",
    "int_measure__current": "administration_key, client_key, total_reported",
    "int_measure_item__current": "administration_key, item, value",
    "int_diagnosis__current": "client_key, code, system, status",
    "int_client_merge__last": "old_client_key, client_key",
}
# Each with what it is made of, in order.
MODELS = [
    "stg_client", "stg_session", "stg_measure", "stg_measure_item", "stg_diagnosis",
    "stg_client_merge", "int_client_merge__current", "int_client_merge__last",
    "int_client__current", "int_session__current", "int_measure__current",
    "int_measure_item__current", "int_diagnosis__current",
]  # fmt: skip


@dataclass(frozen=True)
class History:
    """A home whose deliveries are all in, what was sent, and the models' SQL."""

    home: Home
    settings: Settings
    keys: KeyRing
    sent: dict[str, list[Sent]]
    relations: dict[str, str]
    sql: dict[str, str]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    home = Home(tmp_path_factory.mktemp("history") / "home")
    rng = random.Random(SEED)
    sent = {f"s{n:03}": sequence(rng) for n in range(N_SOURCES)}
    (home.path / "mappings").mkdir(parents=True)
    arrivals: list[Found] = []
    for source, deliveries in sent.items():
        (home.path / "mappings" / f"{source}.toml").write_text(
            'extends = "canonical"\n'
        )
        for one in deliveries:
            folder = home.deliver(
                one.delivery_id,
                {
                    f"{table}.csv": _csv(table, rows)
                    for table, rows in one.tables.items()
                },
                source=source,
                manifest=json.dumps(
                    {
                        "received_at": f"{one.received_on}T05:00:00Z",
                        "tables": {t: {"mode": "snapshot"} for t in one.snapshots},
                    }
                ),
            )
            arrivals.append(Found(source, one.delivery_id, folder))
    rng.shuffle(arrivals)
    settings = load_settings({**os.environ, "RAPPORT_HOME": str(home.path)})
    keys = open_keys(settings)
    state = ControlState(settings.home)
    with Door(settings, keys) as door:
        for found in arrivals:
            door.load(found, state)
    assert state.refusals() == []
    relations, sql = _models(settings, state)
    return History(home, settings, keys, sent, relations, sql)


def _csv(table: str, rows: list[Row]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, TABLES[table], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _models(
    settings: Settings, state: ControlState
) -> tuple[dict[str, str], dict[str, str]]:
    """Build the current-state models with dbt once; return their names and their SQL."""
    _prepare(settings, state, None)
    project = settings.project_root / "dbt_project"
    target = settings.home / "target"
    arguments = ("--project-dir", project, "--profiles-dir", project)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")), "--no-use-colors",
            "--log-level-file", "none", "run", *map(str, arguments), "--target-path",
            str(target), "--select", *MODELS,
        ],
        env=dbt_environment(settings), stdin=subprocess.PIPE, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    manifest = json.loads((target / "manifest.json").read_text("utf-8"))
    nodes = {n["name"]: n for n in manifest["nodes"].values()}
    relations = {name: nodes[name]["relation_name"] for name in MODELS}
    compiled = Path(target / "compiled" / "rapport")
    sql = {
        name: (compiled / nodes[name]["original_file_path"]).read_text("utf-8")
        for name in MODELS
    }
    return relations, sql


def _prepare(settings: Settings, state: ControlState, known_on: date | None) -> None:
    path = work_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    order = delivery_order(settings, state, known_on)
    prepare_work(settings, state, order, "run", AS_OF, known_on)


def _found(path: Path, relations: dict[str, str]) -> dict[str, Counter]:
    with duckdb.connect(path, read_only=True) as con:
        return {
            name: Counter(
                con.execute(f"select {columns} from {relations[name]}").fetchall()
            )
            for name, columns in COLUMNS.items()
        }


def _compare(history: History, known_on: date | None) -> dict[str, int]:
    """Compare every model with the plain one; return how many rows each has."""
    wanted: dict[str, Counter] = {name: Counter() for name in COLUMNS}
    for source, deliveries in history.sent.items():
        known = [d for d in deliveries if known_on is None or d.received_on <= known_on]
        for name, rows in expected(source, known, history.keys).items():
            wanted[name].update(rows)
    found = _found(work_path(history.settings), history.relations)
    for name in COLUMNS:
        n_missing = sum((wanted[name] - found[name]).values())
        n_extra = sum((found[name] - wanted[name]).values())
        assert (n_missing, n_extra) == (0, 0), (name, known_on)
    return {name: sum(rows.values()) for name, rows in wanted.items()}


def test_every_sequence_stands_as_the_rule_says(history: History) -> None:
    assert N_SOURCES * N_CELLS >= 500
    n_rows = _compare(history, None)
    assert all(n_rows.values()), n_rows


def test_every_known_on_date_stands_as_it_did(history: History) -> None:
    state = ControlState(history.settings.home)
    seen: list[dict[str, int]] = []
    for known_on in KNOWN_ON:
        _prepare(history.settings, state, known_on)
        with duckdb.connect(work_path(history.settings)) as con:
            for name in MODELS:
                relation = history.relations[name]
                schema = relation.rpartition(".")[0]
                con.execute(f"create schema if not exists {schema}")
                con.execute(f"create table {relation} as {history.sql[name]}")
        seen.append(_compare(history, known_on))
    assert len({tuple(rows.values()) for rows in seen}) == len(KNOWN_ON)


def test_the_option_rebuilds_a_past_night(history: History) -> None:
    known_on = KNOWN_ON[4]
    history.home.run("build", "--as-of", str(AS_OF), "--known-on", str(known_on))
    _compare(history, known_on)


def test_the_plain_model_tells_the_versions_apart(history: History) -> None:
    """The generator makes every situation that the rule is about."""
    n = Counter[str]()
    for deliveries in history.sent.values():
        for table in TABLES:
            now = {id(row) for _, row in standing(deliveries, table)}
            n["rows"] += sum(len(d.tables.get(table, [])) for d in deliveries)
            n["current"] += len(now)
            n["snapshots"] += sum(table in d.snapshots for d in deliveries)
        n["merged"] += len(last_ids(deliveries))
        by_time = sorted(deliveries, key=lambda d: d.received_on)
        by_id = sorted(deliveries, key=lambda d: os.fsencode(d.delivery_id))
        n["out of order"] += by_time != by_id
    assert min(n.values()) >= N_SOURCES // 2, n
    assert n["rows"] > 2 * n["current"]
