"""The fields that are read of each resource type; nothing else leaves the JSON.

Names, addresses but for state and postal code, telecom, notes, narrative and photographs
are not in it, so they never reach a table.
"""

from __future__ import annotations

from typing import TypeAlias

# A leaf is the engine's type name; a list has one element; a struct is a dict.
Shape: TypeAlias = "str | list[Shape] | dict[str, Shape]"

_TEXT = "VARCHAR"
_CODING: Shape = {"system": _TEXT, "code": _TEXT}
_CONCEPT: Shape = {"coding": [_CODING]}
_IDENTIFIER: Shape = {"system": _TEXT, "value": _TEXT}
_REFERENCE: Shape = {
    "reference": _TEXT,
    "type": _TEXT,
    "identifier": _IDENTIFIER,
}
_PERIOD: Shape = {"start": _TEXT, "end": _TEXT}
ANSWER_CODING: Shape = {
    "system": _TEXT,
    "code": _TEXT,
    "extension": [{"url": _TEXT, "valueDecimal": _TEXT}],
}
QUANTITY: Shape = {"value": _TEXT, "comparator": _TEXT}
_OBSERVED: dict[str, Shape] = {
    "valueQuantity": QUANTITY,
    "valueInteger": _TEXT,
    "valueDecimal": _TEXT,
    "valueString": _TEXT,
    "valueCodeableConcept": {"coding": [ANSWER_CODING]},
    "dataAbsentReason": _CONCEPT,
}
# What few answers hold stays JSON: a struct that is null costs the reader as much as one
# that is filled, times nine items a response.
ANSWER: Shape = {
    "valueDecimal": _TEXT,
    "valueInteger": _TEXT,
    "valueString": _TEXT,
    "valueBoolean": _TEXT,
    "valueQuantity": "JSON",
    "valueCoding": "JSON",
    "item": "JSON",
}
ITEMS: Shape = [{"linkId": _TEXT, "answer": [ANSWER], "item": "JSON"}]
QUESTIONS: Shape = [
    {
        "linkId": _TEXT,
        "code": [_CODING],
        "answerOption": [
            {
                "valueCoding": ANSWER_CODING,
                "extension": [{"url": _TEXT, "valueDecimal": _TEXT}],
            }
        ],
        "item": "JSON",
    }
]
_COMMON: dict[str, Shape] = {
    "resourceType": _TEXT,
    "id": _TEXT,
    "meta": {"lastUpdated": _TEXT},
}
_LINKED: dict[str, Shape] = {**_COMMON, "contained": "JSON"}
_NAMED: dict[str, Shape] = {**_COMMON, "identifier": [_IDENTIFIER]}

