"""FHIR R4 through the door: what is read, linked, counted once, refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Home
from lib.fhir_doors import Loaded, through_the_door

LOINC = "http://loinc.org"
DAY = "2026-03-02T10:00:00-05:00"
PHQ9 = [
    "44250-9",
    "44255-8",
    "44259-0",
    "44254-1",
    "44251-7",
    "44258-2",
    "44252-5",
    "44253-3",
    "44260-8",
]
Resource = dict[str, Any]


def patient(id_: str = "p1", **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id_, **more}


def encounter(id_: str = "e1", subject: str = "Patient/p1", **more: Any) -> Resource:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": subject},
        "participant": [{"individual": {"reference": "Practitioner/t1"}}],
        "period": {"start": DAY, "end": "2026-03-02T10:50:00-05:00"},
        **more,
    }


def observation(
    id_: str, code: str, subject: str = "Patient/p1", system: str = LOINC, **more: Any
) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": subject},
        "effectiveDateTime": DAY,
        **more,
    }


def response(id_: str, items: list[Resource], **more: Any) -> Resource:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": id_,
        "status": "completed",
        "questionnaire": "http://x.example/Questionnaire/phq-9|1.0",
        "subject": {"reference": "Patient/p1"},
        "source": {"reference": "Patient/p1"},
        "authored": DAY,
        "item": items,
        **more,
    }


def item(link_id: str, value: Any = 1) -> Resource:
    return {"linkId": link_id, "answer": [value if isinstance(value, dict) else {"valueInteger": value}]}  # fmt: skip


def lines(*resources: Resource) -> str:
    return "".join(json.dumps(r) + "\n" for r in resources)


def bundle(*resources: Resource, kind: str = "collection", **more: Any) -> str:
    entries = [r if "resource" in r else {"resource": r} for r in resources]
    said = {"resourceType": "Bundle", "type": kind, "entry": entries, **more}
    return json.dumps(said, indent=1)


# name of the source -> its deliveries, each a dictionary of files
CASES: dict[str, list[dict[str, str]]] = {}
CHECKS: dict[str, Callable[[Loaded, str], None]] = {}


def case(*deliveries: dict[str, str], **extra: str) -> Callable[..., Any]:
    """Deliver files under a source of their own, and check what became of them."""

    def keep(check: Callable[[Loaded, str], None]) -> Callable[[Loaded, str], None]:
        CASES[check.__name__] = list(deliveries)
        SOURCES[check.__name__] = f"fhir-{len(CASES)}"
        CHECKS[check.__name__] = check
        if "mapping" in extra:
            MAPPINGS[check.__name__] = extra["mapping"]
        return check

    return keep


MAPPINGS: dict[str, str] = {}
SOURCES: dict[str, str] = {}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    home = Home(tmp_path_factory.mktemp("fhir") / "home")
    (home.path / "mappings").mkdir(parents=True)
    for check, deliveries in CASES.items():
        name = SOURCES[check]
        mapping = 'extends = "fhir_r4"\n' + MAPPINGS.get(check, "")
        (home.path / "mappings" / f"{name}.toml").write_text(mapping)
        for n, files in enumerate(deliveries, start=1):
            home.deliver(f"d{n}", dict(files), source=name)
    return through_the_door(home.path)


def scores(loaded: Loaded, source: str) -> list[tuple]:
    """Return (administration's items, total, deleted) of each form, items by number."""
    items: dict[str, dict[str, float | None]] = {}
    for row in loaded.rows(source, "measure_items"):
        items.setdefault(row["administration_key"], {})[row["item"]] = row["value"]
    found = [
        (
            row["instrument"],
            dict(sorted(items.get(row["administration_key"], {}).items())),
            row["total_reported"],
            bool(row["deleted"]),
        )
        for row in loaded.rows(source, "measures")
    ]
    return sorted(found, key=str)


def statuses(loaded: Loaded, source: str) -> list[str]:
    return sorted(
        row["status"] for row in loaded.rows(source, "sessions") if not row["deleted"]
    )


# --- people and places ---------------------------------------------------------------


US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"


def omb(kind: str, *codes: str) -> Resource:
    return {
        "url": f"{US_CORE}/us-core-{kind}",
        "extension": [
            *({"url": "ombCategory", "valueCoding": {"code": c}} for c in codes),
            {"url": "text", "valueString": "ZZCANARYZZ"},
        ],
    }


@case(
    {
        "Patient.000.ndjson": lines(
            patient(
                birthDate="1980-05-06",
                gender="female",
                name=[{"family": "ZZCANARYZZ"}],
                telecom=[{"value": "ZZCANARYZZ"}],
                text={"div": "ZZCANARYZZ"},
                address=[
                    {
                        "use": "home",
                        "line": ["ZZCANARYZZ"],
                        "postalCode": "10025",
                        "state": "NY",
                    }
                ],
                communication=[
                    {"language": {"coding": [{"code": "es-MX"}]}, "preferred": True}
                ],
                extension=[
                    omb("race", "2106-3", "2028-9"),
                    omb("ethnicity", "2135-2"),
                    {"url": f"{US_CORE}/us-core-birthsex", "valueCode": "M"},
                ],
            ),
            patient("p2", birthDate="1990", gender="unknown"),
        )
    }
)
def a_patient_becomes_a_client_without_name_or_address(
    loaded: Loaded, source: str
) -> None:
    rows = loaded.rows(source, "clients")
    first = next(r for r in rows if r["birth_year"] == 1980)
    assert first["client_key"] == loaded.key("client", source, "p1")
    assert (first["sex"], first["race"], first["ethnicity"]) == (
        "male",
        "asian;white",
        "hispanic",
    )
    assert (first["zip3"], first["state"], first["preferred_language"]) == (
        "100",
        "NY",
        "es",
    )
    assert "ZZCANARYZZ" not in str(rows)
    assert {r["birth_year"] for r in rows} == {1980, 1990}


@case(
    {
        "a.ndjson": lines(
            patient("old", active=False, meta={"lastUpdated": "2026-02-01T00:00:00Z"},
                    link=[{"type": "replaced-by", "other": {"reference": "Patient/new"}}]),
            patient("new", link=[{"type": "seealso", "other": {"reference": "Patient/x"}}]),
        )
    }
)  # fmt: skip
def a_replaced_patient_is_a_merge(loaded: Loaded, source: str) -> None:
    (row,) = loaded.rows(source, "client_merges")
    assert row["old_client_key"] == loaded.key("client", source, "old")
    assert row["new_client_key"] == loaded.key("client", source, "new")
    assert str(row["merged_on"]) == "2026-02-01"


@case(
    {
        "x.json": bundle(
            {"resourceType": "Practitioner", "id": "t1",
             "qualification": [{"code": {"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "103TC0700X"}]},
                                "period": {"start": "2010-04-01"}}]},
            {"resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/t1"},
             "organization": {"reference": "Organization/o1"}},
            {"resourceType": "Organization", "id": "o1", "name": "North", "address": [{"state": "NY"}],
             "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": "America/New_York"}]},
            {"resourceType": "Organization", "id": "payer", "type": [{"coding": [{"code": "pay"}]}]},
            {"resourceType": "Location", "id": "l1", "managingOrganization": {"reference": "Organization/o1"}},
            {"resourceType": "Location", "id": "l2", "name": "South"},
            encounter("by-role", participant=[{"individual": {"reference": "PractitionerRole/r1"}}],
                      location=[{"location": {"reference": "Location/l1"}}]),
            patient(),
        )
    }
)  # fmt: skip
def staff_and_clinics_are_joined_by_their_roles(loaded: Loaded, source: str) -> None:
    (therapist,) = loaded.rows(source, "therapists")
    assert (therapist["discipline"], str(therapist["licensed_on"])) == (
        "psychologist",
        "2010-04-01",
    )
    assert therapist["clinic_key"] == loaded.key("clinic", source, "o1")
    clinics = {r["clinic_key"]: r for r in loaded.rows(source, "clinics")}
    assert set(clinics) == {
        loaded.key("clinic", source, x) for x in ("o1", "Location/l2")
    }
    assert clinics[loaded.key("clinic", source, "o1")]["timezone"] == "America/New_York"
    (session,) = loaded.rows(source, "sessions")
    assert session["therapist_key"] == loaded.key("therapist", source, "t1")
    assert session["clinic_key"] == loaded.key("clinic", source, "o1")
    assert loaded.noticed(source)["insurer"] == 1


