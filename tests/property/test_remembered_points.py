"""Three remembered points: what is counted is what an attacker's own program finds.

The attacker knows the rule of C5.7 and the tables, and tries every triple on every person.
"""

import hashlib
from collections.abc import Iterator
from itertools import combinations
from math import comb

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.extracts import risk
from rapport.extracts.triples import KNOWN_POINTS, MAX_TRIPLES

DIGEST = "0f3a"
_SCHEMA = """
create schema data;
create table data.clients (client_id varchar, sex varchar, state varchar);
create table data.sessions (client_id varchar, week_index integer, status varchar);
create table data.alliance (client_id varchar, week_index integer, instrument varchar,
    client_total double, gap_total double);
create table data.ruptures (client_id varchar, onset_week integer, method varchar,
    strength varchar);
"""
WEEK = st.one_of(st.none(), st.integers(0, 3))
SCORE = st.one_of(st.none(), st.sampled_from([0.0, 1.5, 10 / 3, 12.0]))
PERSON = st.fixed_dictionaries(
    {
        "sex": st.sampled_from(["female", "male"]),
        "state": st.sampled_from(["NY", "masked"]),
        "sessions": st.lists(
            st.tuples(WEEK, st.sampled_from([None, "attended", "no_show"])), max_size=8
        ),
        "alliance": st.lists(
            st.tuples(WEEK, st.sampled_from(["SRS", "WAI-SR"]), SCORE, SCORE),
            max_size=6,
        ),
        "ruptures": st.lists(
            st.tuples(
                WEEK,
                st.sampled_from(["default_rc3", "cusum"]),
                st.sampled_from([None, "possible"]),
            ),
            max_size=2,
        ),
    }
)
Rows = list[dict]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("set threads = 1")
        con.execute(_SCHEMA)
        yield con


def lay(con: duckdb.DuckDBPyConnection, persons: Rows) -> None:
    con.execute("delete from data.clients")
    clients = [(name(i), p["sex"], p["state"]) for i, p in enumerate(persons)]
    con.execute("insert into data.clients values " + values(clients))
    for table in ("sessions", "alliance", "ruptures"):
        rows = [(name(i), *row) for i, p in enumerate(persons) for row in p[table]]
        con.execute(f"delete from data.{table}")
        if rows:
            con.execute(f"insert into data.{table} values " + values(rows))


def values(rows: list[tuple]) -> str:
    """Rows as SQL: a thousand times cheaper here than a statement a row."""
    said = [["null" if v is None else repr(v) for v in row] for row in rows]
    return ", ".join(f"({', '.join(row)})" for row in said)


def name(place: int) -> str:
    return f"P{place:015d}"


def said_points(person: dict) -> list[str]:
    """Everything an acquaintance may remember, as words, in the order of the words."""

    def at(week: int | None) -> str:
        return "" if week is None else str(week)

    found = {f"s|{at(w)}|{status}" for w, status in person["sessions"] if status}
    for week, instrument, total, gap in person["alliance"]:
        for column, score in (("client_total", total), ("gap_total", gap)):
            if score is not None:
                found.add(f"a|{instrument}|{at(week)}|{column}|{score}")
    for week, method, strength in person["ruptures"]:
        found.add(f"r|{method}|{at(week)}")
        if strength:
            found.add(f"r|{method}|{at(week)}|{strength}")
    return sorted(found)


def known_triples(place: int, points: list[str]) -> list[tuple[str, ...]]:
    """All sets of three points, or fifty drawn; fewer points are all of them."""
    if len(points) <= KNOWN_POINTS:
        return [tuple(points)]
    every = sorted(combinations(range(len(points)), 3), key=lambda t: t[::-1])
    if len(every) > MAX_TRIPLES:
        seed = int(hashlib.sha256(f"{DIGEST}{name(place)}".encode()).hexdigest()[:16], 16)  # fmt: skip
        draw = np.random.Generator(np.random.PCG64(seed))
        assert len(every) == comb(len(points), 3)
        every = [every[i] for i in draw.choice(len(every), MAX_TRIPLES, replace=False)]
    return [tuple(points[i] for i in triple) for triple in every]


def attacked(persons: Rows) -> tuple[list[float], list[float]]:
    """Each person's risk by points alone, and by points with the quasi-identifiers."""
    held = [said_points(person) for person in persons]
    alone, joint = [], []
    for place, person in enumerate(persons):
        triples = known_triples(place, held[place])
        found = [
            [i for i, others in enumerate(held) if set(triple) <= set(others)]
            for triple in triples
        ]
        same = [
            sum(
                (persons[i]["sex"], persons[i]["state"])
                == (person["sex"], person["state"])
                for i in matches
            )
            for matches in found
        ]
        alone.append(sum(1 / len(matches) for matches in found) / len(triples))
        joint.append(sum(1 / n for n in same) / len(triples))
    return alone, joint


@settings(max_examples=40, deadline=None)
@given(st.lists(PERSON, min_size=1, max_size=30))
def test_the_risk_is_what_an_attackers_own_program_finds(
    con: duckdb.DuckDBPyConnection, persons: Rows
) -> None:
    alone, joint = attacked(persons)
    lay(con, persons)
    found = risk.measure_trajectory(con, DIGEST, ["sex", "state"])
    is_safe = risk.is_course_safe(con, DIGEST, ["sex", "state"], 0.2)
    assert found.risks == pytest.approx(alone)
    assert found.mean == pytest.approx(sum(alone) / len(alone), abs=1e-6)
    assert found.joint_mean == pytest.approx(sum(joint) / len(joint), abs=1e-6)
    assert found.joint_max == pytest.approx(max(joint), abs=1e-6)
    assert is_safe == (found.mean <= 0.05 and found.joint_mean <= 0.2)


def test_many_persons_are_counted_as_by_hand(con: duckdb.DuckDBPyConnection) -> None:
    """More holders than a machine word has bits, and courses so alike that they are safe."""
    draw = np.random.default_rng(8)

    def person(n_weeks: int) -> dict:
        return {
            "sex": str(draw.choice(["female", "male"])),
            "state": "NY",
            "sessions": [(w, str(draw.choice(["attended", "no_show"], p=[0.9, 0.1])))
                         for w in range(n_weeks)],
            "alliance": [], "ruptures": [],
        }  # fmt: skip

    persons = [person(7) for _ in range(150)]
    alone, joint = attacked(persons)
    lay(con, persons)
    found = risk.measure_trajectory(con, DIGEST, ["sex", "state"])
    assert risk.is_course_safe(con, DIGEST, ["sex", "state"], None)
    assert not risk.is_course_safe(con, DIGEST, ["sex", "state"], 0.001)
    assert found.risks == pytest.approx(alone)
    assert found.joint_mean == pytest.approx(sum(joint) / len(joint), abs=1e-6)
    assert found.mean <= 0.05
