"""Search everything below a folder for given strings, however they are written (B2).

Raw bytes alone do not suffice: DuckDB and Parquet compress, archives deflate. So each
file is read as bytes, piece by piece, and what can be decoded is decoded and read again.
What is told of a hit is its number and its place, never the string.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import sqlite3
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.parse import quote, quote_plus

import numpy as np

from rapport.privacy.at_rest import SEALED


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


SHORTEST = 8
_PIECE = 8 << 20
_ROWS_AT_ONCE = 10_000
_DEEPEST = 5
_MOST_INFLATED = 64 << 30
# A file that is a table of the engine: the warehouse reads those, and lends its reader.
TableReader: TypeAlias = Callable[
    [Path], Iterator[tuple[str, list[tuple[object, ...]]]]
]


@dataclass(frozen=True)
class Hit:
    """One string in one place: where it lies and how it is written there."""

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
        hits: where a string stands.
        undecoded: files that say they are tables and could not be opened.
    """

    n_files: int
    n_rows: int
    decoded: Mapping[str, tuple[str, ...]]
    hits: tuple[Hit, ...]
    undecoded: tuple[str, ...]


def search_folder(
    folder: Path,
    canaries: Mapping[str, str],
    read_table: TableReader,
    *,
    whole: Iterable[str] = (),
    aside: Path | None = None,
) -> Scan:
    """Search every byte and every decoded table row below a folder for each string.

    Looked through are: the path of each file; its bytes; the rows, names, comments and
    view texts of a DuckDB file; the rows and the metadata of a Parquet file; the rows and
    the schema of an SQLite file; the members of a zip archive (a workbook is one), their
    names too; a gzip stream; and archives and tables within archives. Each is searched
    for the string in plain text, in any case, in UTF-16 of either byte order, in base64
    at its three offsets (as it is written, in lower and in upper case; both alphabets),
    in hex, and in URL- and JSON-escaped form.

    Nothing is skipped in silence: a file that begins like a table or an archive and can't
    be opened is named in ``undecoded``. No file is changed, and none is held in memory.

    Args:
        folder: the root of the search; links are not followed.
        canaries: name -> string, of at least 8 characters. Only names are told.
        read_table: yields (part, rows) of a DuckDB, Parquet or sealed file.
        whole: names of strings that count only where no letter or digit is beside them
            (record numbers, which may begin longer ones), in whatever form.
        aside: where a table within an archive is laid while it is read.
    """
    search = _search_for(canaries, frozenset(whole))
    found = _Found(aside)
    for path in sorted(folder.rglob("*")):
        where = path.relative_to(folder).as_posix()
        search.look(where.encode("utf-8", "surrogateescape"), where, "path", found)
        if path.is_symlink() or not path.is_file():
            continue
        found.n_files += 1
        try:
            with path.open("rb") as file:
                _read(file, search, where, "bytes", found)
            _decode(path, search, where, "", found, read_table, 0)
        except FileNotFoundError:
            # SQLite's own passing files come and go with whoever reads beside us.
            continue
    return Scan(
        found.n_files,
        found.n_rows,
        {where: tuple(parts) for where, parts in found.decoded.items()},
        tuple(found.hits),
        tuple(found.undecoded),
    )


def search_bytes(
    content: bytes, canaries: Mapping[str, str], where: str
) -> tuple[Hit, ...]:
    """Search one run of bytes, for instance what a command printed."""
    found = _Found()
    _search_for(canaries, frozenset()).look(content, where, "bytes", found)
    return tuple(found.hits)


# --- what is looked for -------------------------------------------------------------


@dataclass
class _Found:
    aside: Path | None = None
    n_files: int = 0
    n_rows: int = 0
    hits: dict[Hit, None] = field(default_factory=dict)
    decoded: dict[str, dict[str, None]] = field(default_factory=dict)
    undecoded: dict[str, None] = field(default_factory=dict)

    def part(self, where: str, part: str) -> None:
        self.decoded.setdefault(where, {})[part] = None