# --- references ----------------------------------------------------------------------


NPI = "http://hl7.org/fhir/sid/us-npi"


def meets(reference: Resource) -> list[Resource]:
    return [{"individual": reference}]


@case(
    {
        "hospital.json": bundle(
            {"fullUrl": "urn:uuid:aa-1", "resource": {"resourceType": "Practitioner", "id": "t1",
             "identifier": [{"system": NPI, "value": "9999"}]}, "request": {"method": "POST", "url": "Practitioner"}},
            kind="transaction"),
        "patient.json": bundle(
            {"fullUrl": "urn:uuid:bb-1", "resource": patient("p1"), "request": {"method": "POST", "url": "Patient"}},
            {"resource": encounter("absolute", "https://h.example/fhir/Patient/p1",
                                   participant=meets({"reference": "Practitioner/t1/_history/3"}))},
            {"resource": encounter("urn", "urn:uuid:bb-1", participant=meets({"reference": "urn:uuid:aa-1"}))},
            {"resource": encounter("conditional", participant=meets({"reference": f"Practitioner?identifier={NPI}|9999"}))},
            {"resource": encounter("identifier", participant=meets({"type": "Practitioner", "identifier": {"system": NPI, "value": "9999"}}))},
            {"resource": encounter("contained", participant=meets({"reference": "#me"}),
                                   contained=[{"resourceType": "Practitioner", "id": "me", "identifier": [{"system": NPI, "value": "9999"}]}])},
            {"resource": encounter("foreign", participant=meets({"reference": f"Practitioner?identifier={NPI}|1"}))},
            kind="transaction"),
    }
)  # fmt: skip
def every_kind_of_reference_finds_its_resource(loaded: Loaded, source: str) -> None:
    sessions = loaded.rows(source, "sessions")
    assert {r["client_key"] for r in sessions} == {loaded.key("client", source, "p1")}
    met = {r["session_key"]: r["therapist_key"] for r in sessions}
    known = loaded.key("therapist", source, "t1")
    for id_ in ("absolute", "urn", "conditional", "identifier", "contained"):
        assert met[loaded.key("session", source, id_)] == known, id_
    # One that is not in the delivery keeps what it says as its key, and the session stays.
    assert met[loaded.key("session", source, "foreign")] == loaded.key(
        "therapist", source, f"{NPI}|1"
    )


