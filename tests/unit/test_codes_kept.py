"""Free codes: what has the shape of a code is kept, a word or a number of a record is not.

Specification: privacy A1.
"""

from pathlib import Path

import pytest

from lib.door import InProcess

SERVICES = ["90837", "90837-95", "H0004:HO", "0362T", "IND60", "GRP-90"]
VERSIONS = ["1", "3.0", "2.1a", "v2", "SR", "2019-rev"]
NOT_CODES = ["Doe", "Jane_Doe", "McPherson", "jane", "MRN123456789", "4417-1234567"]


@pytest.mark.parametrize(
    ("table", "column", "head", "row", "kept"),
    [
        pytest.param(
            "sessions",
            "service_code",
            "session_id,client_id,therapist_id,started_at,service_code",
            "S{n},C1,T1,2026-03-01T09:00:00Z,{code}",
            SERVICES,
            id="service codes",
        ),
        pytest.param(
            "measures",
            "version",
            "administration_id,client_id,instrument,rater,administered_at,version",
            "A{n},C1,PHQ-9,client,2026-03-01,{code}",
            VERSIONS,
            id="versions",
        ),
    ],
)
def test_a_free_code_is_kept_only_in_the_shape_of_one(
    tmp_path: Path, table: str, column: str, head: str, row: str, kept: list[str]
) -> None:
    rows = [row.format(n=n, code=c) for n, c in enumerate([*kept, *NOT_CODES])]
    with InProcess(tmp_path / "home") as door:
        said = door.deliver(
            "canonical", "d1", {f"{table}.csv": "\n".join([head, *rows]) + "\n"}
        )
        assert said.notices == {"code_unreadable": len(NOT_CODES)}
        found = [r[column] for r in door.bronze("canonical", table)]
        assert found == kept + [None] * len(NOT_CODES)


def test_the_name_of_another_source_goes_into_a_key_and_nowhere_else(
    tmp_path: Path,
) -> None:
    with InProcess(tmp_path / "home") as door:
        said = door.deliver(
            "canonical",
            "d1",
            {
                "client_links.csv": "client_id,other_source,other_client_id,linked_on\n"
                "C1,north,N1,2026-03-01\nC1,south,N1,2026-03-01\nC1,,N1,2026-03-01\n"
            },
        )
        assert said.rows["loaded"] == 2 and said.rows["quarantined"] == 1
        rows = door.bronze("canonical", "client_links")
        assert [r["other_client_key"] for r in rows] == [
            door.keys.row_key("client", source, "N1") for source in ("north", "south")
        ]
        assert not any("north" in str(value) for row in rows for value in row.values())
