"""What each model says of how a night computes it, held against what it reads (ADR 0007)."""

import re
from functools import cache
from pathlib import Path

import yaml

from conftest import ROOT
from rapport.warehouse.increment import COUNTED_BY_MONTH, MONTHLY

MODELS = ROOT / "dbt_project" / "models"
REF = re.compile(r"ref\('(\w+)'\)")
# Models of one client that ask what day it is. Each date that may pass between two nights
# is looked for in warehouse/increment.py (`_dates_passed`): a new model here needs its own.
ASK_THE_DAY = {
    "int_administration__timed": "a form dated after the last night",
    "int_episode__derived": "the gap after the last attended session",
    "int_episode__dropout": "inactivity after it; a booking whose day has come",
    "int_episode__reported": "an opening date",
    "int_episode__span": "a closing date",
    "int_goal__placed": "a goal dated after the last night",
    "int_session__counted": "a session dated after the last night",
    "int_signal__silence": "silence after the last attended session",
    "fct_diagnosis": "a diagnosis recorded after the last night",
    "fct_rupture": "none: stamps what is new tonight",
    "fct_care_signal": "none: stamps what is new or gone tonight",
}


@cache
def models() -> dict[str, tuple[str, dict[str, object]]]:
    """Return name -> (SQL, yml entry) of every model but staging."""
    found = {}
    for path in sorted(MODELS.rglob("*.sql")):
        if "staging" not in path.parts:
            said = yaml.load(
                path.with_suffix(".yml").read_text("utf-8"), yaml.CSafeLoader
            )
            (entry,) = [m for m in said["models"] if m["name"] == path.stem]
            found[path.stem] = (path.read_text("utf-8"), entry)
    assert len(found) > 100
    return found


def meta_of(entry: dict[str, object]) -> dict[str, str]:
    return entry.get("config", {}).get("meta", {})


def breaches(found: dict[str, tuple[str, dict[str, object]]]) -> list[str]:
    computed = {
        name: meta_of(entry).get("computed") for name, (_, entry) in found.items()
    }
    replaced = {n for n, (_, entry) in found.items() if "replaced_by" in meta_of(entry)}
    wrong = []
    for name, (sql, entry) in found.items():
        kind = computed[name]
        if kind not in ("per_client", "reference", "aggregate"):
            wrong.append(f"{name} does not say how it is computed")
        for read in REF.findall(sql):
            if read not in found:  # a seed, or staging
                if (
                    read.startswith("stg_")
                    and kind == "per_client"
                    and "touched=" not in sql
                ):
                    wrong.append(f"{name} reads all of {read}")
            elif kind == "reference" and computed[read] != "reference":
                wrong.append(f"{name} is small, and reads {read}")
            elif kind == "per_client" and (
                read in replaced - {"int_finding__client"}
                or computed[read] == "aggregate"
            ):
                wrong.append(f"{name} is of touched clients, and reads all of {read}")
            elif (
                kind == "aggregate"
                and computed[read] == "per_client"
                and read not in replaced
            ):
                wrong.append(f"{name} is over all, and reads {read} of touched clients")
        column = meta_of(entry).get("replaced_by")
        if column and column not in {c["name"] for c in entry["columns"]}:
            wrong.append(f"{name} has no {column} to replace rows by")
    return wrong


def test_every_model_says_how_it_is_computed_and_reads_what_it_may() -> None:
    assert breaches(models()) == []


def test_published_tables_of_clients_say_by_what_their_rows_are_replaced() -> None:
    published = {path.stem for path in (MODELS / "marts").rglob("*.sql")}
    silent = [
        name
        for name, (_, entry) in models().items()
        if name in published
        and meta_of(entry).get("computed") == "per_client"
        and "replaced_by" not in meta_of(entry)
    ]
    assert silent == []


def test_a_breach_is_seen() -> None:
    found = dict(models())
    sql, entry = found["trajectory_by_session"]
    found["trajectory_by_session"] = (sql + "ref('int_session__timed')", entry)
    found["fct_stall"] = (
        found["fct_stall"][0] + "ref('fct_session')",
        found["fct_stall"][1],
    )
    found["int_stall__score"] = (found["int_stall__score"][0], {})
    said = breaches(found)
    assert any("trajectory_by_session is over all" in line for line in said)
    assert any("fct_stall is of touched clients" in line for line in said)
    assert "int_stall__score does not say how it is computed" in said


def test_months_are_counted_from_tables_that_tell_which_months_moved() -> None:
    """Else a number would stand though what it counts has changed (ADR 0070)."""
    found = models()
    compared = {name.rpartition(".")[2] for name in COUNTED_BY_MONTH}
    # What months, clinics, instruments and methods there are is compared whole.
    whole = {"int_qi__month", "int_qi__clinic", "int_qi__moved_month"}
    monthly = [
        n for n, (_, e) in found.items() if meta_of(e).get("replaced_by") == "month"
    ]
    assert sorted(monthly) == MONTHLY
    unread, silent = list(monthly), []
    while unread:
        sql, _ = found[unread.pop()]
        read = set(REF.findall(sql)) & set(found) - compared - whole
        silent += [name for name in read if "replaced_by" in meta_of(found[name][1])]
        unread += read
        assert "where_moved(" in sql
    assert silent == []


def test_the_models_of_a_client_that_ask_what_day_it_is_are_known() -> None:
    asking = {
        name
        for name, (sql, entry) in models().items()
        if meta_of(entry).get("computed") == "per_client"
        and ("as_of()" in sql or "source('control', 'run')" in sql)
    }
    assert asking == set(ASK_THE_DAY)


def test_only_times_that_hang_on_a_zone_read_clinics_and_therapists() -> None:
    """Else a clinic's change would touch more than `_lay_moved_zones` looks for."""
    readers = {
        name
        for name, (sql, entry) in models().items()
        if meta_of(entry).get("computed") == "per_client"
        and {"int_clinic__current", "int_therapist__current"} & set(REF.findall(sql))
    }
    assert readers == {"int_session__timed", "int_administration__timed"}


def test_keys_of_versions_are_those_that_an_increment_looks_for() -> None:
    from rapport.warehouse.increment import PAIR_TABLES, PERSON_TABLES

    asked = {}
    for path in Path(MODELS / "intermediate").rglob("*__current.sql"):
        said = re.search(
            r"current_version\('stg_\w+', '(\w+)', \[([^\]]+)\]", path.read_text()
        )
        if said:
            asked[said[1]] = said[2].replace("'", "").split(", ")
    tables = set(PERSON_TABLES) | {
        "measure_items",
        "client_merges",
        "clinics",
        "therapists",
    }
    assert set(asked) == tables
    assert {t: asked[t][0] for t in PERSON_TABLES} == {
        t: keys[0] for t, keys in PERSON_TABLES.items()
    }
    assert set(PAIR_TABLES) == {"client_merges", "client_links"}