@case(
    {
        "one.json": bundle({"fullUrl": "urn:uuid:same", "resource": patient("a")},
                           {"resource": encounter("ea", "urn:uuid:same")}),
        "two.json": bundle({"fullUrl": "urn:uuid:same", "resource": patient("b")},
                           {"resource": encounter("eb", "urn:uuid:same")}),
    }
)  # fmt: skip
def a_full_url_means_its_own_bundle_first(loaded: Loaded, source: str) -> None:
    found = {r["session_key"]: r["client_key"] for r in loaded.rows(source, "sessions")}
    for id_, client in (("ea", "a"), ("eb", "b")):
        assert found[loaded.key("session", source, id_)] == loaded.key(
            "client", source, client
        )


@case({"a.ndjson": lines(encounter())}, {"b.ndjson": lines(patient())})
def a_reference_to_another_delivery_keys_alike(loaded: Loaded, source: str) -> None:
    (session,), (client,) = (
        loaded.rows(source, "sessions"),
        loaded.rows(source, "clients"),
    )
    assert session["client_key"] == client["client_key"]


@case(
    {
        "one.json": bundle(patient("p1", birthDate="1980-01-01"), patient("q"), encounter("e1"), encounter("mine", "Patient/q")),
        "two.json": bundle(patient("p1", birthDate="1990-01-01"), encounter("e1"), observation("o1", "44261-6", valueInteger=3)),
        "three.json": bundle(encounter("shared", "Patient/q"), encounter("shared", "Patient/r"), patient("r")),
    }
)  # fmt: skip
def one_id_of_several_people_is_a_conflict(loaded: Loaded, source: str) -> None:
    assert loaded.refused(source) == {"id_conflict": 2 + 2 + 1 + 2}
    assert {r["session_key"] for r in loaded.rows(source, "sessions")} == {
        loaded.key("session", source, "mine")
    }
    assert len(loaded.rows(source, "clients")) == 2
    assert loaded.rows(source, "measures") == []


@case(
    {
        "a.ndjson": lines(patient(birthDate="1980-01-01", meta={"lastUpdated": "2026-01-01T00:00:00Z"})),
        "b.ndjson": lines(patient(birthDate="1981-01-01", meta={"lastUpdated": "2026-01-02T00:00:00Z"})),
    }
)  # fmt: skip
def a_later_version_replaces_an_earlier_one(loaded: Loaded, source: str) -> None:
    (row,) = loaded.rows(source, "clients")
    assert row["birth_year"] == 1981
    assert loaded.noticed(source)["repeated"] == 1


