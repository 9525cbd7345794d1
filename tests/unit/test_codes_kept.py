"""Free codes: what has the shape of a code is kept, a word or a number of a record is not.

Specification: privacy A1.
"""

from pathlib import Path

from lib.door import InProcess

SERVICES = ["90837", "90837-95", "H0004:HO", "0362T", "IND60", "GRP-90"]
NOT_CODES = ["Doe", "Jane_Doe", "McPherson", "jane", "MRN123456789", "4417-1234567"]


def test_a_service_code_is_kept_only_in_the_shape_of_one(tmp_path: Path) -> None:
    rows = [
        f"S{n},C1,T1,2026-03-01T09:00:00Z,{code}"
        for n, code in enumerate([*SERVICES, *NOT_CODES])
    ]
    head = "session_id,client_id,therapist_id,started_at,service_code"
    with InProcess(tmp_path / "home") as door:
        said = door.deliver(
            "canonical", "d1", {"sessions.csv": "\n".join([head, *rows]) + "\n"}
        )
        assert said.notices == {"code_unreadable": len(NOT_CODES)}
        found = [r["service_code"] for r in door.bronze("canonical", "sessions")]
        assert found == SERVICES + [None] * len(NOT_CODES)


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