SHAPES: dict[str, dict[str, Shape]] = {
    "Patient": {
        **_NAMED,
        "gender": _TEXT,
        "birthDate": _TEXT,
        "address": [{"use": _TEXT, "state": _TEXT, "postalCode": _TEXT}],
        "communication": [{"language": _CONCEPT, "preferred": _TEXT}],
        "link": [{"other": _REFERENCE, "type": _TEXT}],
        "extension": [
            {
                "url": _TEXT,
                "valueCode": _TEXT,
                "extension": [{"url": _TEXT, "valueCoding": _CODING}],
            }
        ],
    },
    "Practitioner": {
        **_NAMED,
        "qualification": [{"code": _CONCEPT, "period": _PERIOD}],
    },
    "PractitionerRole": {
        **_NAMED,
        "contained": "JSON",
        "practitioner": _REFERENCE,
        "organization": _REFERENCE,
        "code": [_CONCEPT],
        "specialty": [_CONCEPT],
    },
    "Organization": {
        **_NAMED,
        "type": [_CONCEPT],
        "name": _TEXT,
        "address": [{"state": _TEXT}],
        "extension": [{"url": _TEXT, "valueCode": _TEXT}],
    },
    "Location": {
        **_NAMED,
        "name": _TEXT,
        "address": {"state": _TEXT},
        "managingOrganization": _REFERENCE,
        "extension": [{"url": _TEXT, "valueCode": _TEXT}],
    },
    "EpisodeOfCare": {
        **_LINKED,
        "status": _TEXT,
        "patient": _REFERENCE,
        "managingOrganization": _REFERENCE,
        "careManager": _REFERENCE,
        "period": _PERIOD,
    },
    "Encounter": {
        **_LINKED,
        "status": _TEXT,
        "class": _CODING,
        "type": [_CONCEPT],
        "subject": _REFERENCE,
        "episodeOfCare": [_REFERENCE],
        "appointment": [_REFERENCE],
        "participant": [{"type": [_CONCEPT], "individual": _REFERENCE}],
        "period": _PERIOD,
        "reasonCode": [_CONCEPT],
        "diagnosis": [{"condition": _REFERENCE, "rank": _TEXT}],
        "location": [{"location": _REFERENCE}],
        "serviceProvider": _REFERENCE,
    },
    "Appointment": {
        **_LINKED,
        "status": _TEXT,
        "cancelationReason": _CONCEPT,
        "start": _TEXT,
        "end": _TEXT,
        "participant": [{"actor": _REFERENCE}],
    },
    "Condition": {
        **_LINKED,
        "clinicalStatus": _CONCEPT,
        "verificationStatus": _CONCEPT,
        "code": _CONCEPT,
        "subject": _REFERENCE,
        "recordedDate": _TEXT,
        "onsetDateTime": _TEXT,
        "onsetPeriod": _PERIOD,
    },
    "Observation": {
        **_LINKED,
        "status": _TEXT,
        "code": _CONCEPT,
        "subject": _REFERENCE,
        "encounter": _REFERENCE,
        "effectiveDateTime": _TEXT,
        "effectiveInstant": _TEXT,
        "effectivePeriod": _PERIOD,
        "issued": _TEXT,
        "performer": [_REFERENCE],
        "hasMember": [_REFERENCE],
        "derivedFrom": [_REFERENCE],
        "component": [{"code": _CONCEPT, **_OBSERVED}],
        **_OBSERVED,
    },
    "Questionnaire": {
        **_COMMON,
        "url": _TEXT,
        "name": _TEXT,
        "code": [_CODING],
        "item": QUESTIONS,
    },
    "QuestionnaireResponse": {
        **_LINKED,
        "questionnaire": _TEXT,
        "status": _TEXT,
        "subject": _REFERENCE,
        "encounter": _REFERENCE,
        "authored": _TEXT,
        "author": _REFERENCE,
        "source": _REFERENCE,
        "item": ITEMS,
    },
    "Goal": {
        **_LINKED,
        "lifecycleStatus": _TEXT,
        "achievementStatus": _CONCEPT,
        "category": [_CONCEPT],
        "priority": _CONCEPT,
        "description": _CONCEPT,
        "subject": _REFERENCE,
        "startDate": _TEXT,
        "statusDate": _TEXT,
        "expressedBy": _REFERENCE,
    },
}

# The canonical table that a resource type answers to in the ledger. A Questionnaire is
# looked up in and feeds none.
HOME_TABLE: dict[str, str] = {
    "Patient": "clients",
    "Practitioner": "therapists",
    "PractitionerRole": "therapists",
    "Organization": "clinics",
    "Location": "clinics",
    "EpisodeOfCare": "episodes",
    "Encounter": "sessions",
    "Appointment": "sessions",
    "Condition": "diagnoses",
    "Observation": "measures",
    "QuestionnaireResponse": "measures",
    "Goal": "goals",
}

BUNDLE: dict[str, Shape] = {
    "resourceType": _TEXT,
    "timestamp": _TEXT,
    "meta": {"lastUpdated": _TEXT},
    "entry": [
        {
            "fullUrl": _TEXT,
            "resource": "JSON",
            "request": {"method": _TEXT, "url": _TEXT},
            "response": {"lastModified": _TEXT},
        }
    ],
}


def sql_type(shape: Shape) -> str:
    """Return the engine's type of a shape."""
    if isinstance(shape, str):
        return shape
    if isinstance(shape, list):
        return f"{sql_type(shape[0])}[]"
    fields = ", ".join(f'"{name}" {sql_type(of)}' for name, of in shape.items())
    return f"STRUCT({fields})"


def columns_argument(shape: dict[str, Shape]) -> str:
    """Return the ``columns`` argument with which the JSON reader takes a shape."""
    said = ", ".join(f"'{name}': '{sql_type(of)}'" for name, of in shape.items())
    return f"{{{said}}}"