# --- sessions ------------------------------------------------------------------------


def appointment(id_: str, status: str, **more: Any) -> Resource:
    return {
        "resourceType": "Appointment",
        "id": id_,
        "status": status,
        "start": DAY,
        "end": "2026-03-02T10:50:00-05:00",
        "participant": [
            {"actor": {"reference": "Patient/p1"}},
            {"actor": {"reference": "Practitioner/t1"}},
        ],
        **more,
    }


def reason(code: str) -> Resource:
    return {"cancelationReason": {"coding": [{"code": code}]}}


@case(
    {
        "a.ndjson": lines(
            encounter("e1", type=[{"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "90853"}]}], **{"class": {"code": "VR"}}),
        ),
        "Appointment.ndjson": lines(
            appointment("booked", "booked"), appointment("missed", "noshow"),
            appointment("by-client", "cancelled", **reason("pat")),
            appointment("by-clinic", "cancelled", **reason("prov")),
            appointment("late", "cancelled", **reason("LATE")),
            appointment("plain", "cancelled"), appointment("done", "fulfilled"),
            appointment("wrong", "entered-in-error"), appointment("idea", "proposed"),
        ),
    },
    mapping='[fhir.cancellations]\nLATE = "late_cancelled"\n',
)  # fmt: skip
def statuses_are_session_statuses(loaded: Loaded, source: str) -> None:
    assert statuses(loaded, source) == sorted(
        ["attended", "scheduled", "no_show", "client_cancelled", "clinic_cancelled",
         "late_cancelled", "client_cancelled", "attended"]
    )  # fmt: skip
    rows = loaded.rows(source, "sessions")
    assert sum(bool(r["deleted"]) for r in rows) == 1
    (seen,) = [r for r in rows if r["modality"] == "group"]
    assert (seen["delivery_mode"], seen["service_code"]) == ("video", "90853")
    assert seen["started_at_offset_minutes"] == -300
    assert str(seen["started_at_wall"]) == "2026-03-02 10:00:00"
    assert loaded.noticed(source)["not_booked"] == 1


@case(
    {"a.ndjson": lines(appointment("a1", "fulfilled"), appointment("a2", "booked"))},
    {"b.ndjson": lines(encounter("e1", appointment=[{"reference": "Appointment/a1"}]))},
    {"c.ndjson": lines(appointment("a1", "fulfilled", meta={"lastUpdated": "2026-05-01T00:00:00Z"}))},
)  # fmt: skip
def an_encounter_replaces_its_appointment_whatever_comes_when(
    loaded: Loaded, source: str
) -> None:
    rows = loaded.rows(source, "sessions")
    versions = [
        r
        for r in rows
        if r["session_key"] == loaded.key("session", source, "Appointment/a1")
    ]
    last = max(
        versions, key=lambda r: (r["updated_at"] is not None, r["updated_at"] or 0)
    )
    assert len(versions) == 3
    assert last["deleted"]
    alive = {r["session_key"] for r in rows if not r["deleted"]}
    assert loaded.key("session", source, "e1") in alive


@case(
    {
        "a.json": bundle(
            appointment("a1", "booked"),
            encounter("e1", appointment=[{"reference": "Appointment/a1"}]),
        )
    }
)
def an_appointment_beside_its_encounter_adds_no_row(
    loaded: Loaded, source: str
) -> None:
    assert statuses(loaded, source) == ["attended"]
    assert loaded.noticed(source)["appointment_has_encounter"] == 1


@case({"a.ndjson": lines({**appointment("g", "booked"), "participant": [
    {"actor": {"reference": f"{x}"}} for x in ("Patient/p1", "Patient/p2", "Practitioner/t1")]})})  # fmt: skip
def a_group_appointment_is_one_row_a_client(loaded: Loaded, source: str) -> None:
    assert {r["session_key"] for r in loaded.rows(source, "sessions")} == {
        loaded.key("session", source, f"Appointment/g|{p}") for p in ("p1", "p2")
    }


@case({"a.ndjson": lines(
    encounter("partial", period={"start": "2026-03"}), encounter("whole"),
    encounter("nobody", participant=[]),
    encounter("error", status="entered-in-error"),
    encounter("other", **{"class": {"code": "EMER"}}),
)}, mapping='[fhir]\ndrop_classes = ["EMER"]\n')  # fmt: skip
def a_partial_date_is_no_session_date(loaded: Loaded, source: str) -> None:
    assert loaded.refused(source) == {
        "timestamp_unreadable": 1,
        "required_value_missing": 1,
    }
    assert statuses(loaded, source) == ["attended"]
    assert loaded.noticed(source)["class_dropped"] == 1


@case({"a.json": bundle(
    {"resourceType": "EpisodeOfCare", "id": "ep", "status": "finished", "patient": {"reference": "Patient/p1"},
     "careManager": {"reference": "Practitioner/t1"}, "managingOrganization": {"reference": "Organization/o1"},
     "period": {"start": "2026-01-05", "end": "2026-04-01T09:00:00Z"}},
    {"resourceType": "EpisodeOfCare", "id": "wrong", "status": "entered-in-error", "patient": {"reference": "Patient/p1"}},
    encounter(episodeOfCare=[{"reference": "EpisodeOfCare/ep"}]),
    {"resourceType": "Goal", "id": "g1", "lifecycleStatus": "active", "subject": {"reference": "Patient/p1"},
     "startDate": "2026-01-05", "expressedBy": {"reference": "Patient/p1"},
     "description": {"text": "ZZCANARYZZ", "coding": [{"code": "sleep-better"}]}, "priority": {"coding": [{"code": "high-priority"}]}},
)}, mapping='[fhir.goal_domains]\nsleep-better = "sleep"\n')  # fmt: skip
def episodes_and_goals_are_read(loaded: Loaded, source: str) -> None:
    (episode,) = loaded.rows(source, "episodes")
    assert (str(episode["opened_on"]), str(episode["closed_on"])) == (
        "2026-01-05",
        "2026-04-01",
    )
    assert episode["therapist_key"] == loaded.key("therapist", source, "t1")
    assert episode["clinic_key"] == loaded.key("clinic", source, "o1")
    assert loaded.rows(source, "sessions")[0]["episode_key"] == episode["episode_key"]
    (goal,) = loaded.rows(source, "goals")
    assert (goal["domain"], goal["rater"], goal["priority"], goal["status"]) == (
        "sleep",
        "client",
        1,
        "active",
    )
    assert "ZZCANARYZZ" not in str(goal)


def condition(
    code: str, system: str = "http://hl7.org/fhir/sid/icd-10-cm", **more: Any
) -> Resource:
    return {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": system, "code": code}]},
        "recordedDate": "2026-01-05",
        "clinicalStatus": {"coding": [{"code": "active"}]},
        **more,
    }


@case({"a.json": bundle(
    condition("F43.10", id="c1"),
    condition("38194000", "http://snomed.info/sct", recordedDate=None, onsetDateTime="2025-12-01T08:00:00Z"),
    condition("F32.1", verificationStatus={"coding": [{"code": "refuted"}]}),
    condition("F41.1", recordedDate="2026"),
    encounter(diagnosis=[{"condition": {"reference": "Condition/c1"}, "rank": 1}]),
    encounter("e2", reasonCode=[{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F33.0"}]}]),
)})  # fmt: skip
def conditions_are_diagnoses(loaded: Loaded, source: str) -> None:
    rows = {r["code"]: r for r in loaded.rows(source, "diagnoses")}
    assert {c: (r["system"], r["status"]) for c, r in rows.items()} == {
        "F43.10": ("icd10", "active"), "38194000": ("snomed", "active"), "F32.1": ("icd10", "refuted"),
    }  # fmt: skip
    assert str(rows["38194000"]["recorded_on"]) == "2025-12-01"
    assert loaded.refused(source) == {"date_unreadable": 1}
    assert {r["diagnosis_codes"] for r in loaded.rows(source, "sessions")} == {
        "F43.10",
        "F33.0",
    }


# --- measures ------------------------------------------------------------------------


TOTAL = "44261-6"


def at(day: int) -> Resource:
    return {"effectiveDateTime": f"2026-03-{day:02}T10:00:00-05:00"}


@case({"Observation.ndjson": lines(
    observation("quantity", TOTAL, valueQuantity={"value": 12}, **at(1)),
    observation("integer", TOTAL, valueInteger=13, **at(2)),
    observation("decimal", TOTAL, valueDecimal=14.0, **at(3)),
    observation("string", TOTAL, valueString="15", **at(4)),
    observation("of", TOTAL, valueString="16 / 27", **at(5)),
    observation("absent", TOTAL, dataAbsentReason={"coding": [{"code": "asked-declined"}]}, **at(6)),
    observation("nothing", TOTAL, **at(7)),
    observation("compared", TOTAL, valueQuantity={"value": 20, "comparator": ">="}, **at(8)),
    observation("words", TOTAL, valueString="moderate 12", **at(9)),
    observation("unknown", TOTAL, valueInteger=17, status="unknown", **at(10)),
    observation("amended", TOTAL, valueInteger=18, status="amended", **at(11)),
    observation("removed", TOTAL, valueInteger=1, status="entered-in-error", **at(12)),
    observation("cancelled", TOTAL, valueInteger=1, status="cancelled", **at(13)),
    observation("early", TOTAL, valueInteger=1, status="preliminary", **at(14)),
    observation("registered", TOTAL, valueInteger=1, status="registered", **at(15)),
    observation("partial", TOTAL, valueInteger=1, effectiveDateTime="2026-03"),
    observation("weight", "29463-7", valueQuantity={"value": 70}),
    observation("finding", "73832-8", valueCodeableConcept={"coding": [{"code": "428171000124102"}]}),
)})  # fmt: skip
def every_value_of_a_total_is_read_and_absence_is_null(
    loaded: Loaded, source: str
) -> None:
    rows = loaded.rows(source, "measures")
    assert sorted(
        r["total_reported"]
        for r in rows
        if r["total_reported"] is not None and not r["deleted"]
    ) == [12, 13, 14, 15, 16, 17, 18]
    assert sum(r["total_reported"] is None and not r["deleted"] for r in rows) == 4
    assert sum(bool(r["deleted"]) for r in rows) == 2
    assert loaded.refused(source) == {"timestamp_unreadable": 1}
    noticed = loaded.noticed(source)
    assert (noticed["not_final"], noticed["not_an_instrument"]) == (2, 2)


def answer(code: str) -> Resource:
    return {"valueCoding": {"system": LOINC, "code": code}}


@case({"QuestionnaireResponse.000.ndjson": lines(
    response("coded", [{"linkId": "g", "item": [item(f"/44249-1/{c}", answer("LA6570-1")) for c in PHQ9]},
                       item("69722-7", answer("LA6572-7"))]),
    response("numbered", [item(f"PHQ.{n}", n % 4) for n in range(1, 10)] + [item("PHQ.10", 2)], authored="2026-03-03T10:00:00Z"),
    response("draft", [item("1")], status="in-progress"),
    response("gone", [item("1")], status="entered-in-error", authored="2026-03-04T10:00:00Z"),
    response("mood", [item("44250-9", 3), item("44255-8", 3)], questionnaire="http://x.example/Questionnaire/mood"),
    response("nested", [{"linkId": "1", "answer": [{"valueDecimal": 2.0, "item": [item("2", {"valueString": "3"})]}]}], authored="2026-03-05T10:00:00Z"),
    response("blank", [{"linkId": "1"}, item("2", {"valueString": "often"})], authored="2026-03-06T10:00:00Z"),
    response("partial", [item("1")], authored="2026-03"),
)})  # fmt: skip
def answers_are_items_by_code_or_number(loaded: Loaded, source: str) -> None:
    found = {str(row) for row in scores(loaded, source)}
    assert str(("PHQ-9", {str(n): 2.0 for n in range(1, 10)}, None, False)) in found
    assert (
        str(("PHQ-9", {str(n): float(n % 4) for n in range(1, 10)}, None, False))
        in found
    )
    assert str(("PHQ-9", {"1": 1.0}, None, True)) in found
    assert str(("PHQ-9", {"1": 2.0, "2": 3.0}, None, False)) in found
    assert str(("PHQ-9", {"2": None}, None, False)) in found
    assert len(found) == 5
    noticed = loaded.noticed(source)
    assert (noticed["not_final"], noticed["not_an_instrument"]) == (1, 1)
    assert loaded.refused(source)["timestamp_unreadable"] == 1


def three_times(prefix: str, link: bool, **more: Any) -> list[Resource]:
    """Return one PHQ-9 as a response, nine items, a panel and a total."""
    source = (
        {"derivedFrom": [{"reference": f"QuestionnaireResponse/{prefix}-r"}]}
        if link
        else {}
    )
    items = [observation(f"{prefix}-{n}", c, valueCodeableConcept={"coding": [{"system": LOINC, "code": "LA6569-3"}]}, **source)
             for n, c in enumerate(PHQ9)]  # fmt: skip
    panel = observation(f"{prefix}-panel", "44249-1", valueInteger=99,
                        hasMember=[{"reference": f"Observation/{i['id']}"} for i in items])  # fmt: skip
    return [*items, panel, observation(f"{prefix}-total", TOTAL, valueInteger=9)]


@case({
    "QuestionnaireResponse.ndjson": lines(response("a-r", [item(c, 1) for c in PHQ9])),
    "Observation.1.ndjson": lines(*three_times("a", link=True)[:5]),
    "Observation.2.ndjson": lines(*three_times("a", link=True)[5:]),
})  # fmt: skip
def the_same_answers_thrice_are_one_administration(loaded: Loaded, source: str) -> None:
    assert scores(loaded, source) == [
        ("PHQ-9", {str(n): 1.0 for n in range(1, 10)}, 9.0, False)
    ]
    assert loaded.rows(source, "measures")[0]["administration_key"] == loaded.key(
        "administration", source, "a-r"
    )
    assert loaded.rows(source, "measures")[0]["rater"] == "client"


@case(
    {
        "x.json": bundle(
            response("b-r", [item(c, 1) for c in PHQ9]), *three_times("b", link=False)
        )
    }
)
def answers_that_nothing_links_fold_by_client_form_and_moment(
    loaded: Loaded, source: str
) -> None:
    assert scores(loaded, source) == [
        ("PHQ-9", {str(n): 1.0 for n in range(1, 10)}, 9.0, False)
    ]


@case({"x.json": bundle(*three_times("c", link=False))})
def a_panel_holds_its_members_and_total_and_is_no_score(
    loaded: Loaded, source: str
) -> None:
    assert scores(loaded, source) == [
        ("PHQ-9", {str(n): 1.0 for n in range(1, 10)}, 9.0, False)
    ]


@case({"x.json": bundle(observation("act", "44249-1", valueInteger=12, **at(9)), observation("two", "44250-9", valueInteger=1),
                        observation("pair", "44255-8", valueInteger=1), observation("phq2", "55758-7", valueInteger=2))})  # fmt: skip
def a_panel_alone_and_a_phq_2_are_no_phq_9(loaded: Loaded, source: str) -> None:
    assert loaded.rows(source, "measures") == []
    assert loaded.rows(source, "measure_items") == []
    assert loaded.noticed(source)["not_an_instrument"] == 4


@case({"x.json": bundle(observation("gad", "69737-5", component=[
    {"code": {"coding": [{"system": LOINC, "code": c}]}, **v} for c, v in (
        ("69725-0", {"valueInteger": 2}), ("68509-9", {"dataAbsentReason": {"coding": [{"code": "unknown"}]}}),
        ("70274-6", {"valueQuantity": {"value": 11}}))]))})  # fmt: skip
def components_are_items_and_total(loaded: Loaded, source: str) -> None:
    assert scores(loaded, source) == [("GAD-7", {"1": 2.0, "2": None}, 11.0, False)]


@case({"x.json": bundle(
    observation("wai", "wai-total", system="http://n.example", valueDecimal=4.5),
    response("t", [item("q7", {"valueCoding": {"code": "5"}}), item("q8", {"valueCoding": {"code": "much", "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 4}]}})],
        questionnaire="http://n.example/q/wai", source={"reference": "Practitioner/t1"}),
    response("named", [item("1", 40)], questionnaire="http://n.example/Questionnaire/SRS", source=None),
    response("asked", [item("x-1", {"valueCoding": {"code": "a"}})], questionnaire="Questionnaire/q"),
    {"resourceType": "Questionnaire", "id": "q", "code": [{"system": LOINC, "code": "69737-5"}], "item": [
        {"linkId": "x-1", "code": [{"system": LOINC, "code": "69736-7"}], "answerOption": [
            {"valueCoding": {"code": "a", "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 3}]}}]}]},
)}, mapping="""[fhir.codes]
"http://n.example|wai-total" = { instrument = "WAI-SR", role = "total", rater = "client" }
[fhir.questionnaires]
"http://n.example/q/wai" = { instrument = "WAI-SR", items = { q7 = "7", q8 = "8" } }
[fhir.answers]
"5" = 5
""")  # fmt: skip
def a_clinic_adds_its_own_codes_and_questionnaires(loaded: Loaded, source: str) -> None:
    assert scores(loaded, source) == [
        ("GAD-7", {"7": 3.0}, None, False),
        ("SRS", {"1": 40.0}, None, False),
        ("WAI-SR", {"7": 5.0, "8": 4.0}, None, False),
        ("WAI-SR", {}, 4.5, False),
    ]
    raters = sorted(r["rater"] for r in loaded.rows(source, "measures"))
    assert raters == ["client", "client", "client", "therapist"]


# --- members -------------------------------------------------------------------------


@case({
    "Patient.000.ndjson": lines(patient()) + "\n" + "{broken}\n" + lines(patient("p2")) + "[1]\n",
    "Claim.ndjson": lines({"resourceType": "Claim", "id": "1"}, {"resourceType": "Claim", "id": "2"}),
    "log.ndjson": '{"eventId": "kickoff"}\n',
    "export.json": '{"transactionTime": "2026-01-01T00:00:00Z", "output": []}',
    "mixed.ndjson": lines({"resourceType": "Device", "id": "d"}, encounter(), patient("p3")),
    "stray.ndjson": lines(encounter("e2"), {"resourceType": "Claim", "id": "3"}, patient("p4")),
    "cut.ndjson": lines(patient("p5")) + '{"resourceType": "Patient", "id": "p',
    "whole.ndjson": lines(patient("p6")).rstrip("\n"),
    "cut.json": bundle(patient("p7"))[:-20],
    "marked.ndjson": "\ufeff" + lines(patient("p8")),
    "deep.ndjson": '{"resourceType": "Patient", "id": "d", "x": ' + "[" * 50_000 + "]" * 50_000 + "}\n",
    "deep.json": '{\n"resourceType": "Patient", "id": "d", "x": ' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}\n",
    "array.json": "[\n" + json.dumps(patient("p9")) + "]",
    "single.json": json.dumps(patient("p10"), indent=1),
})  # fmt: skip
def members_of_every_kind_are_read_or_refused(loaded: Loaded, source: str) -> None:
    kept = {r["client_key"] for r in loaded.rows(source, "clients")}
    assert kept == {
        loaded.key("client", source, f"p{n}") for n in (1, 2, 3, 4, 6, 8, 9, 10)
    }
    assert loaded.refused(source) == {
        "json_invalid": 2, "ndjson_cut_off": 2, "json_cut_off": 1, "json_file_too_deep": 2,
    }  # fmt: skip
    assert loaded.noticed(source)["resource_not_wanted"] == 4
    rows = [dict(r) for r in loaded.state.refusals() if r["source"] == source]
    assert [r["first_row"] for r in rows if r["reason"] == "json_invalid"] == [3]
    by_row = {r["client_key"]: r["row_no"] for r in loaded.rows(source, "clients")}
    assert by_row[loaded.key("client", source, "p2")] == 4


@case({"x.json": bundle(
    patient(), {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient()}, {"resource": patient("p2")}]},
)})  # fmt: skip
def a_bundle_in_a_bundle_is_counted_once(loaded: Loaded, source: str) -> None:
    assert len(loaded.rows(source, "clients")) == 2
    assert loaded.noticed(source)["repeated"] == 1


@case(
    {"a.ndjson": lines(*(encounter(x, meta={"lastUpdated": "2026-01-01T00:00:00Z"}) for x in ("e1", "e2"))),
     "q.ndjson": lines(response("r1", [item("1")]))},
    {"deleted.ndjson": lines({"resourceType": "Bundle", "type": "transaction", "meta": {"lastUpdated": "2026-02-01T00:00:00Z"}, "entry": [
        {"request": {"method": "DELETE", "url": "Encounter/e1"}},
        {"request": {"method": "DELETE", "url": "QuestionnaireResponse/r1"}},
        {"request": {"method": "DELETE", "url": "Patient/p1"}}]})},
)  # fmt: skip
def a_delete_is_a_deleted_version_of_its_id(loaded: Loaded, source: str) -> None:
    gone = [r for r in loaded.rows(source, "sessions") if r["deleted"]]
    assert [r["session_key"] for r in gone] == [loaded.key("session", source, "e1")]
    assert str(gone[0]["updated_at"]) == "2026-02-01 00:00:00"
    assert [
        r["administration_key"] for r in loaded.rows(source, "measures") if r["deleted"]
    ] == [loaded.key("administration", source, "r1")]
    assert loaded.noticed(source)["deletion_not_kept"] == 1


@pytest.mark.parametrize("name", list(CHECKS))
def test_fhir(name: str, loaded: Loaded) -> None:
    """Each case is a source of its own; the name says what must hold."""
    assert len(CHECKS) > 25
    CHECKS[name](loaded, SOURCES[name])
