"""A delivery cut off anywhere: no damaged row is loaded unseen, no other delivery lost."""

import datetime as dt
import gzip
import json
import random
from pathlib import Path

import duckdb

from lib.door import InProcess
from lib.door_cases import CLIENTS, workbook, zipped

N_OFFSETS = {
    "sessions.csv": 110,
    "sessions.ndjson": 30,
    "sessions.csv.gz": 20,
    "sessions.zip": 20,
    "sessions.xlsx": 10,
    "sessions.parquet": 10,
}
HEADERS = ("session_id", "client_id", "therapist_id", "started_at", "status", "note")
NOTES = ("", "plain", "Süd “quoted”", 'a ""b"" c', "two\nlines", "a,b;c", "\r\nstarts")


def rows() -> list[tuple[str, ...]]:
    start = dt.datetime(2026, 1, 5, 9, 0)
    return [
        (
            f"S{n:03}",
            f"A{n % 7}",
            f"T{n % 3}",
            (start + dt.timedelta(hours=n)).isoformat(),
            ("attended", "no_show")[n % 2],
            NOTES[n % len(NOTES)],
        )
        for n in range(60)
    ]


def whole_files(folder: Path) -> dict[str, bytes]:
    """Return one delivery in every format."""
    lines = [",".join(HEADERS)]
    for *cells, note in rows():
        lines.append(",".join([*cells, f'"{note}"' if note else ""]))
    csv = ("\n".join(lines) + "\n").encode()
    objects = [json.dumps(dict(zip(HEADERS, row, strict=True))) for row in rows()]
    parquet = folder / "whole.parquet"
    with duckdb.connect() as con:
        con.execute(f"create table t ({', '.join(f'{h} varchar' for h in HEADERS)})")
        con.executemany(f"insert into t values ({', '.join('?' * 6)})", rows())
        con.execute(f"copy t to '{parquet}' (format parquet)")
    return {
        "sessions.csv": csv,
        "sessions.ndjson": ("\n".join(objects) + "\n").encode(),
        "sessions.csv.gz": gzip.compress(csv),
        "sessions.zip": zipped({"sessions.csv": csv}),
        "sessions.xlsx": workbook({"Sheet1": [list(HEADERS), *map(list, rows())]}),
        "sessions.parquet": parquet.read_bytes(),
    }


def row_ends(name: str, said: bytes) -> set[int]:
    """Return the offsets at which no row is damaged."""
    if name.endswith(".ndjson"):
        # An object that is closed is whole, with or without its line end.
        breaks = {n + 1 for n, byte in enumerate(said) if byte == ord("\n")}
        return breaks | {n - 1 for n in breaks}
    breaks, is_quoted = set(), False
    for n, byte in enumerate(said):
        is_quoted ^= byte == ord('"')
        if byte == ord("\n") and not is_quoted:
            breaks.add(n + 1)
    return breaks


def facts(found: list[dict]) -> dict[str, tuple]:
    """Return what was loaded, by the session's key."""
    return {
        row["session_key"]: tuple(
            value
            for name, value in row.items()
            if name not in ("batch_id", "source", "row_no", "file_no")
        )
        for row in found
    }


def test_a_delivery_cut_off_anywhere_loses_no_row_unseen(tmp_path: Path) -> None:
    chance = random.Random(20261128)
    whole = whole_files(tmp_path)
    assert sum(N_OFFSETS.values()) == 200
    n_cut_rows = 0
    with InProcess(tmp_path / "home") as door:
        first = door.deliver(
            "canonical", "whole", {"sessions.csv": whole["sessions.csv"]}
        )
        assert first.rows["loaded"] == len(rows())
        truth = facts(door.bronze("canonical", "sessions"))
        for name, n_offsets in N_OFFSETS.items():
            has_lines = name.endswith((".csv", ".ndjson"))
            for offset in chance.sample(range(len(whole[name])), n_offsets):
                said = whole[name][:offset]
                loaded = door.deliver("canonical", f"{name}-{offset}", {name: said})
                n_cut_rows += loaded.rows["quarantined"]
                # What is missing was said, or the cut fell between two rows.
                is_row_end = has_lines and offset in row_ends(name, whole[name])
                assert loaded.reasons or is_row_end, (name, offset)
                assert has_lines or loaded.outcome == "refused", (name, offset)
            after = {"clients.csv": CLIENTS, name: whole[name]}
            kept = door.deliver("canonical", f"{name}-whole", after)
            assert kept.outcome == "loaded"
            assert kept.rows["loaded"] == 2 + len(rows())
        found = door.bronze("canonical", "sessions")
    assert n_cut_rows > 50
    assert len(found) > 2000
    assert len(truth) == len(rows())
    # Every row that was loaded is a row of the whole delivery, cell for cell.
    wrong = [
        row
        for row in found
        if facts([row])[row["session_key"]] != truth[row["session_key"]]
    ]
    assert wrong == []
