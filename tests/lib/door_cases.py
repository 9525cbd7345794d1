"""What may arrive at the door and what happens: the tables behind three pages.

``tests/unit/test_door_matrices.py`` runs every row; the pages ``docs/reference/drift.md``,
``encodings.md`` and ``hostile-files.md`` are rendered from the same rows by
``python tests/lib/door_cases.py``.
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import openpyxl

CANARY = "ZZCANARYZZ"
CLIENTS = "client_id,birth_date,sex\nA1,1980-05-06,F\nA2,1990-01-02,M\n"
SESSIONS = (
    "session_id,client_id,therapist_id,started_at,status\n"
    "S1,A1,T1,2026-01-05T10:00,attended\n"
    "S2,A2,T1,2026-01-06T10:00,no_show\n"
    "S3,A2,T1,2026-01-07T10:00,attended\n"
)
Files = dict[str, "str | bytes"]


@dataclass(frozen=True)
class Case:
    """One row of a table.

    Attributes:
        arrives: what arrives, in words.
        happens: what happens, in words.
        files: the delivery.
        n_loaded: rows that reach bronze.
        reasons: every reason code of a refusal.
        notices: notices that must be among those given.
        columns: columns that a notice or a refusal must name.
        encoding: what the ledger states, where the table is about that.
        mapping: TOML that goes before the canonical mapping.
        before: the delivery before, where the table is about change.
        lay: makes in the delivery's folder what no bytes can make.
    """

    arrives: str
    happens: str
    files: Files = field(default_factory=dict)
    n_loaded: int = 0
    reasons: frozenset[str] = frozenset()
    notices: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    encoding: str = ""
    mapping: str = ""
    before: Files | None = None
    lay: Callable[[Path], None] | None = None


# --- makers of files ----------------------------------------------------------------


def workbook(sheets: dict[str, list[list[object]]], **says: object) -> bytes:
    """Write a workbook; ``hidden`` names sheets, ``merged`` ranges of the first one."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    if says.get("epoch"):
        book.epoch = says["epoch"]
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        if name in says.get("hidden", ()):
            sheet.sheet_state = "hidden"
    for cells in says.get("merged", ()):
        book.worksheets[0].merge_cells(cells)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def zipped(members: dict[str, str | bytes] | list[tuple[str, str | bytes]]) -> bytes:
    out = io.BytesIO()
    pairs = members.items() if isinstance(members, dict) else members
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, said in pairs:
            archive.writestr(zipfile.ZipInfo(name) if ".." in name else name, said)
    return out.getvalue()


