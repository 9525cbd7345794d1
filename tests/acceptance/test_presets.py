"""Each preset on a public or a documented sample, against facts counted from the raw files."""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from statistics import fmean

import pytest

from conftest import ROOT
from lib.doors import Doorway

FIXTURES = ROOT / "tests" / "fixtures"


@pytest.fixture
def door(tmp_path: Path) -> Doorway:
    return Doorway(tmp_path / "home")


def raw(path: str, delimiter: str = ",") -> list[dict[str, str]]:
    """Read a raw file as plain rows: no code of rapport is in the way."""
    with (FIXTURES / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def resources(folder: str) -> dict[str, list[dict]]:
    """Read a folder's FHIR files as plain JSON: type -> its resources, Bundles opened."""
    waiting = []
    for path in sorted((FIXTURES / folder).glob("*json")):
        text = path.read_text("utf-8")
        lines = text.splitlines() if path.suffix == ".ndjson" else [text]
        waiting += [json.loads(line) for line in lines]
    found: dict[str, list[dict]] = {}
    while waiting:
        said = waiting.pop()
        if said["resourceType"] == "Bundle":
            waiting += [entry["resource"] for entry in said["entry"]]
        else:
            found.setdefault(said["resourceType"], []).append(said)
    return found


def codes(concept: dict) -> set[str]:
    return {coding["code"] for coding in concept["coding"]}


def totals(rows: Iterable[dict], instrument: str) -> list[float | None]:
    return [r["total_reported"] for r in rows if r["instrument"] == instrument]


def test_synthea(door: Doorway) -> None:
    door.take("synthea_csv", FIXTURES / "synthea_csv")
    patients, encounters = (
        raw("synthea_csv/patients.csv"),
        raw("synthea_csv/encounters.csv"),
    )
    observed = raw("synthea_csv/observations.csv")
    planned = [e for e in encounters
               if e["ENCOUNTERCLASS"] in ("ambulatory", "outpatient", "virtual", "wellness")]  # fmt: skip

    clients, sessions = door.rows("clients"), door.rows("sessions")
    assert Counter(c["birth_year"] for c in clients) == Counter(
        int(p["BIRTHDATE"][:4]) for p in patients
    )
    assert Counter(c["state"] for c in clients) == {"MA": len(patients)}
    assert {c["race"] for c in clients} == {"white", "black", "asian", "pacific"}
    assert {c["zip3"] for c in clients} == {"021", "000", None}
    assert len(sessions) == len(planned) < len(encounters)
    assert Counter(s["started_at_wall"] for s in sessions) == Counter(
        datetime.fromisoformat(e["START"]).replace(tzinfo=None) for e in planned
    )
    assert {s["started_at_offset_minutes"] for s in sessions} == {0}
    assert Counter(s["delivery_mode"] for s in sessions)["video"] == sum(
        e["ENCOUNTERCLASS"] == "virtual" for e in planned
    )
    assert Counter(d["status"] for d in door.rows("diagnoses")) == Counter(
        "resolved" if c["STOP"] else "active" for c in raw("synthea_csv/conditions.csv")
    )
    for instrument, code in (
        ("PHQ-9", "44261-6"),
        ("GAD-7", "70274-6"),
        ("unknown", "55758-7"),
    ):
        expected = [float(o["VALUE"]) for o in observed if o["CODE"] == code]
        found = totals(door.rows("measures"), instrument)
        assert len(found) == len(expected) > 5
        assert fmean(found) == pytest.approx(fmean(expected))


def test_omop_keeps_visits_through_a_renumbering_and_lost_values_null(
    door: Doorway,
) -> None:
    door.take("omop_cdm", FIXTURES / "omop_forms")
    visits, observed = (
        raw("omop_forms/visit_occurrence.csv"),
        raw("omop_forms/observation.csv"),
    )
    outpatient = [v for v in visits if v["visit_concept_id"] == "9202"]
    sessions = door.rows("sessions")
    assert len(sessions) == len({s["session_key"] for s in sessions}) == len(outpatient)

    lost = [o for o in observed if o["observation_source_value"] == "44261-6"
            and not (o["value_as_number"] or o["value_as_string"])]  # fmt: skip
    given = [float(o["value_as_number"]) for o in observed
             if o["observation_source_value"] == "44261-6" and o["value_as_number"]]  # fmt: skip
    found = totals(door.rows("measures"), "PHQ-9")
    assert len(lost) == 3
    assert sorted(t for t in found if t is not None) == sorted(given)
    assert found.count(None) == len(lost)
    gad = [float(o["value_as_string"]) for o in observed
           if o["observation_source_value"] == "70274-6"]  # fmt: skip
    assert sorted(totals(door.rows("measures"), "GAD-7")) == sorted(gad)
    # Two items alone are a PHQ-2, not a PHQ-9 with seven missing.
    assert totals(door.rows("measures"), "unknown") == [None, None, None]
    assert len(door.rows("measure_items")) == 3 * 9 + 3 * 2

    # The ETL runs again and numbers everything anew: the same keys.
    renumbered = {
        path.name: path.read_text("utf-8")
        for path in (FIXTURES / "omop_forms").glob("*.csv")
    }
    for name, column in (
        ("visit_occurrence.csv", "visit_occurrence_id"),
        ("person.csv", "person_id"),
    ):
        for row in raw(f"omop_forms/{name}"):
            old = row[column]
            for file in ("person.csv", "visit_occurrence.csv", "observation.csv"):
                lines = renumbered[file].splitlines(keepends=True)
                renumbered[file] = "".join(
                    line.replace(f",{old},", f",8{old},", 1)
                    if not line.startswith(f"{old},")
                    else f"8{line}"
                    for line in lines
                )
    before = {s["session_key"] for s in sessions}
    door.take("omop_cdm", dict(renumbered), "d2")
    assert {s["session_key"] for s in door.rows("sessions")} == before


def test_pmhc_mds(door: Doorway) -> None:
    door.take("pmhc_mds", FIXTURES / "pmhc_mds")
    contacts, k10 = raw("pmhc_mds/service-contacts.csv"), raw("pmhc_mds/k10p.csv")
    clients, sessions = door.rows("clients"), door.rows("sessions")
    assert set(door.client_ids().values()) == {
        f"{c['organisation_path']}|{c['client_key']}"
        for c in raw("pmhc_mds/clients.csv")
    }
    assert Counter(c["birth_year"] for c in clients) == {
        1980: 1,
        1983: 1,
        1990: 1,
        None: 1,
    }

    held = [
        c
        for c in contacts
        if not c["delete"] and c["service_contact_participants"] != "4"
    ]
    live = [s for s in sessions if not s["deleted"]]
    assert len(live) == len({s["session_key"] for s in live}) == len(held)
    assert [s["deleted"] for s in sessions].count(True) == 1
    assert Counter(s["started_at_wall"].date() for s in live) == Counter(
        datetime.strptime(c["service_contact_date"].zfill(8), "%d%m%Y").date()
        for c in held
    )
    assert Counter(s["status"] for s in live) == Counter(
        "no_show" if c["service_contact_no_show"] == "1" else "attended" for c in held
    )
    assert sum(s["started_at_is_date"] for s in live) == sum(
        not c["service_contact_start_time"] for c in held
    )
    assert {s["ended_at_wall"] for s in sessions} == {
        None
    }  # a band of time is no minutes
    primary = {(p["organisation_path"], p["service_contact_key"]): p["practitioner_key"]
               for p in raw("pmhc_mds/service-contact-practitioners.csv")
               if p["primary_practitioner_indicator"] == "1"}  # fmt: skip
    assert len({s["therapist_key"] for s in live}) == len(
        {(c["organisation_path"], primary[c["organisation_path"], c["service_contact_key"]])
         for c in held}
    )  # fmt: skip

    given = [float(r["k10p_score"]) for r in k10 if r["k10p_score"] != "99"]
    found = totals(door.rows("measures"), "unknown")
    assert sorted(t for t in found if t is not None) == sorted(given)
    assert found.count(None) == len(k10) - len(given)
    answers = [r[f"k10p_item{n}"] for r in k10 for n in range(1, 11)]
    items = [i["value"] for i in door.rows("measure_items")]
    assert len(items) == len(answers) == 80
    assert items.count(None) == answers.count("9")
    ids = door.client_ids()
    occasions = {(o["organisation_path"], o["collection_occasion_key"]): o["episode_key"]
                 for o in raw("pmhc_mds/collection-occasions.csv")}  # fmt: skip
    episodes = {(e["organisation_path"], e["episode_key"]): e["client_key"]
                for e in raw("pmhc_mds/episodes.csv")}  # fmt: skip
    assert Counter(ids[m["client_key"]] for m in door.rows("measures")) == Counter(
        f"{o}|{episodes[o, occasions[o, r['collection_occasion_key']]]}"
        for r in k10
        for o in [r["organisation_path"]]
    )
    assert Counter(e["closure_reason"] for e in door.rows("episodes")) == {
        "completed": 1, "dropped_out": 1, None: 2,
    }  # fmt: skip


def test_redcap_flat(door: Doorway) -> None:
    door.take("redcap", FIXTURES / "redcap")
    rows = raw("redcap/export_flat.csv")
    phq = [r for r in rows if any(r[f"phq9_{n}"] for n in range(1, 10))]
    wai = [r for r in rows if any(r[f"wai_sr_{n}"] for n in range(1, 13))]
    measures = door.rows("measures")
    assert Counter((m["instrument"], m["rater"]) for m in measures) == {
        ("PHQ-9", "client"): len(phq), ("WAI-SR", "client"): len(wai),
    }  # fmt: skip
    assert fmean(totals(measures, "PHQ-9")) == pytest.approx(
        fmean(float(r["phq9_total"]) for r in phq)
    )
    items = [i["value"] for i in door.rows("measure_items")]
    said = [float(r[f"{p}_{n}"]) for part, p, k in ((phq, "phq9", 9), (wai, "wai_sr", 12))
            for r in part for n in range(1, k + 1) if r[f"{p}_{n}"] != "-99"]  # fmt: skip
    assert sum(v for v in items if v is not None) == sum(said)
    assert items.count(None) == 1
    assert len(door.rows("clients")) == len({r["record_id"] for r in rows})
    assert len(door.rows("sessions")) == sum(bool(r["session_date"]) for r in rows)
    assert {
        m["administered_at_is_date"] for m in measures if m["instrument"] == "PHQ-9"
    } == {True}


def test_redcap_long(door: Doorway) -> None:
    door.take("redcap", FIXTURES / "redcap_long")
    rows = raw("redcap_long/export_eav.csv")
    visits = {(r["record"], r["redcap_event_name"]): r["value"] for r in rows
              if r["field_name"] == "visit_date"}  # fmt: skip
    answers = [float(r["value"]) for r in rows
               if r["field_name"].startswith("phq9_") and r["field_name"][-1].isdigit()]  # fmt: skip
    measures = door.rows("measures")
    assert len(measures) == len(visits)
    assert Counter(str(m["administered_at_wall"].date()) for m in measures) == Counter(
        visits.values()
    )
    items = [i["value"] for i in door.rows("measure_items")]
    assert (len(items), sum(items)) == (len(answers), sum(answers))


def test_a_wide_sheet_with_a_column_an_item(door: Doorway) -> None:
    door.take("wide_measures", FIXTURES / "wide_measures")
    rows = raw("wide_measures/questionnaires.csv")
    filled = {
        ("PHQ-9", "client"): [
            r for r in rows if any(r[f"phq9_{n}"] for n in range(1, 10))
        ],
        ("WAI-SR", "therapist"): [r for r in rows if r["wai_srt_1"]],
        ("ORS", "client"): [r for r in rows if r["ors_total"]],
    }
    measures = door.rows("measures")
    assert Counter((m["instrument"], m["rater"]) for m in measures) == {
        form: len(part) for form, part in filled.items()
    }
    values = [i["value"] for i in door.rows("measure_items") if i["value"] is not None]
    said = [float(cell) for r in rows for name, cell in r.items()
            if cell and (name.startswith("wai_srt_") or name in {f"phq9_{n}" for n in range(1, 10)})]  # fmt: skip
    assert (len(values), sum(values)) == (len(said), sum(said))


def test_a_wide_sheet_with_a_column_a_session(door: Doorway) -> None:
    door.take("wide_measures", FIXTURES / "wide_measures_by_session")
    rows = raw("wide_measures_by_session/phq_by_session.csv")
    said = [(r[f"date_s{n}"], float(r[f"PHQ9 S{n}"])) for r in rows for n in range(1, 5)
            if r[f"PHQ9 S{n}"]]  # fmt: skip
    found = [(str(m["administered_at_wall"].date()), m["total_reported"])
             for m in door.rows("measures")]  # fmt: skip
    assert Counter(found) == Counter(said)
    assert len(said) > 10


def test_simplepractice(door: Doorway) -> None:
    door.take("simplepractice", FIXTURES / "simplepractice")
    rows = raw("simplepractice/appointment-status-report.csv")
    visits = {(r["Appointment ID"], r["Client ID"]): r for r in rows if r["Client ID"]}
    sessions = door.rows("sessions")
    assert (
        len(sessions) == len(visits) == 18
    )  # a group's appointment: a session a client
    assert Counter(s["started_at_wall"] for s in sessions) == Counter(
        datetime.strptime(
            f"{r['Date of Service']} {r['Start Time']}", "%m/%d/%Y %I:%M %p"
        )
        for r in visits.values()
    )
    assert Counter(s["status"] for s in sessions)["attended"] == sum(
        r["Appointment Status"] == "Show" for r in visits.values()
    )
    assert {s["service_code"] for s in sessions} == {"90837", "90853"}
    assert next(row for row in door.ledger() if row[0] == "sessions")[5] == 1  # Totals


def test_therapynotes(door: Doorway) -> None:
    door.take("therapynotes", FIXTURES / "therapynotes")
    rows = raw("therapynotes/appointments.csv")
    visits = {
        r["Appointment ID"]: r
        for r in rows
        if r["Appointment Type"] == "Therapy Session"
    }
    sessions = door.rows("sessions")
    assert len(sessions) == len(visits) < len(rows)
    assert {s["ended_at_wall"] - s["started_at_wall"] for s in sessions} == {
        datetime(2024, 1, 1, 0, 50) - datetime(2024, 1, 1)
    }
    assert set(door.client_ids().values()) == {r["Patient ID"] for r in visits.values()}
    assert Counter(s["status"] for s in sessions)["attended"] == sum(
        r["Status"] == "Completed" for r in visits.values()
    )


def test_epic_clarity(door: Doorway) -> None:
    door.take("epic_clarity", FIXTURES / "epic_clarity")
    encounters = raw("epic_clarity/PAT_ENC.tsv", "\t")
    answers = raw("epic_clarity/IP_FLWSHT_MEAS.tsv", "\t")
    sessions = door.rows("sessions")
    assert Counter(s["started_at_wall"] for s in sessions) == Counter(
        datetime.strptime(
            e["CONTACT_DATE"] if e["APPT_TIME"] == "NULL" else e["APPT_TIME"],
            "%m/%d/%Y %I:%M:%S %p",
        )
        for e in encounters
    )
    assert Counter(s["delivery_mode"] for s in sessions)["video"] == sum(
        e["TELEHEALTH_MODE_C_NAME"] == "Video"
        for e in raw("epic_clarity/PAT_ENC_2.tsv", "\t")
    )
    assert {d["code"] for d in door.rows("diagnoses")} == {"F33.1", "F43.10"}
    said = [float(a["MEAS_VALUE"]) for a in answers if a["FLO_MEAS_ID"] == "phq9_total"]
    assert sorted(totals(door.rows("measures"), "PHQ-9")) == sorted(said)
    items = [i["value"] for i in door.rows("measure_items")]
    assert sum(items) == sum(said)
    assert len(items) == 36


def test_fhir_bundles_and_bulk_files_of_synthea(door: Doorway) -> None:
    door.take("fhir_r4", FIXTURES / "fhir_r4")
    raw_resources = resources("fhir_r4")
    patients, encounters, conditions = (
        raw_resources[kind] for kind in ("Patient", "Encounter", "Condition")
    )
    clients, sessions = door.rows("clients"), door.rows("sessions")
    key_of = {id_: key for key, id_ in door.client_ids().items()}

    assert {c["client_key"] for c in clients} == {key_of[p["id"]] for p in patients}
    assert Counter(c["birth_year"] for c in clients) == Counter(
        int(p["birthDate"][:4]) for p in patients
    )
    assert Counter((c["sex"], c["zip3"], c["state"]) for c in clients) == Counter(
        (p["gender"], p["address"][0]["postalCode"][:3], "MA") for p in patients
    )
    # US Core: the two Bundles say no race; one Patient has an ethnicity's code there.
    said_race = Counter(
        e["extension"][0]["valueCoding"]["code"]
        for p in patients for e in p["extension"] if e["url"].endswith("us-core-race")
    )  # fmt: skip
    races = Counter(c["race"] for c in clients)
    assert said_race == {"2106-3": 8, "2135-2": 1}
    assert races == {"white": 8, "unknown": 1, None: len(patients) - 9}
    assert door.notices()[("clients", "race", "code_unknown")] == said_race["2135-2"]

    # A subject is a urn:uuid of its Bundle; a practitioner a conditional reference.
    assert Counter(
        (s["client_key"], s["started_at_wall"]) for s in sessions
    ) == Counter(
        (
            key_of[e["subject"]["reference"].removeprefix("urn:uuid:")],
            datetime.fromisoformat(e["period"]["start"]).replace(tzinfo=None),
        )
        for e in encounters
    )
    assert {s["started_at_offset_minutes"] for s in sessions} == {10 * 60}
    minutes = [(s["ended_at_wall"] - s["started_at_wall"]).total_seconds() / 60
               for s in sessions]  # fmt: skip
    said_minutes = [
        (datetime.fromisoformat(e["period"]["end"])
         - datetime.fromisoformat(e["period"]["start"])).total_seconds() / 60
        for e in encounters
    ]  # fmt: skip
    assert fmean(minutes) == pytest.approx(fmean(said_minutes))
    assert sorted(Counter(s["therapist_key"] for s in sessions).values()) == sorted(
        Counter(e["participant"][0]["individual"]["reference"] for e in encounters).values()
    )  # fmt: skip

    assert Counter((d["code"], d["status"], str(d["recorded_on"]))
                   for d in door.rows("diagnoses")) == Counter(
        (c["code"]["coding"][0]["code"], c["clinicalStatus"]["coding"][0]["code"],
         c["recordedDate"][:10])
        for c in conditions
    )  # fmt: skip
    not_wanted = sum(map(len, raw_resources.values())) - sum(
        map(len, (patients, encounters, conditions))
    )
    assert door.notices()[("none", "", "resource_not_wanted")] == not_wanted > 20
    assert sum(row[1] for row in door.ledger()) == sum(map(len, raw_resources.values()))


def test_fhir_visits_of_every_status(door: Doorway) -> None:
    door.take("fhir_r4", FIXTURES / "fhir_forms")
    raw_resources = resources("fhir_forms")
    encounters = raw_resources["Encounter"]
    named = {ref["reference"] for e in encounters for ref in e.get("appointment", [])}
    booked = [a for a in raw_resources["Appointment"]
              if f"Appointment/{a['id']}" not in named and a["status"] != "proposed"]  # fmt: skip
    sessions = door.rows("sessions")
    stood_for = [s for s in sessions if s["deleted"] and s["status"] is None]
    visits = [s for s in sessions if s not in stood_for]

    assert len(stood_for) == len(named) == 1
    assert Counter(s["started_at_wall"] for s in visits) == Counter(
        datetime.fromisoformat(said).replace(tzinfo=None)
        for said in [e["period"]["start"] for e in encounters]
        + [a["start"] for a in booked]
    )
    raw_status = Counter(r["status"] for r in [*encounters, *booked])
    found = Counter(s["status"] for s in visits)
    assert found["attended"] == sum(
        raw_status[s]
        for s in ("arrived", "triaged", "in-progress", "onleave", "finished")
    )
    assert found["no_show"] == raw_status["noshow"] == 1
    assert found["client_cancelled"] + found["clinic_cancelled"] == raw_status["cancelled"]  # fmt: skip
    assert found["clinic_cancelled"] == sum(
        "prov" in codes(a.get("cancelationReason", {"coding": []})) for a in booked
    )
    assert found["scheduled"] == raw_status["planned"] + raw_status["booked"]
    assert found["unknown"] == raw_status["unknown"]
    assert found["voided"] == raw_status["entered-in-error"] == 2
    assert sum(s["deleted"] for s in visits) == found["voided"]
    key_of = {id_: key for key, id_ in door.client_ids().items()}
    # p5 is the urn:uuid of one Encounter, p6 the Patient that a form contains.
    assert set(key_of) == {p["id"] for p in raw_resources["Patient"]}
    assert Counter(s["client_key"] for s in visits)[key_of["p5"]] == 2
    assert {c["race"] for c in door.rows("clients")} == {
        "white", "black", "asian", "other", "native;white", "unknown"
    }  # fmt: skip


def test_fhir_forms_once_however_often_they_are_said(door: Doorway) -> None:
    door.take("fhir_r4", FIXTURES / "fhir_forms")
    raw_resources = resources("fhir_forms")
    points = {"LA6568-5": 0, "LA6569-3": 1, "LA6570-1": 2, "LA6571-9": 3}
    begun = [r for r in raw_resources["QuestionnaireResponse"]
             if r["status"] != "in-progress"]  # fmt: skip
    said_items, said_totals = [], []
    for response in begun:
        answers = [(i["linkId"], i["answer"][0]) for i in response["item"][0]["item"]]
        said_items += [points[a["valueCoding"]["code"]] for _, a in answers if "valueCoding" in a]  # fmt: skip
        said_totals += [a["valueDecimal"] for link, a in answers if link.endswith("/44261-6")]  # fmt: skip

    measures = door.rows("measures")
    phq = totals(measures, "PHQ-9")
    values = [i["value"] for i in door.rows("measure_items")]
    assert len(phq) == len(begun) == 5
    assert sorted(t for t in phq if t is not None) == sorted(said_totals)
    assert phq.count(None) == len(begun) - len(said_totals) == 1
    assert (len(values), sum(values)) == (len(said_items), sum(said_items))
    again = [o for o in raw_resources["Observation"] if o["id"].startswith(("q1-", "q2-"))]  # fmt: skip
    assert door.notices()[("measures", "", "part_of_another")] == len(again) == 12

    for instrument, code in (("GAD-7", "70274-6"), ("PCL-5", "101698-9")):
        said = [o for o in raw_resources["Observation"]
                if code in codes(o["code"]) and o["status"] != "preliminary"]  # fmt: skip
        used = [o for o in said if o["status"] == "final"]
        expected = [
            float(
                o["valueQuantity"]["value"] if "valueQuantity" in o
                else o.get("valueInteger", o.get("valueString", "").split(" / ")[0])
            )
            for o in used if "dataAbsentReason" not in o
        ]  # fmt: skip
        kept = [m for m in measures if m["instrument"] == instrument]
        found = [t for t in totals([m for m in kept if not m["deleted"]], instrument) if t is not None]  # fmt: skip
        assert (len(kept), sum(m["deleted"] for m in kept)) == (len(said), len(said) - len(used))  # fmt: skip
        assert sorted(found) == sorted(expected)
        assert fmean(found) == pytest.approx(fmean(expected))
    assert {m["instrument"] for m in measures} == {"PHQ-9", "GAD-7", "PCL-5"}
    assert door.notices()[("measures", "", "not_an_instrument")] == 1  # the weight
    assert door.notices()[("measures", "", "not_final")] == sum(
        r["status"] in ("in-progress", "preliminary")
        for r in raw_resources["QuestionnaireResponse"] + raw_resources["Observation"]
    )
