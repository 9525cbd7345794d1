"""Look for planted strings in everything that a RAPPORT_HOME holds (privacy.md B2).

Raw bytes alone do not suffice: DuckDB and Parquet compress, archives deflate. So each
file is read as bytes, and what can be decoded is decoded and read again.
"""

import base64
import gzip
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import numpy as np

_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Hit:
    """One canary in one place: where it lies and how it is written there."""

    canary: str
    path: str
    part: str  # "bytes", "path", or the table or member that was decoded
    form: str


@dataclass(frozen=True)
class Scan:
    """What a search read and what it found.

    Attributes:
        n_files: how many files were read byte by byte.
        n_rows: how many rows of tables were decoded and read.
        decoded: path -> the parts that were decoded, of files that hold any.
        hits: where a canary stands.
        undecoded: files that say they are tables and could not be opened.
    """

    n_files: int
    n_rows: int
    decoded: Mapping[str, tuple[str, ...]]
    hits: tuple[Hit, ...]
    undecoded: tuple[str, ...]


def search_folder(folder: Path, canaries: Mapping[str, str]) -> Scan:
    """Search every byte and every decoded table row below a folder for each canary.

    Looked through are: the path of each file; its bytes; the rows, names, comments and
    view texts of a DuckDB file; the rows and the metadata of a Parquet file; the rows and
    the schema of an SQLite file; the members of a zip archive (a workbook is one), their
    names too; a gzip stream. Each is searched for the canary in plain text, in any
    case, in UTF-16 of either byte order, in base64 at its three offsets (as it is
    written, in lower and in upper case; both alphabets), in hex, and in URL- and
    JSON-escaped form.

    Nothing is skipped in silence: a file that begins like a table or an archive and can't
    be opened is named in ``undecoded``. No file is changed.

    Args:
        folder: the root of the search; links are not followed.
        canaries: name -> planted string, of at least 8 characters. Only names are told.
    """
    search = _search_for(canaries)
    hits: list[Hit] = []
    decoded: dict[str, tuple[str, ...]] = {}
    undecoded = []
    n_files = n_rows = 0
    for path in sorted(folder.rglob("*")):
        where = path.relative_to(folder).as_posix()
        hits += _hits(where.encode("utf-8", "surrogateescape"), search, where, "path")
        if path.is_symlink() or not path.is_file():
            continue
        n_files += 1
        content = path.read_bytes()
        hits += _hits(content, search, where, "bytes")
        parts = []
        try:
            for part, text, n_in_part in _decoded(path, content):
                parts.append(part)
                n_rows += n_in_part
                hits += _hits(text, search, where, part)
        except _UNREADABLE:
            undecoded.append(where)
        if parts:
            decoded[where] = tuple(dict.fromkeys(parts))
    return Scan(n_files, n_rows, decoded, tuple(dict.fromkeys(hits)), tuple(undecoded))


def search_bytes(
    content: bytes, canaries: Mapping[str, str], where: str
) -> tuple[Hit, ...]:
    """Search one run of bytes, for instance what a command printed."""
    return tuple(_hits(content, _search_for(canaries), where, "bytes"))


_UNREADABLE = (
    duckdb.Error, sqlite3.Error, zipfile.BadZipFile, OSError, EOFError, zlib.error,
    NotImplementedError, RuntimeError,
)  # fmt: skip


@dataclass(frozen=True)
class _Needle:
    canary: str
    form: str
    said: bytes


class _Needles:
    """Byte strings that are looked for at once, by their first four bytes."""

    def __init__(self, needles: Iterable[_Needle]) -> None:
        self._by_start: dict[bytes, list[_Needle]] = {}
        for needle in needles:
            self._by_start.setdefault(needle.said[:4], []).append(needle)
        starts = b"".join(self._by_start)
        self._starts = np.frombuffer(starts, "<u4")
        self._may_start = np.zeros(1 << 16, bool)
        self._may_start[np.frombuffer(starts, "<u2")[::2]] = True

    def found_in(self, content: bytes) -> Iterator[_Needle]:
        """Yield the needles that stand in some bytes, as often as they do."""
        for at in self._places(content):
            for needle in self._by_start[content[at : at + 4]]:
                if content.startswith(needle.said, at):
                    yield needle

    def _places(self, content: bytes) -> list[int]:
        """Return where four bytes are the start of a needle: two first, they are few."""
        if len(content) < 4 or not self._by_start:
            return []
        single = np.frombuffer(content, np.uint8)
        pairs = single[:-1].astype(np.uint16) | (single[1:].astype(np.uint16) << 8)
        at = np.flatnonzero(self._may_start[pairs[:-2]])
        fours = pairs[at].astype(np.uint32) | (pairs[at + 2].astype(np.uint32) << 16)
        return [int(place) for place in at[np.isin(fours, self._starts)]]