# (content, where the needle begins, its length) -> whether a letter stands beside it.
Beside: TypeAlias = Callable[[bytes, int, int], bool]


@dataclass(frozen=True)
class _Needle:
    canary: str
    form: str
    said: bytes
    beside: Beside | None  # tells whether a letter or digit stands right beside it


class _Needles:
    """Byte strings that are looked for at once, by their first four bytes."""

    def __init__(self, needles: Iterable[_Needle]) -> None:
        self._by_start: dict[bytes, list[_Needle]] = {}
        self.longest = 4
        for needle in needles:
            self._by_start.setdefault(needle.said[:4], []).append(needle)
            self.longest = max(self.longest, len(needle.said))
        starts = b"".join(self._by_start)
        self._starts = np.frombuffer(starts, "<u4")
        self._may_start = np.zeros(1 << 16, bool)
        self._may_start[np.frombuffer(starts, "<u2")[::2]] = True

    def found_in(self, content: bytes) -> Iterator[_Needle]:
        """Yield the needles that stand in some bytes, as often as they do."""
        for at in self._places(content):
            for needle in self._by_start[content[at : at + 4]]:
                if content.startswith(needle.said, at) and not (
                    needle.beside and needle.beside(content, at, len(needle.said))
                ):
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

    @property
    def overlap(self) -> int:
        """How much of a piece the next one repeats: no string may fall between."""
        return max(self.any_case.longest, self.exact.longest) + 4

    def look(self, content: bytes, where: str, part: str, found: _Found) -> None:
        for needle in self.any_case.found_in(content.lower()):
            found.hits[Hit(needle.canary, where, part, needle.form)] = None
        for needle in self.exact.found_in(content):
            found.hits[Hit(needle.canary, where, part, needle.form)] = None


def _search_for(canaries: Mapping[str, str], whole: frozenset[str]) -> _Search:
    found: dict[tuple[str, bool, bytes], _Needle] = {}
    for name, text in canaries.items():
        if len(text) < SHORTEST:
            raise ValueError(f"canary {name} is too short to tell from chance")
        for form, in_lower, said in _forms(text):
            beside = _BESIDE[form] if name in whole else None
            found.setdefault((name, in_lower, said), _Needle(name, form, said, beside))
    return _Search(
        _Needles(needle for (_, in_lower, _), needle in found.items() if in_lower),
        _Needles(needle for (_, in_lower, _), needle in found.items() if not in_lower),
    )


_LETTER = re.compile(rb"[0-9A-Za-z_]")
_WIDE_LETTER = re.compile(rb"\x00?[0-9A-Za-z_]\x00?")
_BASE64 = re.compile(rb"[0-9A-Za-z+/_-]*")
_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")


def _beside_text(letter: re.Pattern[bytes]) -> Beside:
    def is_beside(content: bytes, at: int, length: int) -> bool:
        after = content[at + length : at + length + 2]
        before = content[max(0, at - 2) : at]
        return bool(letter.match(after) or letter.match(before[::-1]))

    return is_beside


def _beside_hex(content: bytes, at: int, length: int) -> bool:
    """Look at the bytes that the pairs of digits before and after stand for."""
    return any(
        _is_letter_of(bytes.fromhex, content[start : start + 2].decode("latin-1"))
        for start in (at - 2, at + length)
        if start >= 0
    )


