"""The door: what is loaded, what is refused and why, and that nothing is lost."""

import json
from pathlib import Path

import duckdb
import pytest

from conftest import Home, table

CLIENTS = table("client_id | birth_date\nA1 | 1980-05-06\nA2 | 1990-01-02")
SESSION_HEAD = "session_id | client_id | therapist_id | started_at | status"
CANARY = "ZZCANARYZZ"


def bronze(home: Home, name: str) -> list[dict]:
    files = sorted((home.path / "bronze").glob(f"*/{name}/*.parquet"))
    if not files:
        return []
    con = duckdb.connect()
    con.execute("select * from read_parquet(?)", [[str(f) for f in files]])
    names = [d[0] for d in con.description]
    return [dict(zip(names, row, strict=True)) for row in con.fetchall()]


def sums_hold(home: Home) -> None:
    rows = json.loads(home.run("status", "--json", check=None).stdout)["rows"]
    assert rows["in"] == sum(n for name, n in rows.items() if name != "in")


def reasons(home: Home) -> dict[str, int]:
    said = json.loads(home.run("status", "--json", check=4).stdout)
    return {row["reason"]: row["n_rows"] for row in said["quarantine"]}


def test_good_rows_are_typed_keyed_and_reduced(home: Home) -> None:
    clients = table(
        "client_id | birth_date | postal_code | sex | race | surname\n"
        "A1 | 1980-05-06 | 10025-1234 | F | White | Doe\n"
        "A2 | 1990 | 03601 | zzz | white;asian |"
    )
    home.deliver("d1", {"clients.csv": clients})
    home.run("ingest")
    first, second = sorted(bronze(home, "clients"), key=lambda r: r["birth_year"])
    assert (first["birth_year"], first["zip3"], first["sex"]) == (1980, "100", "female")
    assert (second["zip3"], second["sex"]) == ("000", "unknown")
    assert second["sex_raw"].startswith("r_")
    assert "surname" not in first
    assert "A1" not in str(first)
    sums_hold(home)


@pytest.mark.parametrize(
    ("sessions", "reason", "n_loaded"),
    [
        ("S1 | A1 | T1 | 2026-01-05T10:00 | attended\nS2 | | T1 | 2026-01-06T10:00 | x",
         "required_value_missing", 1),
        (f"S1 | A1 | T1 | 2026-01-05T10:00 | attended\nS2 | A1 | T1 | {CANARY} | x",
         "timestamp_unreadable", 1),
        ("S1 | A1 | T1 | 2026-01-05T10:00 | attended\nS2 | A1 | T1",
         "row_too_short", 1),
        ("S1 | A1 | T1 | 2026-01-05T10:00 | attended\nS2 | A1 | T1 | 2026-01-05 | x | y",
         "row_too_long", 1),
        (f"S1 | A1 | T1 | 2026-01-05T10:00 | attended\n{CANARY * 20} | A1 | T1 | 2026-01-05 | x",
         "value_too_long", 1),
    ],
)  # fmt: skip
def test_a_bad_row_is_quarantined_and_the_rest_is_loaded(
    home: Home, sessions: str, reason: str, n_loaded: int
) -> None:
    files = {
        "clients.csv": CLIENTS,
        "sessions.csv": table(f"{SESSION_HEAD}\n{sessions}"),
    }
    home.deliver("d1", files)
    said = home.run("ingest", check=4)
    assert f"[{reason}]" in said.stderr
    assert "row 3" in said.stderr
    assert CANARY not in said.stderr + said.stdout
    assert reasons(home) == {reason: 1}
    assert len(bronze(home, "sessions")) == n_loaded
    assert len(bronze(home, "clients")) == 2
    sums_hold(home)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("sessions.csv", "session_id,client_id,therapist_id\nS1,A1,T1\n", "required_column_missing"),
        ("sessions.csv", "", "file_empty"),
        ("sessions.csv", "S1,A1,T1,2026-01-01T10:00,attended\n", "header_unrecognised"),
        ("Doe_Jane.csv", "a,b\n1,2\n", "file_unknown"),
        ("sessions.csv", b"session_id,client_id,therapist_id,started_at\nS\x81,A,T,2026-01-01\n",
         "encoding_unreadable"),
    ],
)  # fmt: skip
def test_a_bad_file_is_quarantined_whole_and_the_others_are_loaded(
    home: Home, name: str, content: str | bytes, reason: str
) -> None:
    home.deliver("d1", {"clients.csv": CLIENTS, name: content})
    said = home.run("ingest", check=4)
    assert f"[{reason}]" in said.stderr
    assert "Doe" not in said.stderr
    assert reason in reasons(home)
    assert len(bronze(home, "clients")) == 2
    sums_hold(home)


def test_a_folder_in_place_of_a_file_is_refused(home: Home) -> None:
    folder = home.deliver("d1", {"clients.csv": CLIENTS})
    (folder / "sessions.csv").mkdir()
    home.run("ingest", check=4)
    assert "not_a_file" in reasons(home)


def test_a_cut_off_file_loses_its_last_row_to_quarantine_only(home: Home) -> None:
    home.deliver("d1", {"clients.csv": CLIENTS[:-3]})
    home.run("ingest", check=4)
    assert reasons(home) == {"unterminated_last_row": 1}
    assert len(bronze(home, "clients")) == 1
    sums_hold(home)