@dataclass(frozen=True)
class _Search:
    any_case: _Needles
    exact: _Needles


def _search_for(canaries: Mapping[str, str]) -> _Search:
    found: dict[tuple[bool, bytes], _Needle] = {}
    for name, text in canaries.items():
        if len(text) < 8:
            raise ValueError(f"canary {name} is too short to tell from chance")
        for form, in_lower, said in _forms(text):
            found.setdefault((in_lower, said), _Needle(name, form, said))
    return _Search(
        _Needles(needle for (in_lower, _), needle in found.items() if in_lower),
        _Needles(needle for (in_lower, _), needle in found.items() if not in_lower),
    )


def _forms(text: str) -> Iterator[tuple[str, bool, bytes]]:
    """Yield (form, whether case is of no matter, bytes) of one canary."""
    for said in dict.fromkeys((text, text.lower(), text.upper())):
        raw = said.encode()
        # Bytes are lowered letter by letter of ASCII: other letters keep their case.
        yield "plain", True, raw.lower()
        yield "utf-16le", True, said.encode("utf-16-le").lower()
        yield "utf-16be", True, said.encode("utf-16-be").lower()
        yield "hex", True, raw.hex().encode()
        for escaped in (quote(said, safe=""), quote(said), quote_plus(said)):
            yield "url", True, escaped.lower().encode()
        yield "json", True, json.dumps(said)[1:-1].lower().encode()
        yield (
            "json",
            True,
            json.dumps(said, ensure_ascii=False)[1:-1].encode().lower(),
        )
        for offset in range(3):
            inner = _base64_inside(raw, offset)
            yield f"base64+{offset}", False, inner
            yield f"base64+{offset}", False, inner.translate(_URL_ALPHABET)


_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")


def _base64_inside(raw: bytes, offset: int) -> bytes:
    """Return the base64 letters that depend on the canary alone.

    Args:
        raw: the canary.
        offset: how many bytes stand before it in its group of three.
    """
    encoded = base64.b64encode(b"\0" * offset + raw + b"\0" * 2)
    first = -(-offset * 8 // 6)
    last = (offset + len(raw)) * 8 // 6
    return encoded[first:last]


def _hits(content: bytes, search: _Search, path: str, part: str) -> list[Hit]:
    found = [
        *search.any_case.found_in(content.lower()),
        *search.exact.found_in(content),
    ]
    return [
        Hit(needle.canary, path, part, needle.form) for needle in dict.fromkeys(found)
    ]


# --- decoding -----------------------------------------------------------------------


def _decoded(path: Path, content: bytes) -> Iterator[tuple[str, bytes, int]]:
    """Yield (part, its text, its rows) of a file that is a table or an archive."""
    if content[8:12] == b"DUCK":
        yield from _duckdb(path)
    elif content[:4] in (b"PAR1", b"PARE"):
        yield from _parquet(path)
    elif content.startswith(b"SQLite format 3\0"):
        yield from _sqlite(path)
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                yield member, member.encode() + b"\n" + archive.read(member), 0
    elif content.startswith(b"\x1f\x8b"):
        yield "gzip", gzip.decompress(content), 0


def _duckdb(path: Path) -> Iterator[tuple[str, bytes, int]]:
    with duckdb.connect(path, read_only=True) as con:
        for view in ("duckdb_tables()", "duckdb_views()", "duckdb_columns()"):
            yield from _rows(con, f"from {view} where not internal", view)
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where not internal"
        ).fetchall()
        for schema, table in tables:
            yield from _rows(con, f'from "{schema}"."{table}"', f"{schema}.{table}")


def _parquet(path: Path) -> Iterator[tuple[str, bytes, int]]:
    with duckdb.connect() as con:
        for part in (
            "read_parquet",
            "parquet_metadata",
            "parquet_schema",
            "parquet_kv_metadata",
        ):
            yield from _rows(con, f"from {part}($file)", part, {"file": str(path)})


def _rows(
    con: duckdb.DuckDBPyConnection,
    query: str,
    part: str,
    arguments: dict[str, str] | None = None,
) -> Iterator[tuple[str, bytes, int]]:
    cursor = con.execute(query, arguments)
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield part, _text(rows), len(rows)


def _sqlite(path: Path) -> Iterator[tuple[str, bytes, int]]:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as con:
        tables = con.execute("select name from sqlite_master where type = 'table'")
        for table in ["sqlite_master", *(name for (name,) in tables.fetchall())]:
            rows = con.execute(f'select * from "{table}"').fetchall()
            yield table, _text(rows), len(rows)


def _text(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as text, a cell a line; bytes stay as they are."""
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        for row in rows
        for value in row
        if value is not None
    )