def _beside_base64(offset: int) -> Beside:
    """Look at the bytes before and after within the base64 text of a string.

    Args:
        offset: how many bytes stand before the string in its group of three.
    """

    first = -(-offset * 8 // 6)  # letters of the group that hold other bytes too

    def is_beside(content: bytes, at: int, length: int) -> bool:
        group = at - first
        last = first + length
        n_bytes = 3 * (last // 4) + last % 4  # those before the string among them
        before = (
            _bytes_of(content, group)[offset - 1 : offset]
            if offset
            else _bytes_of(content, group - 4)[2:3]
        )
        next_group = _bytes_of(content, group + 4 * (n_bytes // 3))
        after = next_group[n_bytes % 3 : n_bytes % 3 + 1]
        return bool(_LETTER.match(before) or _LETTER.match(after))

    return is_beside


def _bytes_of(content: bytes, group: int) -> bytes:
    """Return the bytes of up to four letters of base64; the last may lack its padding."""
    letters = _BASE64.match(content[max(0, group) : max(0, group + 4)])
    assert letters is not None
    said = letters.group().translate(_STANDARD_ALPHABET)
    return base64.b64decode(said.ljust(4, b"=")) if len(said) > 1 else b""


def _is_letter_of(read: Callable[[str], bytes], text: str) -> bool:
    try:
        return bool(_LETTER.match(read(text)))
    except ValueError:
        return False


_BESIDE: dict[str, Beside] = {
    "plain": _beside_text(_LETTER),
    "url": _beside_text(_LETTER),
    "json": _beside_text(_LETTER),
    "utf-16le": _beside_text(_WIDE_LETTER),
    "utf-16be": _beside_text(_WIDE_LETTER),
    "hex": _beside_hex,
} | {f"base64+{offset}": _beside_base64(offset) for offset in range(3)}


def _forms(text: str) -> Iterator[tuple[str, bool, bytes]]:
    """Yield (form, whether case is of no matter, bytes) of one string."""
    composed = unicodedata.normalize("NFC", text)
    apart = unicodedata.normalize("NFD", text)
    for said in dict.fromkeys(
        case for one in (composed, apart) for case in (one, one.lower(), one.upper())
    ):
        raw = said.encode()
        # Bytes are lowered letter by letter of ASCII: other letters keep their case.
        yield "plain", True, raw.lower()
        yield "utf-16le", True, said.encode("utf-16-le").lower()
        yield "utf-16be", True, said.encode("utf-16-be").lower()
        yield "hex", True, raw.hex().encode()
        for escaped in (quote(said, safe=""), quote(said), quote_plus(said)):
            yield "url", True, escaped.lower().encode()
        for is_ascii in (True, False):
            escaped = json.dumps(said, ensure_ascii=is_ascii)[1:-1]
            yield "json", True, escaped.encode().lower()
        for offset in range(3):
            inner = _base64_inside(raw, offset)
            yield f"base64+{offset}", False, inner
            yield f"base64+{offset}", False, inner.translate(_URL_ALPHABET)


_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")


def _base64_inside(raw: bytes, offset: int) -> bytes:
    """Return the base64 letters that depend on the string alone.

    Args:
        raw: the string.
        offset: how many bytes stand before it in its group of three.
    """
    encoded = base64.b64encode(b"\0" * offset + raw + b"\0" * 2)
    first = -(-offset * 8 // 6)
    last = (offset + len(raw)) * 8 // 6
    return encoded[first:last]


# --- what is read -------------------------------------------------------------------


def _read(
    stream: _Readable, search: _Search, where: str, part: str, found: _Found
) -> int:
    """Search a stream piece by piece; return how many bytes it held."""
    kept, n_bytes = b"", 0
    while piece := stream.read(_PIECE):
        n_bytes += len(piece)
        if n_bytes > _MOST_INFLATED:
            raise OSError("larger than a search reads")
        search.look(kept + piece, where, part, found)
        kept = (kept + piece)[-search.overlap :]
    return n_bytes


_SQLITE = b"SQLite format 3\0"
_UNREADABLE = (
    sqlite3.Error, zipfile.BadZipFile, OSError, EOFError, zlib.error,
    NotImplementedError, RuntimeError,
)  # fmt: skip


def _decode(
    path: Path,
    search: _Search,
    where: str,
    within: str,
    found: _Found,
    read_table: TableReader,
    depth: int,
) -> None:
    """Search what a table or an archive holds; ``within`` names the members above it."""
    with path.open("rb") as file:
        head = file.read(16)
    try:
        if head[8:12] == b"DUCK" or head.startswith((b"PAR1", b"PARE", SEALED[:16])):
            for part, rows in read_table(path):
                _rows(rows, search, where, within + part, found)
        elif head.startswith(_SQLITE):
            for part, rows in _sqlite(path):
                _rows(rows, search, where, within + part, found)
        elif head.startswith(b"PK\x03\x04"):
            _zip(path, search, where, within, found, read_table, depth)
        elif head.startswith(b"\x1f\x8b"):
            with gzip.open(path) as stream:
                _member(
                    stream, search, where, within + "gzip", found, read_table, depth
                )
    except _UNREADABLE:
        found.undecoded[where] = None


def _zip(
    path: Path,
    search: _Search,
    where: str,
    within: str,
    found: _Found,
    read_table: TableReader,
    depth: int,
) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            part = within + member.filename
            search.look(member.filename.encode("utf-8", "replace"), where, part, found)
            with archive.open(member) as stream:
                _member(stream, search, where, part, found, read_table, depth)


def _member(
    stream: _Readable,
    search: _Search,
    where: str,
    part: str,
    found: _Found,
    read_table: TableReader,
    depth: int,
) -> None:
    """Search a member; one that is a table or an archive itself is laid aside and opened."""
    found.part(where, part)
    head = stream.read(16)
    is_nested = (
        head[8:12] == b"DUCK"
        or head[:4] in (b"PAR1", b"PARE", b"PK\x03\x04")
        or head.startswith((_SQLITE, b"\x1f\x8b"))
    )
    if not is_nested:
        _read(_Rejoined(head, stream), search, where, part, found)
        return
    if depth >= _DEEPEST:
        raise OSError("archives within archives, deeper than a search goes")
    with tempfile.NamedTemporaryFile(dir=found.aside) as laid:
        n_bytes = len(head)
        laid.write(head)
        while piece := stream.read(_PIECE):
            n_bytes += len(piece)
            if n_bytes > _MOST_INFLATED:
                raise OSError("larger than a search reads")
            laid.write(piece)
        laid.flush()
        laid.seek(0)
        _read(laid, search, where, part, found)
        _decode(
            Path(laid.name), search, where, f"{part}/", found, read_table, depth + 1
        )


class _Rejoined:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: _Readable) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head + self._rest.read(size)


def _rows(
    rows: list[tuple[object, ...]],
    search: _Search,
    where: str,
    part: str,
    found: _Found,
) -> None:
    found.part(where, part)
    found.n_rows += len(rows)
    search.look(_text(rows), where, part, found)


def _sqlite(path: Path) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as con:
        yield from sqlite_rows(con)


def sqlite_rows(
    con: sqlite3.Connection,
) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """Yield (table, rows) of an SQLite database, its schema first."""
    con.text_factory = bytes
    tables = [
        name.decode()
        for (name,) in con.execute(
            "select name from sqlite_master where type = 'table'"
        )
    ]
    for table in ["sqlite_master", *tables]:
        named = table.replace('"', '""')
        cursor = con.execute(f'select * from "{named}"')
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield table, rows


def _text(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as text, a cell a line; bytes stay as they are."""
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        for row in rows
        for value in row
        if value is not None
    )


def read_list(path: Path) -> dict[str, str]:
    """Return the strings of a list, one a line, by their number.

    Raises:
        ValueError: a line is too short to tell from chance; its number is told.
        OSError: the file cannot be read.
    """
    lines = path.read_text("utf-8-sig").splitlines()
    canaries = {
        str(number): line.strip()
        for number, line in enumerate(lines, start=1)
        if line.strip()
    }
    for number, text in canaries.items():
        if len(text) < SHORTEST:
            raise ValueError(f"line {number} has fewer than {SHORTEST} characters")
    if not canaries:
        raise ValueError("no line has a string")
    return canaries