def test_blank_lines_are_counted_and_shift_no_row_number(home: Home) -> None:
    clients = "client_id,birth_date\n\nA1,1980\n\n  \nA2,1990\nA3\n,\n"
    home.deliver("d1", {"clients.csv": clients})
    said = home.run("ingest", check=4)
    assert "row 7" in said.stderr
    assert reasons(home) == {"row_too_short": 1}
    assert sorted(row["row_no"] for row in bronze(home, "clients")) == [3, 6]
    rows = json.loads(home.run("status", "--json", check=4).stdout)["rows"]
    assert (rows["in"], rows["loaded"], rows["blank"]) == (7, 2, 4)
    sums_hold(home)


def test_a_line_break_inside_a_cell_is_no_blank_line(home: Home) -> None:
    clients = 'client_id,birth_date,nickname\nA1,1980,"a\n\nb"\nA2,1990,\n'
    home.deliver("d1", {"clients.csv": clients})
    home.run("ingest")
    assert sorted(row["row_no"] for row in bronze(home, "clients")) == [2, 3]
    sums_hold(home)


def test_a_delivery_without_its_marker_waits(home: Home) -> None:
    folder = home.deliver("d1", {"clients.csv": CLIENTS}, is_complete=False)
    home.run("ingest")
    said = json.loads(home.run("status", "--json").stdout)
    assert said["deliveries"]["incomplete"][0]["reason"] == "delivery_incomplete"
    assert bronze(home, "clients") == []
    (folder / "_SUCCESS").touch()
    home.run("ingest")
    assert len(bronze(home, "clients")) == 2


def test_resending_the_same_delivery_changes_nothing(home: Home) -> None:
    folder = home.deliver("d1", {"clients.csv": CLIENTS})
    home.run("ingest")
    before = bronze(home, "clients")
    (folder / "clients.csv").write_text(CLIENTS)
    home.run("ingest")
    assert bronze(home, "clients") == before
    (folder / "clients.csv").write_text(CLIENTS.replace("1980", "1981"))
    home.run("ingest", check=4)
    assert "delivery_changed" in reasons(home)
    assert bronze(home, "clients") == before


def test_merges_that_lead_back_are_refused(home: Home) -> None:
    merges = table(
        "old_client_id | new_client_id | merged_on\nA1 | A2 | 2026-01-01\n"
        "A2 | A1 | 2026-01-01\nA3 | A3 | 2026-01-01\nA4 | A1 | 2026-01-01"
    )
    home.deliver("d1", {"client_merges.csv": merges})
    home.run("ingest", check=4)
    assert reasons(home) == {"merge_cycle": 2, "merge_to_itself": 1}
    assert len(bronze(home, "client_merges")) == 1
    sums_hold(home)


def test_unknown_codes_and_repeats_are_counted_not_refused(home: Home) -> None:
    measures = table(
        "administration_id | client_id | instrument | rater | administered_at\n"
        "M1 | A1 | Mood Check | client | 2026-01-01\nM1 | A1 | wai_sr | client | 2026-01-01"
    )
    home.deliver("d1", {"measures.csv": measures})
    home.run("ingest")
    notices = json.loads(home.run("status", "--json").stdout)["notices"]
    assert {"instrument_unknown", "duplicate_id"} <= {n["reason"] for n in notices}
    assert {row["instrument"] for row in bronze(home, "measures")} == {
        "unknown",
        "WAI-SR",
    }


def test_a_bare_file_becomes_a_delivery(home: Home) -> None:
    folder = home.path / "inbox" / "canonical"
    folder.mkdir(parents=True)
    (folder / "clients.csv").write_text(CLIENTS)
    (home.path / "rapport.toml").write_text("[inbox]\nsettle_seconds = 0\n")
    home.run("ingest")
    assert len(bronze(home, "clients")) == 2
    assert [p.name.startswith("clients.csv~") for p in folder.iterdir()] == [True]


def test_a_source_without_a_mapping_is_refused_with_what_to_do(home: Home) -> None:
    home.deliver("d1", {"clients.csv": CLIENTS}, source="north")
    said = home.run("ingest", check=4)
    assert "mappings/<source>.toml" in said.stderr


def test_a_mapping_that_wants_names_does_not_load(home: Home) -> None:
    (home.path / "mappings").mkdir(parents=True)
    (home.path / "mappings" / "north.toml").write_text(
        '[[file]]\nmatch = "c.csv"\ntable = "clients"\n'
        'columns = { client_id = "id", sex = "First Name" }\n'
    )
    home.deliver("d1", {"c.csv": "id,First Name\n1,x\n"}, source="north")
    assert "not wanted" in home.run("ingest", check=2).stderr


def test_bronze_and_logs_hold_no_source_id(home: Home) -> None:
    home.deliver(f"{CANARY}-d", {"clients.csv": CLIENTS.replace("A1", CANARY)})
    home.run("ingest")
    for path in sorted(Path(home.path).rglob("*")):
        inside = path.relative_to(home.path).parts[0]
        if path.is_file() and inside not in ("inbox", "quarantine", "vault"):
            assert CANARY.encode() not in path.read_bytes(), path.name
    assert CANARY not in str(bronze(home, "clients"))
