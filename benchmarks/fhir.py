"""FHIR responses: what the door's reading costs beside the engine's bare typed scan.

``python benchmarks/fhir.py [N]``: N QuestionnaireResponses of nine items (200,000), written
to a temporary folder; both ways in one run, in turn, medians of three, CPU seconds.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb

from rapport.ingest.fhir.members import look_at
from rapport.ingest.fhir.reading import Reader

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


def bare_scan(path: Path) -> None:
    """Read the same fields with the engine alone."""
    with duckdb.connect(config={"threads": "2"}) as con:
        con.execute(
            "create temp table said as from read_json(?,"
            f" format = 'newline_delimited', columns = {_FIELDS})",
            [str(path)],
        )


def door_reading(path: Path) -> None:
    """Read them as the door does, every resource numbered."""
    with duckdb.connect(config={"threads": "2"}) as con:
        reader = Reader(con, path.parent)
        reader.read(look_at(1, path))
        reader.finish()


def cpu_seconds(work: Callable[[Path], None], path: Path) -> float:
    """Return the CPU seconds of one piece of work."""
    before = time.process_time()
    work(path)
    return time.process_time() - before


def main() -> None:
    """Run both ways in turn and print the ratio."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "QuestionnaireResponse.000.ndjson"
        write_responses(path, n)
        taken: dict[str, list[float]] = {"bare": [], "door": []}
        for _ in range(3):
            taken["bare"].append(cpu_seconds(bare_scan, path))
            taken["door"].append(cpu_seconds(door_reading, path))
    bare, door = median(taken["bare"]), median(taken["door"])
    print(
        f"{n:,} responses: bare {bare:.2f} CPU-s, reading {door:.2f}: {door / bare:.2f}×"
    )


if __name__ == "__main__":
    main()
