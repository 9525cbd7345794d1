"""FHIR responses: what the door's reading costs beside the engine's bare typed scan.

``python benchmarks/fhir.py [N]``: N QuestionnaireResponses of nine items (200,000), written
to a temporary folder; four ways in one run, in turn, medians of five, CPU seconds:

- ``door``: the door's reading, every resource numbered, its lines looked at first;
- ``same``: the engine's typed scan of the fields that the door reads of a response;
- ``narrow``: the engine's scan of the few fields that this very file fills;
- ``pydantic``: each line through a model of those few fields, its answers kept as rows.

Writes benchmarks/results/fhir.json.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
from measured import save, summary
from pydantic import BaseModel

from rapport.ingest.fhir.members import look_at
from rapport.ingest.fhir.reading import Reader
from rapport.ingest.fhir.schema import SHAPES, columns_argument

_FIELDS = (
    "{id: 'VARCHAR', status: 'VARCHAR', questionnaire: 'VARCHAR', authored: 'VARCHAR',"
    " subject: 'STRUCT(reference VARCHAR)', source: 'STRUCT(reference VARCHAR)',"
    " encounter: 'STRUCT(reference VARCHAR)',"
    " item: 'STRUCT(linkId VARCHAR, answer STRUCT(valueInteger INTEGER)[])[]'}"
)


def write_responses(path: Path, n: int) -> None:
    """Write n responses of nine items, one a line."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(n):
            said = {
                "resourceType": "QuestionnaireResponse",
                "id": f"r{i}",
                "meta": {"lastUpdated": "2026-03-02T15:00:00Z"},
                "questionnaire": "http://x.example/Questionnaire/phq-9|1.0",
                "status": "completed",
                "subject": {"reference": f"Patient/p{i // 20}"},
                "source": {"reference": f"Patient/p{i // 20}"},
                "encounter": {"reference": f"Encounter/e{i}"},
                "authored": "2026-03-02T10:00:00-05:00",
                "item": [
                    {"linkId": f"PHQ.{k}", "answer": [{"valueInteger": (i + k) % 4}]}
                    for k in range(1, 10)
                ],
            }
            file.write(json.dumps(said) + "\n")


def bare_scan(path: Path, fields: str) -> None:
    """Read fields with the engine alone."""
    with duckdb.connect(config={"threads": "2"}) as con:
        con.execute(
            "create temp table said as from read_json(?,"
            f" format = 'newline_delimited', columns = {fields})",
            [str(path)],
        )


def narrow(path: Path) -> None:
    """Read what this file fills."""
    bare_scan(path, _FIELDS)


def same(path: Path) -> None:
    """Read what the door reads of a response."""
    bare_scan(path, columns_argument(SHAPES["QuestionnaireResponse"]))


class Reference(BaseModel):
    """Whom or what a response is of."""

    reference: str


class Answer(BaseModel):
    """One answer."""

    valueInteger: int


class Item(BaseModel):
    """One question of a response."""

    linkId: str
    answer: list[Answer]


class Response(BaseModel):
    """The fields of a response that the file fills."""

    id: str
    status: str
    questionnaire: str
    authored: str
    subject: Reference
    source: Reference
    encounter: Reference
    item: list[Item]


def pydantic(path: Path) -> list[tuple[str, str, str, str, int]]:
    """Return id, subject, authored, question and value of each answer, by the model."""
    with path.open("rb") as file:
        return [
            (
                said.id,
                said.subject.reference,
                said.authored,
                item.linkId,
                one.valueInteger,
            )
            for said in map(Response.model_validate_json, file)
            for item in said.item
            for one in item.answer
        ]


def door_reading(path: Path) -> None:
    """Read them as the door does, every resource numbered."""
    with duckdb.connect(config={"threads": "2"}) as con:
        reader = Reader(con, path.parent)
        reader.read(look_at(1, path))
        reader.finish()


def cpu_seconds(work: Callable[[Path], object], path: Path) -> float:
    """Return the CPU seconds of one piece of work."""
    before = time.process_time()
    work(path)
    return time.process_time() - before


def main() -> None:
    """Run all four in turn and print the ratios."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "QuestionnaireResponse.000.ndjson"
        write_responses(path, n)
        assert_equal(path)
        taken: dict[str, list[dict[str, float]]] = {}
        for _ in range(5):
            for work in (narrow, same, pydantic, door_reading):
                cost = round(cpu_seconds(work, path), 3)
                taken.setdefault(work.__name__, []).append({"cpu_s": cost})
    sides = {side: summary(runs) for side, runs in taken.items()}
    door = sides["door_reading"]["cpu_s"]["median"]
    save(
        "fhir",
        {
            "n_responses": n,
            "sides": sides,
            "cpu_ratio_to_same": round(door / sides["same"]["cpu_s"]["median"], 2),
            "cpu_ratio_to_narrow": round(door / sides["narrow"]["cpu_s"]["median"], 2),
            "cpu_ratio_to_pydantic": round(
                door / sides["pydantic"]["cpu_s"]["median"], 2
            ),
        },
    )


def assert_equal(path: Path) -> None:
    """Hold the door's responses and their answers against the engine's."""
    asked = (
        "select count(*), sum(hash(id, authored, subject.reference)),"
        " sum(list_sum([hash(i.linkId, i.answer[1].valueInteger::integer) % 1000000"
        " for i in item])) from "
    )
    with duckdb.connect(config={"threads": "2"}) as con:
        reader = Reader(con, path.parent)
        reader.read(look_at(1, path))
        reader.finish()
        ours = con.execute(asked + "fh_QuestionnaireResponse").fetchone()
        bare = con.execute(
            f"{asked} read_json('{path}', format = 'newline_delimited',"
            f" columns = {_FIELDS})"
        ).fetchone()
        assert ours == bare, "the door's answers are not those of the engine"
        values = con.execute(
            "select sum(list_sum([i.answer[1].valueInteger::integer for i in item]))"
            " from fh_QuestionnaireResponse"
        ).fetchone()
        assert values == (sum(row[-1] for row in pydantic(path)),), "nor of the model"


if __name__ == "__main__":
    main()
