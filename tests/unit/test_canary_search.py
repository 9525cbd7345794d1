"""The canary search finds a planted string however it is written; else it proves nothing."""

import base64
import gzip
import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pytest

from conftest import Home
from lib.canaries import search_bytes, search_folder
from rapport.privacy.scan import search_folder as scan_folder
from rapport.warehouse.tables import table_rows

TEXT = "Zoë Kestrel/Doe +1"
CANARY = {"name": TEXT}
BASE64 = [
    base64.b64encode(b"." * before + said.encode() + b"tail")
    for before in range(3)
    for said in (TEXT, TEXT.lower(), TEXT.upper())
]


@pytest.mark.parametrize(
    "written",
    [
        TEXT.encode(),
        b"Zo\xc3\xab KESTREL/doe +1",
        TEXT.lower().encode(),
        TEXT.upper().encode(),
        TEXT.encode("utf-16-le"),
        TEXT.upper().encode("utf-16-be"),
        TEXT.encode().hex().encode(),
        TEXT.encode().hex().upper().encode(),
        quote(TEXT).encode(),
        quote(TEXT, safe="").lower().encode(),
        quote_plus(TEXT).encode(),
        json.dumps(TEXT).encode(),
        base64.urlsafe_b64encode(b"??" + TEXT.encode()),
        *BASE64,
    ],
)
def test_it_finds_a_canary_in_every_encoding(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "log").write_bytes(b"\xff\x00before" + written + b"after\n")
    assert {hit.canary for hit in search_folder(tmp_path, CANARY).hits} == {"name"}
    assert search_bytes(b"before " + written, CANARY, "stdout")


def test_it_finds_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"Zoe Kestrel and others; " + base64.b64encode(b"x"))
    assert search_folder(tmp_path, CANARY).hits == ()


def _parquet(path: Path) -> None:
    with duckdb.connect() as con:
        con.execute(
            "copy (select case n when 0 then 'A' when 1 then '~' else ? || n end as said"
            f" from range(20000) as r (n)) to '{path}' (format parquet, compression zstd)",
            [TEXT],
        )


def _duckdb(path: Path) -> None:
    with duckdb.connect(path) as con:
        con.execute("create schema ops")
        con.execute(
            "create table ops.said as"
            " select 'nothing' || n as at, ? || n as said from range(200000) as r (n)",
            [TEXT],
        )


def _duckdb_name(path: Path) -> None:
    with duckdb.connect(path) as con:
        con.execute(f'create table "{TEXT}" (n integer)')


def _duckdb_wal(path: Path) -> None:
    with duckdb.connect(path) as con:
        con.execute("set checkpoint_threshold = '1GB'")
        con.execute("pragma disable_checkpoint_on_shutdown")
        con.execute("create table said as select ? as said", [TEXT])
    assert path.with_name(path.name + ".wal").exists()


def _sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table said (word text)")
        con.execute("insert into said values (?)", (TEXT,))


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", f"<t>{TEXT}</t>" * 50)


def _zip_member_name(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{TEXT}.pdf", "nothing")


def _gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(TEXT.encode() * 50))


@pytest.mark.parametrize(
    "write",
    [
        _parquet,
        _duckdb,
        _duckdb_name,
        _duckdb_wal,
        _sqlite,
        _zip,
        _zip_member_name,
        _gzip,
    ],
)
def test_it_finds_a_canary_in_a_compressed_file(tmp_path: Path, write) -> None:
    write(tmp_path / "file")
    found = search_folder(tmp_path, CANARY)
    assert "file" in {hit.path for hit in found.hits}
    assert found.decoded["file"] and not found.undecoded


@pytest.mark.parametrize("write", [_parquet, _zip, _gzip])
def test_bytes_alone_would_not_have_found_it(tmp_path: Path, write) -> None:
    """So the decoding is what finds it: without it the case above could pass by luck."""
    write(tmp_path / "file")
    parts = {hit.part for hit in search_folder(tmp_path, CANARY).hits}
    assert parts and "bytes" not in parts


