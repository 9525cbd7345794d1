"""Erasure: one person out of every store, whatever the files, and kept out."""

import gzip
import io
import json
import shutil
import zipfile
from pathlib import Path

import duckdb
import openpyxl
import pytest

from conftest import Home, table
from lib.canaries import search_folder
from lib.documented import documented, run_here
from lib.small_nights import settings_of
from rapport import night, purge
from rapport.errors import UsageError
from rapport.extracts.difference import keep_persons, kept_persons, persons_path
from rapport.extracts.ledger import record, standings
from rapport.ingest.rewrite import IdPart, IdRule, Person, rewrite_folder
from rapport.privacy import KeyRing, Vault
from rapport.state import ControlState
from rapport.warehouse import in_memory

GONE, STAYS = "Client-1042", "Client-10423"
FORM = "Form-77001"
REASON = "asked for by letter"
REQUEST = {
    "study": "alliance-repair-2026",
    "title": "Ruptures and repairs in trauma work",
    "purpose": "How repair goes together with the outcome",
    "requester": {
        "name": "Dr. Holder", "organisation": "University", "email": "h@u.example",
    },
    "profile": "safe_harbor",
    "period": {"from": "2022-01-01", "to": "2025-12-31"},
    "tables": ["clients"],
    "formats": ["csv"],
    "expires_on": "2027-12-31",
}  # fmt: skip
CLIENTS = table(f"client_id | sex\n{GONE} | f\n{STAYS} | m")
MEASURES = table(
    "administration_id | client_id | instrument | rater | administered_at\n"
    f"{FORM} | {GONE} | PHQ-9 | client | 2026-03-02\n"
    f"Form-88002 | {STAYS} | PHQ-9 | client | 2026-03-02"
)
ITEMS = table(f"administration_id | item | value\n{FORM} | 1 | 2\nForm-88002 | 1 | 3")
DIAGNOSES = table(
    "client_id | code | recorded_on\n"
    f"{GONE} | F43.10 | never\n{STAYS} | F43.10 | 2026-03-02"
)


def workbook() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "clients"
    for row in (["client_id", "sex"], [GONE, "f"], [STAYS, "m"]):
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("clients.csv", CLIENTS)
    return out.getvalue()


