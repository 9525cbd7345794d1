"""A public export that nobody here made, through a mapping file and a whole night."""

import csv
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from conftest import ROOT, Home

EXPORT = ROOT / "tests" / "fixtures" / "omop_cdm"
# Eunomia has inpatient visits only, and no provider: what a clinic of this kind would say.
MAPPING = """
extends = "omop_cdm"

[[file]]
match = "visit_occurrence.*"
table = "sessions"
constants = { status = "attended", therapist_id = "not recorded" }
filter = []
"""
AS_OF = "2026-06-30"


def raw(name: str) -> list[dict[str, str]]:
    with (EXPORT / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home after the night of the export."""
    home = Home(tmp_path_factory.mktemp("eunomia") / "home")
    (home.path / "mappings").mkdir(parents=True)
    (home.path / "mappings" / "eunomia.toml").write_text(MAPPING)
    files: dict[str, str | bytes] = {
        path.name: path.read_bytes() for path in EXPORT.glob("*.csv")
    }
    home.deliver("2024-01-01", files, source="eunomia")
    home.run("night", "--as-of", AS_OF)
    return home


def ask(home: Home, sql: str) -> list[tuple]:
    path = home.path / "published" / "rapport.duckdb"
    with duckdb.connect(path, read_only=True) as con:
        return con.execute(sql).fetchall()


def test_every_person_is_a_client_with_what_the_export_says(night: Home) -> None:
    people = raw("person")
    sexes = {"M": "male", "F": "female"}
    expected = Counter(
        (int(p["YEAR_OF_BIRTH"]), sexes[p["GENDER_SOURCE_VALUE"]]) for p in people
    )
    assert (
        Counter(ask(night, "select birth_year, sex from core.dim_client")) == expected
    )
    races = Counter(
        "hispanic"
        if p["ETHNICITY_CONCEPT_ID"] == "38003563"
        else "unknown"
        if p["RACE_CONCEPT_ID"] == "0"
        else p["RACE_SOURCE_VALUE"]
        for p in people
    )
    assert (
        dict(ask(night, "select race_group, count(*) from core.dim_client group by 1"))
        == races
    )


def test_every_visit_is_a_session_on_its_day(night: Home) -> None:
    visits = raw("visit_occurrence")
    found = ask(night, "select session_date::varchar, status from core.fct_session")
    assert Counter(found) == Counter(
        (v["VISIT_START_DATE"], "attended") for v in visits
    )
    firsts = {}
    for v in visits:
        person = v["PERSON_ID"]
        firsts[person] = min(firsts.get(person, "9"), v["VISIT_START_DATE"])
    dates = ask(night, "select first_session_date::varchar from core.dim_client")
    assert Counter(d for (d,) in dates) == Counter(firsts.values())


def test_visits_more_than_ninety_days_apart_are_episodes_of_their_own(
    night: Home,
) -> None:
    by_person: dict[str, list[date]] = {}
    for v in raw("visit_occurrence"):
        day = date.fromisoformat(v["VISIT_START_DATE"])
        by_person.setdefault(v["PERSON_ID"], []).append(day)
    n_episodes = 0
    for days in by_person.values():
        days.sort()
        n_episodes += 1 + sum((b - a).days > 90 for a, b in pairwise(days))
    assert ask(night, "select count(*) from core.fct_episode") == [(n_episodes,)]


def test_every_row_of_the_export_is_accounted_for(night: Home) -> None:
    ledger = ask(
        night,
        "select table_name, sum(rows_in), sum(rows_loaded), sum(rows_filtered),"
        " bool_and(rows_in = rows_loaded + rows_quarantined + rows_filtered + rows_footer"
        " + rows_blank) from ops.row_ledger group by 1 order by 1",
    )
    n = {name: len(raw(name)) for name in
         ("person", "visit_occurrence", "condition_occurrence", "observation", "measurement")}  # fmt: skip
    answers = n["observation"] + n["measurement"]
    assert ledger == [
        ("clients", n["person"], n["person"], 0, True),
        ("diagnoses", n["condition_occurrence"], n["condition_occurrence"], 0, True),
        ("measure_items", answers, 0, answers, True),
        ("measures", answers, 0, answers, True),
        ("sessions", n["visit_occurrence"], n["visit_occurrence"], 0, True),
    ]
    assert ask(night, "select count(*) from core.fct_measure_score") == [(0,)]


def test_no_id_of_the_export_is_published(night: Home) -> None:
    published = (night.path / "published" / "rapport.duckdb").read_bytes()
    for person in raw("person"):
        assert person["PERSON_SOURCE_VALUE"].encode() not in published
    assert Path(night.path / "dashboard" / "index.html").exists()