def test_it_finds_a_birth_date_that_is_stored_as_a_number(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "file") as con:
        con.execute("create table born as select date '1961-03-17' as on_day")
    (hit,) = search_folder(tmp_path, {"born": "1961-03-17"}).hits
    assert hit.part == "main.born"


def test_it_finds_a_canary_in_the_name_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "Kestrel_Jane~0a").mkdir()
    (hit,) = search_folder(tmp_path, {"name": "kestrel_jane"}).hits
    assert hit.part == "path"


def test_a_table_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + b"\0" * 40)
    assert search_folder(tmp_path, CANARY).undecoded == ("cut.parquet",)


def test_a_short_string_is_no_canary(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too short"):
        search_folder(tmp_path, {"name": "Doe"})


def test_it_finds_a_canary_in_a_table_within_archives(tmp_path: Path) -> None:
    """A zip that holds a gzip that holds Parquet, and one that holds a database."""
    _parquet(tmp_path / "rows")
    _sqlite(tmp_path / "base")
    with zipfile.ZipFile(tmp_path / "file", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.gz", gzip.compress((tmp_path / "rows").read_bytes()))
        archive.write(tmp_path / "base", "b.sqlite")
    (tmp_path / "rows").unlink()
    (tmp_path / "base").unlink()
    parts = {hit.part for hit in search_folder(tmp_path, CANARY).hits}
    assert "a.gz/gzip/read_parquet" in parts
    assert "b.sqlite/said" in parts


def test_a_canary_that_lies_across_two_pieces_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rapport.privacy.scan._PIECE", 64)
    for before in range(50, 70):
        (tmp_path / f"file{before}").write_bytes(b"." * before + TEXT.encode() + b".")
    assert len(search_folder(tmp_path, CANARY).hits) == 20


@pytest.mark.parametrize("n_before", range(3))
def test_a_record_number_counts_only_where_it_stands_alone(
    tmp_path: Path, n_before: int
) -> None:
    """In each way of writing it: a longer number that holds it is another person's."""

    def written(text: str) -> dict[str, bytes]:
        raw = text.encode()
        return {
            "plain": raw,
            "wide": text.encode("utf-16-le"),
            "hex": raw.hex().encode(),
            "base64": base64.b64encode(raw),
            "url": base64.urlsafe_b64encode(raw).rstrip(b"="),
        }

    filler = "." * n_before
    for number, text in enumerate(
        (f"{filler}CLIENT-100", f"{filler}XCLIENT-10", f"{filler}CLIENT-10_")
    ):
        for form, said in written(text).items():
            (tmp_path / f"longer{number}-{form}").write_bytes(said)
    for form, said in written(f"{filler}CLIENT-10,b").items():
        (tmp_path / f"itself-{form}").write_bytes(said)
    for form, said in written(f"{filler}CLIENT-10").items():
        (tmp_path / f"itself-alone-{form}").write_bytes(said)
    found = scan_folder(tmp_path, {"1": "CLIENT-10"}, table_rows, whole=["1"])
    assert {hit.path for hit in found.hits} == {
        path.name for path in tmp_path.glob("itself*")
    }


def test_it_finds_a_letter_with_its_accent_apart(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes("Zoe\u0308 Kestrel".encode())
    assert search_folder(tmp_path, {"name": "Zo\u00eb Kestrel"}).hits


def test_the_command_tells_files_and_numbers_and_never_the_string(home: Home) -> None:
    home.path.mkdir()
    (home.path / "logs").mkdir()
    (home.path / "logs" / "a.log").write_bytes(base64.b64encode(b"Kestrel Jane"))
    (home.path / "inbox" / "north" / "Kestrel Jane").mkdir(parents=True)
    listed = home.path.parent / "list.txt"
    listed.write_text("Nobody At All\nkestrel jane\nKestrel Jane\n")
    done = home.run("doctor", "--scan", str(listed), check=1)
    assert "logs/a.log: string 3" in done.stdout
    assert "estrel" not in done.stdout + done.stderr
    listed.write_text("Nobody At All\n")
    assert "0 hits" in home.run("doctor", "--scan", str(listed)).stdout
    listed.write_text("short\n")
    assert "line 1" in home.run("doctor", "--scan", str(listed), check=2).stderr
