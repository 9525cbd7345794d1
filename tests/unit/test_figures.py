"""The long proofs' records go on where they were cut off, and their figures are told."""

from pathlib import Path

from lib.figures import PAGE, ROWS, rendered
from lib.proving import Record

_LINES = {
    "kills": {"n": 5, "n_looks": 900},
    "vault_kills": {"n": 1, "what": "rotation", "at": 1, "of": 90},
    "bursts": {"n": 30, "n_killed": 2, "published_s": 400},
    "postgres": {"n": 60, "n_killed": 4, "n_cleaned": 70},
    "readers": {"n": 10, "n_readers": 20, "n_looks": 700, "n_failures": 0},
    "two_at_once": {"n": 6, "n_late": 2},
    "full_disk": {"n": 1, "free": 64_000, "full": ["ingest", "build"]},
    "damage": {"n": 2, "tried": ["bronze cut", "state flipped"]},
    "clocks": {"n": 1, "cell": "into a leap day"},
    "increments": {"n": 40, "n_rows": 9000},
    "oracle": {"n": 100, "profile": "defaults", "n_rows": 9000},
    "fuzz": {"n": 500, "kind": "csv", "n_cases": 500, "peak_mb": 110, "failures": []},
    "thirty_nights": {"n": 1, "day": 1},
    "restore": {"n": 1, "clinic": "12 clients", "backup_s": 1.0,
                "lay_and_check_s": 2.0, "night_s": 30.0},
}  # fmt: skip


def test_a_record_goes_on_after_a_line_that_was_cut_off(tmp_path: Path) -> None:
    record = Record("readers", tmp_path)
    record.add({"n": 10, "good": True})
    record.add({"n": 10, "good": False})
    with record.path.open("a") as file:
        file.write('{"n": 10, "go')
    again = Record("readers", tmp_path)
    assert (again.n, len(again.bad)) == (20, 1)
    again.add({"n": 1, "good": True, "canaries_in": ["logs/rapport.jsonl"]})
    assert [line["n"] for line in Record("readers", tmp_path).bad] == [10, 1]


def test_each_row_is_told_from_its_record_and_a_failure_comes_first(
    tmp_path: Path,
) -> None:
    page = "# Page\n\n| fault | volume | program | what held |\n| --- | --- | --- | --- |\n"
    for row in ROWS:
        Record(row.name, tmp_path).add(
            {**_LINES[row.name], "good": row.name != "damage"}
        )
    told = rendered(page, tmp_path)
    assert rendered(told, tmp_path) == told
    lines = [line for line in told.splitlines() if "prove_" in line]
    assert len(lines) == len(ROWS)
    assert [line.count("**1 of 1 lines did not hold**") for line in lines] == [
        int(row.name == "damage") for row in ROWS
    ]
    assert "| canary scan after the above |" in told


def test_what_was_found_and_mended_is_told_and_no_longer_bad(tmp_path: Path) -> None:
    page = "# Page\n\n| fault | volume | program | what held |\n| --- | --- | --- | --- |\n"
    line = {**_LINES["kills"], "good": False, "mended": "half a copy stayed"}
    Record("kills", tmp_path).add(line)
    (told,) = [
        row for row in rendered(page, tmp_path).splitlines() if "/prove_kills.py" in row
    ]
    assert "lines did not hold" not in told
    assert "mended since: half a copy stayed" in told


def test_the_page_has_a_row_for_each_proof() -> None:
    page = PAGE.read_text("utf-8")
    assert [row.name for row in ROWS if f"| {row.fault} |" not in page] == []