def lines() -> str:
    rows = [
        {"client_id": who, "code": "F43.10", "recorded_on": "2026-03-02"}
        for who in (GONE, STAYS)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet(folder: Path) -> bytes:
    path = folder / "delivered.parquet"
    with duckdb.connect() as con:
        con.execute(
            f"copy (select * from (values ('{FORM}', '2', '1'),"
            " ('Form-88002', '2', '1')) as t (administration_id, item, value))"
            f" to '{path}' (format parquet)"
        )
    return path.read_bytes()


def deliver(home: Home) -> None:
    """Deliver one person, and one with a longer id, in every form that a file has."""
    home.deliver("d1", {"clients.csv": CLIENTS, "measures.csv": MEASURES,
                        "measure_items.csv": ITEMS})  # fmt: skip
    home.deliver("d2", {"diagnoses.csv": DIAGNOSES})
    home.deliver("d3", {"clients.csv.gz": gzip.compress(CLIENTS.encode())})
    home.deliver("d4", {"clients.zip": archive()})
    home.deliver("d5", {"clients.xlsx": workbook()})
    home.deliver("d6", {"diagnoses.ndjson": lines()})
    home.deliver("d7", {"measure_items.parquet": parquet(home.path)})
    (home.path / "delivered.parquet").unlink()
    home.deliver("d8", {"clients.csv": CLIENTS.encode("utf-16")})
    home.deliver("d9", {"unknown.csv": CLIENTS})


@pytest.fixture(scope="module")
def taken_in(new_home) -> Path:
    """Take everything in once; each test disturbs a copy."""
    home = new_home("purged")
    deliver(home)
    night.ingest(settings_of(home))
    return home.path


@pytest.fixture
def clinic(taken_in: Path, home: Home) -> Home:
    shutil.copytree(taken_in, home.path)
    return home


def places(home: Home, *values: str) -> set[str]:
    named = {str(n): value for n, value in enumerate(values)}
    from rapport.privacy.scan import search_folder as search
    from rapport.warehouse.tables import table_rows

    found = search(home.path, named, table_rows, whole=list(named))
    return {hit.path.split("/")[0] for hit in found.hits}


def erase(home: Home, client: str = GONE, source: str = "canonical") -> purge.Purged:
    return purge.purge_client(settings_of(home), source, client, REASON)


def test_nothing_of_the_person_is_left_and_everything_of_others_is(
    clinic: Home,
) -> None:
    keys = KeyRing.of(settings_of(clinic))
    gone = keys.row_key("client", "canonical", GONE)
    form = keys.row_key("administration", "canonical", FORM)
    (uid,) = [u for *_, u in Vault(clinic.path).named([gone])]
    assert {"inbox", "quarantine", "vault"} <= places(clinic, GONE, FORM)
    assert "bronze" in places(clinic, gone, form)
    done = erase(clinic)
    assert done.left == ()
    assert places(clinic, GONE, FORM) == set()
    hidden = {"1": gone, "2": form, "3": uid}
    assert search_folder(clinic.path, hidden).hits == ()
    stays = keys.row_key("client", "canonical", STAYS)
    assert [row[2] for row in Vault(clinic.path).people()] == [STAYS]
    assert {"inbox", "vault"} <= places(clinic, STAYS, "Form-88002")
    files = ControlState(clinic.path).bronze_files()
    with duckdb.connect() as con:
        for _, path in files["clients"]:
            rows = con.execute(
                "select client_key from read_parquet(?)",
                [str(clinic.path / "bronze" / path)],
            ).fetchall()
            assert rows == [(stays,)]
    proof = json.loads((clinic.path / "vault/purges/1.json").read_text())
    assert proof["scan"]["n_hits"] == 0 and proof["scan"]["n_files"] > 10
    assert proof["counts"]["bronze_rows"] == 9
    assert all(file["before"] != file["after"] for file in proof["files"])


def test_every_row_is_still_accounted_for_and_no_delivery_looks_changed(
    clinic: Home,
) -> None:
    state = ControlState(clinic.path)
    before = {row[:4]: row[4] for row in state.ledger()}
    erase(clinic)
    assert {row[:4]: row[4] for row in state.ledger()} == before
    assert all(row[4] == sum(row[5:10]) for row in state.ledger())
    assert {row["reason"] for row in state.notices()} >= {"purged"}
    held = {(batch, name): n for batch, name, n in state.bronze_rows()}
    loaded: dict[tuple[str, str], int] = {}
    for batch, _, _, name, _, n, *_ in state.ledger():
        if n or (batch, name) in held:
            loaded[batch, name] = loaded.get((batch, name), 0) + n
    assert loaded == held
    night.ingest(settings_of(clinic))
    assert "delivery_changed" not in {row["reason"] for row in state.refusals()}


def test_rows_that_arrive_again_stay_out_and_are_counted(clinic: Home) -> None:
    keys = KeyRing.of(settings_of(clinic))
    hidden = {
        "1": keys.row_key("client", "canonical", GONE),
        "2": keys.row_key("administration", "canonical", FORM),
        "3": keys.row_key("administration", "canonical", "Form-99003"),
    }
    erase(clinic)
    more = MEASURES.replace(FORM, "Form-99003")
    clinic.deliver("e1", {"measure_items.csv": ITEMS, "clients.csv": CLIENTS})
    clinic.deliver("e2", {"diagnoses.csv": DIAGNOSES, "measures.csv": more,
                          "measure_items.csv": ITEMS.replace(FORM, "Form-99003")})  # fmt: skip
    night.ingest(settings_of(clinic))
    assert search_folder(clinic.path, hidden).hits == ()
    assert places(clinic, GONE) == {"inbox"}
    state = ControlState(clinic.path)
    assert all(row[4] == sum(row[5:10]) for row in state.ledger())
    purged = sum(r["n_rows"] for r in state.notices() if r["reason"] == "purged")
    assert purged >= 5
    # The control switched off: without the marks the same rows come back.
    (clinic.path / "vault/tombstones.json").unlink()
    clinic.deliver("e3", {"measure_items.csv": ITEMS, "clients.csv": CLIENTS})
    night.ingest(settings_of(clinic))
    assert {hit.canary for hit in search_folder(clinic.path, hidden).hits} == {"1", "2"}


def test_an_unknown_client_changes_nothing_and_an_erased_one_is_told(
    clinic: Home,
) -> None:
    before = {p: p.stat().st_mtime_ns for p in clinic.path.rglob("*.parquet")}
    with pytest.raises(UsageError, match="no such client"):
        erase(clinic, "Client-9999")
    with pytest.raises(UsageError, match="no such client"):
        erase(clinic, source="elsewhere")
    assert {p: p.stat().st_mtime_ns for p in clinic.path.rglob("*.parquet")} == before
    with pytest.raises(UsageError, match="without the client's id"):
        purge.purge_client(settings_of(clinic), "canonical", GONE, f"letter of {GONE}")
    erase(clinic)
    with pytest.raises(UsageError, match="erased before"):
        erase(clinic)


def test_a_merged_and_a_linked_record_go_with_the_person(clinic: Home) -> None:
    (clinic.path / "mappings").mkdir()
    (clinic.path / "mappings" / "south.toml").write_text('extends = "canonical"\n')
    clinic.deliver("m1", {"client_merges.csv": table(
        f"old_client_id | new_client_id | merged_on\nClient-OLD9 | {GONE} | 2026-03-01")})  # fmt: skip
    clinic.deliver("m2", {"client_links.csv": table(
        "client_id | other_source | other_client_id | linked_on\n"
        f"{GONE} | south | South-5555 | 2026-03-01")})  # fmt: skip
    clinic.deliver("s1", {"clients.csv": table("client_id | sex\nSouth-5555 | f\nSouth-6666 | m")},
                   source="south")  # fmt: skip
    night.ingest(settings_of(clinic))
    done = erase(clinic, "Client-OLD9")
    assert done.left == () and done.n_sources == 2 and done.n_records == 3
    assert places(clinic, GONE, "Client-OLD9", "South-5555") == set()
    assert {"inbox", "vault"} <= places(clinic, "South-6666")


def test_a_release_that_held_the_person_is_told_and_the_vault_forgets_who(
    clinic: Home,
) -> None:
    """The package is out of reach; what the vault kept of it is not."""
    keys = KeyRing.of(settings_of(clinic))
    (uid,) = [
        row[3]
        for row in Vault(clinic.path).named([keys.row_key("client", "canonical", GONE)])
    ]
    held = {"r_1": [uid, "other"], "r_2": ["other"]}
    for number, (release, uids) in enumerate(held.items(), start=1):
        folder = clinic.path / "extracts" / f"x_{number}"
        folder.mkdir(parents=True)
        (folder / "request.json").write_text(json.dumps(REQUEST))
        for event in ("requested", "built", "approved", "released"):
            record(clinic.path, event, f"x_{number}", actor="Ada", digest="0" * 64,
                   release_id=release if event == "released" else None)  # fmt: skip
        with in_memory() as con:
            cells = {"": frozenset(uids)}
            keep_persons(con, persons_path(clinic.path, release), cells)
    assert erase(clinic).releases == (
        {"release_id": "r_1", "holder": "Dr. Holder, University"},
    )
    assert {i: s.state for i, s in standings(clinic.path).items()} == {
        "x_1": "superseded", "x_2": "released",
    }  # fmt: skip
    with in_memory() as con:
        left = kept_persons(con, persons_path(clinic.path, "r_1"))
    assert left == {"": {"other"}}


def test_what_the_search_still_finds_is_told_and_not_called_proved(
    clinic: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time by the command of the how-to page."""
    (clinic.path / "logs").mkdir(exist_ok=True)
    (clinic.path / "logs" / "copied.txt").write_text(f"someone wrote {GONE} here")
    done = erase(clinic)
    assert done.left == ("logs/copied.txt",)
    (clinic.path / "logs" / "copied.txt").unlink()
    again = documented("erase-a-client", "purge client", **{"client-id": GONE})
    run_here(clinic, again, monkeypatch)
    assert places(clinic, GONE, FORM) == set()


def test_a_short_id_takes_no_other_persons_rows_with_it(tmp_path: Path) -> None:
    """Client 2 goes; a score of 2 and a list in one line do not."""
    rule = IdRule("*", "client", (IdPart(("client_id",)),))
    person = Person(frozenset(["2"]), lambda entity, text: False, (rule,))
    (tmp_path / "aside").mkdir()
    folder = tmp_path / "d1"
    folder.mkdir()
    (folder / "a.csv").write_text("client_id,value\n1,2\n2,1\n")
    (folder / "b.ndjson").write_text('{"client_id": 1, "value": 2}\n{"client_id": 2}\n')
    (folder / "c.json").write_text('[{"client_id": 1, "value": 2}, {"client_id": "2"}]')
    rewrite_folder(folder, person, tmp_path / "aside", lambda path, n_rows: None)
    assert (folder / "a.csv").read_text() == "client_id,value\n1,2\n"
    assert (folder / "b.ndjson").read_text() == '{"client_id": 1, "value": 2}\n'
    assert json.loads((folder / "c.json").read_text()) == [{"client_id": 1, "value": 2}]


COMPOSED = """
description = "ids of two columns, and rows that name their client in another file"
[[file]]
match = "people.csv"
table = "clients"
columns = { sex = "sex" }
compose = { client_id = ["site", "no"] }
[[file]]
match = "visits.csv"
table = "sessions"
columns = { session_id = "visit", therapist_id = "by", started_at = "at", status = "status" }
compose = { client_id = ["site", "no"] }
[[file]]
match = "codes.csv"
table = "diagnoses"
columns = { code = "code", recorded_on = "on" }
compose = { client_id = ["visited.site", "visited.no"] }
join = [{ name = "visited", match = "visits.csv", on = { ref = "ref" } }]
"""


@pytest.fixture
def west(home: Home) -> Home:
    """Take in a source whose ids are short, and stand in no cell."""
    (home.path / "mappings").mkdir(parents=True)
    (home.path / "mappings" / "west.toml").write_text(COMPOSED)
    home.deliver("d1", {
        "people.csv": table("site | no | sex\nA | 7 | f\nA | 70 | m\nB | 7 | f"),
        "visits.csv": table(
            "visit | site | no | by | at | status\n"
            "V1 | A | 7 | T1 | 2026-03-02T10:00 | attended\n"
            "V2 | A | 70 | T1 | 2026-03-02T11:00 | attended\n"
            "V3 | B | 7 | T1 | never | attended\n"
            "V4 | A | 7 | T1 | never | attended"),
    }, source="west")  # fmt: skip
    night.ingest(settings_of(home))
    return home


def test_a_composed_id_is_erased_row_by_row_and_its_neighbours_stay(west: Home) -> None:
    """Of A|7 nothing is left, in refused rows neither; A|70 and B|7 are other people."""
    refused = west.path / "quarantine" / "west"
    assert erase(west, "A|7", source="west").is_proved
    folder = west.path / "inbox" / "west" / "d1"
    assert (folder / "people.csv").read_text() == "site,no,sex\nA,70,m\nB,7,f\n"
    assert "V1" not in (folder / "visits.csv").read_text()
    assert "V4" not in (folder / "visits.csv").read_text()
    with duckdb.connect() as con:
        rows = con.execute(f"from read_parquet('{refused}/*/*.rows.parquet')").fetchall()  # fmt: skip
    assert len(rows) == 1 and "V3" in rows[0]
    assert {row[2] for row in Vault(west.path).people()} == {"A|70", "B|7"}
    proof = json.loads((west.path / "vault/purges/1.json").read_text())
    assert proof["scan"]["n_short_ids"] == 1 and proof["scan"]["n_rows_at_door"] > 0
    assert proof["counts"]["refused_rows"] == 1


def test_rows_that_name_their_person_in_another_file_are_not_called_erased(
    west: Home,
) -> None:
    west.deliver("d2", {
        "visits.csv": table("visit | ref | site | no | by | at | status\n"
                            "V5 | R5 | A | 7 | T1 | 2026-04-02T10:00 | attended"),
        "codes.csv": table("ref | code | on\nR5 | F43.10 | 2026-04-02"),
    }, source="west")  # fmt: skip
    night.ingest(settings_of(west))
    done = erase(west, "A|7", source="west")
    assert done.left == ("inbox/west/d2",)
    # Remembered: the same command does not forget what it could not take out.
    assert erase(west, "A|7", source="west").left == ("inbox/west/d2",)
    (west.path / "inbox/west/d2/codes.csv").unlink()
    assert erase(west, "A|7", source="west").is_proved


def test_a_file_that_nobody_can_open_is_told_and_not_called_proved(
    west: Home,
) -> None:
    cut = west.path / "inbox" / "west" / "d1" / "scans.zip"
    cut.write_bytes(archive()[:-40])
    done = erase(west, "A|7", source="west")
    assert done.unread == ("inbox/west/d1/scans.zip",) and not done.is_proved
    assert [p.name for p in (west.path / "vault/purges").glob("*.pending.json")]
    cut.unlink()
    assert erase(west, "A|7", source="west").is_proved
    assert [p.name for p in (west.path / "vault/purges").iterdir()] == ["1.json"]


def test_what_is_remembered_of_an_erasure_names_nobody(clinic: Home) -> None:
    """Sealed: nobody who opens the vault's folder learns whose erasure is under way."""
    keys = KeyRing.of(settings_of(clinic))
    key = keys.row_key("client", "canonical", GONE)
    (clinic.path / "copied.txt").write_text(GONE)
    assert erase(clinic).left == ("copied.txt",)
    (pending,) = (clinic.path / "vault/purges").glob("*.pending.json")
    assert pending.stat().st_mode & 0o077 == 0
    assert search_folder(pending.parent, {"1": GONE, "2": key}).hits == ()
    with pytest.raises(UsageError, match="erased before"):
        other = clinic.path / "vault/purges/1.pending.json"
        other.rename(clinic.path / "moved")
        erase(clinic)