def _gzip(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def _bomb() -> bytes:
    """Return 64 MB of one byte, in a gzip of 64 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"x" * (1 << 20)
    return b"".join(packer.compress(block) for _ in range(64)) + packer.flush()


def _zip_bomb(n_members: int) -> bytes:
    """Return a zip whose members inflate to 40 MB each."""
    return zipped({f"m{n}.csv": b"x" * (40 << 20) for n in range(n_members)})


def _lying_zip() -> bytes:
    """Return a zip that says its member has 10 bytes; it has 40 MB."""
    made = bytearray(zipped({"clients.csv": b"x" * (40 << 20)}))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = made.rfind(mark) + at
        made[place : place + 4] = struct.pack("<I", 10)
    return bytes(made)


def _link_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("clients.csv")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return out.getvalue()


def _encrypted_zip() -> bytes:
    made = bytearray(zipped({"clients.csv": CLIENTS}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        made[made.find(mark) + at] |= 1
    return bytes(made)


def _deep_zip(depth: int) -> bytes:
    made: bytes = zipped({"clients.csv": CLIENTS})
    for _ in range(depth):
        made = zipped({"inner.zip": made})
    return made


def _two_of_a_name() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("clients.csv", CLIENTS)
        archive.writestr("CLIENTS.csv", CLIENTS)
    return out.getvalue()


def _claiming_workbook(dimension: str, cells: str, prologue: str = "") -> bytes:
    """Return a workbook whose sheet is written by hand."""
    plain = workbook({"clients": [["x"]]})
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(plain)) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for info in source.infolist():
            said = source.read(info)
            if info.filename.startswith("xl/worksheets/sheet"):
                said = (
                    f'<?xml version="1.0"?>{prologue}<worksheet xmlns="http://schemas.open'
                    'xmlformats.org/spreadsheetml/2006/main"><dimension ref="'
                    f'{dimension}"/><sheetData>{cells}</sheetData></worksheet>'
                ).encode()
            target.writestr(info.filename, said)
    return out.getvalue()


def _inline(row: int, *cells: str) -> str:
    inner = "".join(
        f'<c r="{chr(65 + n)}{row}" t="inlineStr"><is><t>{cell}</t></is></c>'
        for n, cell in enumerate(cells)
    )
    return f'<row r="{row}">{inner}</row>'


_HONEST_CELLS = _inline(1, "client_id", "sex") + _inline(2, "A1", "F")
_FAR_CELLS = (
    _inline(1, "client_id", "sex")
    + '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row>'
)
_ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + '<!ENTITY xxe SYSTEM "file:///etc/passwd">]>'
)


def _lay_link(folder: Path) -> None:
    (folder / "clients.csv").symlink_to("/etc/passwd")


def _lay_pipe(folder: Path) -> None:
    os.mkfifo(folder / "clients.csv")


def _lay_folder(folder: Path) -> None:
    (folder / "clients.csv").mkdir()


def _case(arrives: str, happens: str, files: Files, **says: object) -> Case:
    for name in ("reasons", "notices", "columns"):
        said = says.get(name, ())
        says[name] = frozenset([said] if isinstance(said, str) else said)
    return Case(arrives, happens, files, **says)


def _refused(arrives: str, reason: str, files: Files, **says: object) -> Case:
    happens = says.pop("happens", "The file is refused whole.")
    return _case(arrives, happens, files, reasons=reason, **says)


# --- encodings and containers of text -----------------------------------------------

_SEMI = CLIENTS.replace(",", ";")
_ACCENT = "clinic_id,name\nC1,Café “Nord”\nC2,Süd\n"
_AS_DATES = [
    ["session_id", "client_id", "therapist_id", "started_at", "deleted"],
    [101, "A1", "T1", dt.datetime(2026, 1, 5, 10, 0), False],
    [102, "A2", "T1", dt.datetime(2026, 1, 6, 10, 30), True],
]

ENCODINGS = (
    _case("UTF-8", "Read; stated as `utf-8`.", {"clinics.csv": _ACCENT}, n_loaded=2, encoding="utf-8"),
    _case("UTF-8 with a BOM", "The BOM is no part of the first header.",
          {"clinics.csv": b"\xef\xbb\xbf" + _ACCENT.encode()}, n_loaded=2, encoding="utf-8-bom"),
    _case("UTF-16 with a BOM, tabs (Excel's \"Unicode text\")", "Transcribed.",
          {"clinics.txt": ("\ufeff" + _ACCENT.replace(",", "\t")).encode("utf-16-le")},
          n_loaded=2, encoding="utf-16-le"),
    _case("UTF-16, big-endian", "Transcribed.",
          {"clinics.csv": ("\ufeff" + _ACCENT).encode("utf-16-be")}, n_loaded=2, encoding="utf-16-be"),
    _case("UTF-16 without a BOM", "Told by its zero bytes.",
          {"clinics.csv": _ACCENT.encode("utf-16-le")}, n_loaded=2, encoding="utf-16-le"),
    _case("Windows-1252", "What is not UTF-8 anywhere is tried as Windows-1252.",
          {"clinics.csv": _ACCENT.encode("cp1252")}, n_loaded=2, encoding="cp1252"),
    _case("Latin-1, named by the mapping", "Read as that.",
          {"clinics.csv": "clinic_id,name\nC1,Caf\xe9\n".encode("latin-1")},
          n_loaded=1, encoding="latin-1", mapping='[[file]]\nmatch = "clinics.*"\ntable = "clinics"\nencoding = "latin-1"\n'),
    _refused("UTF-8 with damage in it", "encoding_unreadable",
             {"clinics.csv": _ACCENT.encode() + b"C3,\xff\xfe\n"},
             happens="Refused: half a file in another encoding is damage, and no byte becomes U+FFFD."),
    _refused("A byte that is in neither UTF-8 nor Windows-1252", "encoding_unreadable",
             {"clinics.csv": b"clinic_id,name\nC1,\x81\n"}),
    _refused("Windows-1252 where the mapping says UTF-8", "encoding_unreadable",
             {"clinics.csv": _ACCENT.encode("cp1252")},
             mapping='[[file]]\nmatch = "clinics.*"\ntable = "clinics"\nencoding = "utf-8"\n'),
    _refused("UTF-16 cut off within a character", "encoding_unreadable",
             {"clinics.csv": ("\ufeff" + _ACCENT).encode("utf-16-le")[:-1]}),
    _case("U+FFFD in the export itself", "Loaded, and the lost characters counted.",
          {"clinics.csv": "clinic_id,name\nC1,Caf\ufffd\n"}, n_loaded=1, notices="characters_lost_before"),
    _case("CRLF", "Read.", {"clients.csv": CLIENTS.replace("\n", "\r\n")}, n_loaded=2),
    _case("Lone CR (old Mac)", "Read.", {"clients.csv": CLIENTS.replace("\n", "\r")}, n_loaded=2),
    _case("CRLF and LF in one file", "Read.", {"clients.csv": CLIENTS + "A3,1970-01-01,F\r\n"}, n_loaded=3),
    _case("A line break inside quotes", "Part of the cell; rows are counted as a spreadsheet counts them.",
          {"clinics.csv": 'clinic_id,name\nC1,"North\r\nSide"\nC2,South\n'}, n_loaded=2),
    _case("A header with a line break in it", "One header.",
          {"clients.csv": '"client\nid",sex\nA1,F\n'}, n_loaded=1),
    _case("Semicolons", "The delimiter is the one that gives the most known headers.", {"clients.csv": _SEMI}, n_loaded=2),
    _case("Tabs", "The same.", {"clients.tsv": CLIENTS.replace(",", "\t")}, n_loaded=2),
    _case("Pipes", "The same.", {"clients.txt": CLIENTS.replace(",", "|")}, n_loaded=2),
    _case("`sep=;` as a first line", "Taken at its word; it is no row.", {"clients.csv": "sep=;\r\n" + _SEMI}, n_loaded=2),
    _case("A delimiter behind every row", "The empty cell is none.",
          {"clients.csv": CLIENTS.replace("\n", ",\n")}, n_loaded=2),
    _case("A delimiter behind every row but the header", "The empty cell is none.",
          {"clients.csv": "client_id,sex\nA1,F,\nA2,M,\n"}, n_loaded=2),
    _case("… and a row with a word there", "That row is in quarantine.",
          {"clients.csv": "client_id,sex\nA1,F,\nA2,M,x\n"}, n_loaded=1, reasons="row_too_long"),
    _case("Rows of uneven length", "The uneven ones are in quarantine.",
          {"clients.csv": CLIENTS + "A3\nA4,1970,F,x\n"}, n_loaded=2, reasons=("row_too_short", "row_too_long")),
    _case("A quote that is never closed", "In quarantine from there on.",
          {"clients.csv": CLIENTS + 'A3,"1970,F\nA4,1970,F\n'}, n_loaded=2, reasons="row_unparsable"),
    _case("Title lines and blank lines above the header", "Titles are counted as footer.",
          {"clients.csv": "Clients of the clinic\n\nPrinted 2026-01-01\n" + CLIENTS}, n_loaded=2),
    _case("A last row without its line end", "In quarantine: the file may be cut off.",
          {"clients.csv": CLIENTS[:-1]}, n_loaded=1, reasons="unterminated_last_row"),
    _case("… where the mapping has `allow_unterminated`", "Loaded.", {"clients.csv": CLIENTS[:-1]}, n_loaded=2,
          mapping='[[file]]\nmatch = "clients.*"\ntable = "clients"\nallow_unterminated = true\n'),
    _refused("A header without its line end", "header_cut_off", {"clients.csv": "client_id,se"}),
    _refused("Nothing at all", "file_empty", {"clients.csv": ""}),
    _case("gzip", "Inflated; `clients.csv.gz` is read as `clients.csv`.", {"clients.csv.gz": _gzip(CLIENTS)}, n_loaded=2),
    _case("gzip of several members", "All of them, one after the other.",
          {"clients.csv.gz": _gzip(CLIENTS) + _gzip("A3,1970-01-01,F\n")}, n_loaded=3),
    _case("A zip of one file, named after its table", "The zip's name counts where the member's says nothing.",
          {"clients.zip": zipped({"export_0001.csv": CLIENTS})}, n_loaded=2),
    _case("A zip of all tables", "Each member is read by its own name.",
          {"all.zip": zipped({"a/clients.csv": CLIENTS, "a/sessions.csv": SESSIONS})}, n_loaded=5),
    _case("A zip with a file that no mapping knows", "The file is counted; the rest is read.",
          {"all.zip": zipped({"clients.csv": CLIENTS, "readme.txt": "hello"})}, n_loaded=2, notices="member_dropped"),
    _case("gzip inside a zip", "Read.", {"all.zip": zipped({"clients.csv.gz": _gzip(CLIENTS)})}, n_loaded=2),
    _case("XLSX, one sheet", "Read by the file's name. Dates come out as ISO 8601, whole numbers without `.0`.",
          {"sessions.xlsx": workbook({"Sheet1": _AS_DATES})}, n_loaded=2, encoding="xlsx"),
    _case("XLSX, one sheet a table", "Each sheet is read by its own name.",
          {"export.xlsx": workbook({"clients": [["client_id"], ["A1"]], "sessions": _AS_DATES})}, n_loaded=3),
    _case("XLSX with dates counted from 1904", "The same dates.",
          {"sessions.xlsx": workbook({"Sheet1": _AS_DATES}, epoch=dt.datetime(1904, 1, 1))}, n_loaded=2),
    _case("XLSX with a title above, and a merged header over two rows",
          "`header_rows = 2`: a merged cell stands over each column, the rows' words are joined by a blank.",
          {"clients.xlsx": workbook({"Sheet1": [["All clients"], ["client", None, "other"], ["id", "state", "sex"], ["A1", "NY", "F"]]}, merged=["A2:B2"])},
          n_loaded=1,
          mapping='[[file]]\nmatch = "clients.*"\ntable = "clients"\nheader_rows = 2\n'
                  'columns = { client_id = "client id", state = "client state", sex = "other sex" }\n'),
    _case("A hidden sheet", "Not read unless the mapping knows it by its own name; stated.",
          {"clients.xlsx": workbook({"Sheet1": [["client_id"], ["A1"]], "old": [["client_id"], ["A9"]]}, hidden=["old"])},
          n_loaded=1, notices="sheet_hidden"),
    _case("A `.csv` that is XLSX", "The first bytes decide: read as XLSX.",
          {"clients.csv": workbook({"Sheet1": [["client_id", "sex"], ["A1", "F"]]})}, n_loaded=1, encoding="xlsx"),
    _case("NDJSON", "Keys are headers, nested ones joined by dots.",
          {"clients.ndjson": '{"client_id":"A1","sex":"F"}\n{"client_id":"A2","x":{"y":1}}\n'}, n_loaded=2, notices="column_new"),
    _refused("NDJSON whose last line is cut off", "ndjson_cut_off",
             {"clients.ndjson": '{"client_id":"A1"}\n{"client_id":"A'}),
    _refused("One JSON document, not one object a line", "format_unexpected",
             {"clients.ndjson": '[\n{"client_id":"A1"}\n]\n'}),
)  # fmt: skip


# --- drift --------------------------------------------------------------------------

_MAP = (
    '[[file]]\nmatch = "visits.csv"\ntable = "sessions"\n'
    'columns = { session_id = "Visit No", client_id = "Client", therapist_id = "Clinician",'
    ' started_at = "Start", status = "Status" }\ndrop = ["Client Phone"]\n'
)
_VISITS = "Visit No,Client,Clinician,Start,Status\nV1,A1,T1,2026-01-05T10:00,attended\n"

DRIFT = (
    _case("A new column", "Loaded without it; told by its place, never by its words.",
          {"clients.csv": f"client_id,sex,{CANARY}\nA1,F,{CANARY}\n"}, n_loaded=1, notices="column_new", columns="column_3"),
    _case("A new column, in a mapped export", "The same.",
          {"visits.csv": _VISITS.replace("Status\n", f"Status,{CANARY}\n").replace("attended", f"attended,{CANARY}")},
          n_loaded=1, notices="column_new", columns="column_6", mapping=_MAP),
    _case("A column that the mapping drops", "Dropped and counted.",
          {"visits.csv": _VISITS.replace("Status\n", "Status,Client Phone\n").replace("attended", f"attended,{CANARY}")},
          n_loaded=1, notices="column_dropped", columns="column_6", mapping=_MAP),
    _case("A column that the delivery before had is gone", "Loaded; the known column is named.",
          {"clients.csv": "client_id,state\nA1,NY\n"}, n_loaded=1, notices="column_missing", columns="sex",
          before={"clients.csv": "client_id,sex,state\nA1,F,NY\n"}),
    _case("A required column is gone", "The file is refused whole; the column is named.",
          {"clients.csv": "birth_date,sex\n1980,F\n"}, reasons="required_column_missing", columns="client_id"),
    _case("A required column is renamed", "Refused; the known name and the place of the nearest column are named.",
          {"clients.csv": "Client-ID2,birth_date,sex\nA1,1980,F\n"}, reasons="required_column_missing",
          notices="column_renamed", columns=("client_id", "client_id~column_1")),
    _case("An optional column is renamed", "Loaded without it; both are named.",
          {"clients.csv": "client_id,birthdate,sex\nA1,1980,F\n"}, n_loaded=1, notices="column_renamed",
          columns="birth_date~column_2"),
    _case("Case, blanks or hyphens of a header differ", "The same column.",
          {"clients.csv": "CLIENT ID,Birth-Date, sex \nA1,1980,F\n"}, n_loaded=1),
    _case("Columns in another order", "Read by name; counted.",
          {"clients.csv": "sex,client_id\nF,A1\n"}, n_loaded=1, notices="columns_reordered",
          before={"clients.csv": "client_id,sex\nA1,F\n"}),
    _case("An optional column of which no value can be read", "Loaded without it; the column is named as retyped.",
          {"clients.csv": "client_id,registered_on\nA1,03/04/2024\nA2,04/04/2024\nA3,05/04/2024\n"},
          n_loaded=3, notices=("column_retyped", "date_unreadable"), columns="registered_on"),
    _case("A required column of which no value can be read", "Its rows are in quarantine; the column is named as retyped.",
          {"sessions.csv": "session_id,client_id,therapist_id,started_at\n"
                           "S1,A1,T1,5/1/2026\nS2,A1,T1,6/1/2026\nS3,A1,T1,7/1/2026\n"},
          reasons="timestamp_unreadable", notices="column_retyped", columns="started_at"),
    _case("A header that stands twice", "The first counts; the other is told by its place.",
          {"clients.csv": "client_id,sex,sex\nA1,F,M\n"}, n_loaded=1, notices="column_twice", columns="column_3"),
    _case("No header: a patient's row in its place", "Refused; none of its words is printed.",
          {"clients.csv": f"{CANARY},1980-05-06,F\nA2,1990-01-02,M\n"}, reasons="header_unrecognised"),
    _case("Another table under a known name", "Refused.", {"clients.csv": "amount,paid,currency\n1,2,USD\n"},
          reasons="header_unrecognised"),
    _case("More bad rows than the mapping's `max_bad_share`", "The file is refused whole.",
          {"clients.csv": "client_id,sex\nA1,F\n,F\n,M\n"}, reasons=("bad_share_exceeded", "required_value_missing"),
          mapping='[[file]]\nmatch = "clients.*"\ntable = "clients"\nmax_bad_share = 0.5\n'),
)  # fmt: skip


# --- hostile files ------------------------------------------------------------------

HOSTILE = (
    _refused("A gzip that grows a thousandfold", "archive_bomb", {"clients.csv.gz": _bomb()},
             happens="Refused while inflating: past 32 MB, and more than 250 times its size."),
    _refused("A zip that grows a thousandfold", "archive_bomb", {"clients.zip": _zip_bomb(1)}, happens="The same."),
    _refused("A zip that grows beyond `inbox.max_inflated_gb`", "archive_too_large",
             {"all.zip": zipped({f"m{n}.csv": os.urandom(1 << 20) * 30 for n in range(3)})},
             happens="Refused; the cap is for a delivery as a whole."),
    _refused("A zip of 2,001 members", "archive_too_many_members",
             {"all.zip": zipped({f"m{n}.csv": "" for n in range(2001)})}),
    _refused("A zip that states a false size", "archive_unreadable", {"clients.zip": _lying_zip()},
             happens="Refused: sizes are measured, and the checksum does not hold."),
    _refused("Zips in zips in zips in zips", "archive_too_deep", {"clients.zip": _deep_zip(3)}),
    _refused("A member named `../../clients.csv`", "archive_unsafe_name",
             {"all.zip": zipped({"../../clients.csv": CLIENTS})},
             happens="Refused. Members are never written under their own names anyway."),
    _refused("A member with an absolute path", "archive_unsafe_name", {"all.zip": zipped({"/tmp/clients.csv": CLIENTS})}),
    _refused("A member on a drive", "archive_unsafe_name", {"all.zip": zipped({"C:\\clients.csv": CLIENTS})}),
    _refused("A member that is a link", "archive_link", {"all.zip": _link_zip()}),
    _refused("Two members of one name", "archive_duplicate_member", {"all.zip": _two_of_a_name()}),
    _refused("An encrypted member", "archive_encrypted", {"all.zip": _encrypted_zip()}),
    _refused("A zip that is cut off", "archive_unreadable", {"clients.zip": zipped({"clients.csv": CLIENTS})[:-30]}),
    _refused("A gzip that is cut off", "archive_cut_off", {"clients.csv.gz": _gzip(CLIENTS * 9)[:-9]}),
    _case("Bytes behind the end of a gzip", "The table is loaded, the bytes are counted.",
          {"clients.csv.gz": _gzip(CLIENTS) + b"hello"}, n_loaded=2, notices="archive_trailing_bytes"),
    _case("`__MACOSX`, `.DS_Store`, `Thumbs.db`", "Skipped and counted.",
          {"all.zip": zipped({"clients.csv": CLIENTS, "__MACOSX/._clients.csv": "x", "x/.DS_Store": "x"}), "Thumbs.db": "x"},
          n_loaded=2, notices="junk_skipped"),
    _refused("A link in the inbox", "not_a_file", {}, lay=_lay_link, happens="Refused, and not followed."),
    _refused("A named pipe in the inbox", "not_a_file", {}, lay=_lay_pipe, happens="Refused, and not opened."),
    _refused("A folder in place of a file", "not_a_file", {}, lay=_lay_folder),
    _case("A cell of 20 MB", "Its row is in quarantine.",
          {"clients.csv": CLIENTS + 'A3,"' + "x\n" * (10 << 20) + '",F\n'}, n_loaded=2, reasons="value_too_long"),
    _case("An id of 200 characters", "Its row is in quarantine.",
          {"clients.csv": CLIENTS + CANARY * 20 + ",1970,F\n"}, n_loaded=2, reasons="value_too_long"),
    _refused("One line of 200 MB", "line_too_long", {"clients.csv": b"client_id,sex\n" + b"x" * (200 << 20)}),
    _refused("One line of NDJSON of 20 MB", "line_too_long",
             {"clients.ndjson": b'{"client_id":"A1","x":"' + b"x" * (20 << 20) + b'"}\n'}),
    _refused("NUL bytes", "nul_byte", {"clients.csv": CLIENTS + "A3,\0,F\n"}),
    _case("JSON 100,000 levels deep", "Its row is in quarantine.",
          {"clients.ndjson": '{"client_id":"A1"}\n{"client_id":' + "[" * 100_000 + "]" * 100_000 + "}\n"},
          n_loaded=1, reasons="json_too_deep"),
    _case("JSON with one key twice", "Its row is in quarantine.",
          {"clients.ndjson": '{"client_id":"A1"}\n{"client_id":"A2","client_id":"A3"}\n'},
          n_loaded=1, reasons="json_duplicate_key"),
    _case("NaN in JSON", "Its row is in quarantine.",
          {"clients.ndjson": '{"client_id":"A1"}\n{"client_id":"A2","sex":NaN}\n'}, n_loaded=1, reasons="json_not_a_number"),
    _refused("5,000 keys in JSON", "too_many_columns",
             {"clients.ndjson": json.dumps({"client_id": "A1"} | {f"k{n}": 1 for n in range(5000)}) + "\n"}),
    _refused("5,000 columns", "too_many_columns", {"clients.csv": "client_id" + ",x" * 5000 + "\n"}),
    _case("A sheet that claims `A1:XFD1048576` and has two rows", "The claim is not believed.",
          {"clients.xlsx": _claiming_workbook("A1:XFD1048576", _HONEST_CELLS)}, n_loaded=1),
    _refused("A sheet with a cell at `XFD1048576`", "workbook_too_large",
             {"clients.xlsx": _claiming_workbook("A1:B2", _FAR_CELLS)},
             happens="Refused: the workbook is parsed in a process of its own, under a limit of memory."),
    _case("A sheet with a billion laughs, and one entity that names a file", "No entity is expanded.",
          {"clients.xlsx": _claiming_workbook("A1:B2", _inline(1, "client_id", "sex") + _inline(2, "A1", "F")
                                              + _inline(3, "A2", "&j;") + _inline(4, "A3", "&xxe;"), _ENTITIES)},
          reasons="file_unreadable"),
    _case("Cells that are formulas (`=1+1`, `@SUM(A1)`, `=HYPERLINK(…)`)", "Text, never evaluated; a code outside its list.",
          {"clients.csv": 'client_id,sex,race\nA1,=1+1,@SUM(A1)\nA2,"=HYPERLINK(""x"")",+1\n'}, n_loaded=2, notices="code_unknown"),
    _refused("A login page named `clients.csv`", "file_is_html", {"clients.csv": "\n<!DOCTYPE html><html><body>Log in</body></html>"}),
    _refused("A PDF named `clients.csv`", "file_is_pdf", {"clients.csv": b"%PDF-1.7\n%\xe2\xe3"}),
    _refused("An `.xls`, or an XLSX with a password", "file_is_old_or_locked_workbook",
             {"clients.xlsx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600}),
    _refused("XML", "format_unknown", {"clients.csv": "<?xml version='1.0'?><a/>"}),
    _refused("A Parquet file that is cut off", "file_unreadable", {"clients.parquet": b"PAR1" + b"\0" * 400}),
    _refused("A file whose name is a patient's", "file_unknown", {f"{CANARY} 'Jane\" Dœ; drop.csv": CLIENTS},
             happens="Refused; told as `file-1`, its name is in the vault only."),
    _case("A name with blanks, quotes and Unicode that the mapping knows", "Read.",
          {"my clients 'é\".csv": CLIENTS}, n_loaded=2, mapping='[[file]]\nmatch = "my clients*"\ntable = "clients"\n'),
)  # fmt: skip

PAGES = {
    "encodings.md": (
        "Encodings, delimiters and formats",
        "what the door reads, as it arrives, and what it makes of it.",
        ENCODINGS,
    ),
    "drift.md": (
        "When an export changes shape",
        "what the door says when columns are new, gone, renamed, moved or of another type.",
        DRIFT,
    ),
    "hostile-files.md": (
        "Hostile and broken files",
        "what the door does with files that no honest export is, in bounded memory and time.",
        HOSTILE,
    ),
}


def rendered(page: str) -> str:
    """Return a page of the docs."""
    title, about, cases = PAGES[page]
    lines = [
        f"# {title}",
        "",
        f"For the data team: {about} Every row is run by"
        " `tests/unit/test_door_matrices.py`; this page is rendered from"
        " `tests/lib/door_cases.py`.",
        "",
        "| what arrives | what happens | codes |",
        "| --- | --- | --- |",
    ]
    for case in cases:
        codes = ", ".join(
            f"[`{code}`](reason-codes.md#{code})"
            for code in sorted(case.reasons | case.notices)
        )
        happens = case.happens.replace("|", "\\|")
        arrives = case.arrives.replace("|", "\\|")
        lines.append(f"| {arrives} | {happens} | {codes} |")
    return "\n".join(lines) + "\n"


def _write_pages() -> None:
    from rapport.ingest.reasons import rendered_page

    folder = Path(__file__).parents[2] / "docs" / "reference"
    for page in PAGES:
        (folder / page).write_text(rendered(page), encoding="utf-8")
    (folder / "reason-codes.md").write_text(rendered_page(), encoding="utf-8")


if __name__ == "__main__":
    _write_pages()
