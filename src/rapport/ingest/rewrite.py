"""Rewrite delivered and refused files without one person's rows (privacy.md A5).

A row is the person's when a cell of it is one of the person's ids; where the mapping says
which columns make ids, only those are looked at, since a short id may be a number
elsewhere. The bytes of every other row stay as they came. A file that cannot be taken
apart and names the person goes as a whole.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import unicodedata
import zipfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, TypeAlias

import openpyxl

from rapport.ingest.inbox import SUCCESS, is_plain_file
from rapport.mapping.vendor import normal_header
from rapport.privacy.at_rest import is_sealed

_DELIMITERS = ",\t|;"
_LONGEST_JSON = 512 << 20


# Told of a file and how many rows are about to leave it, before it is replaced.
Plan: TypeAlias = Callable[[Path, int], None]


@dataclass(frozen=True)
class IdPart:
    """One part of an id: a constant, or the first filled cell below some headers."""

    headers: tuple[str, ...]  # as ``normal_header`` writes them
    constant: str = ""
    is_optional: bool = False

    def is_in(self, headers: Container[str]) -> bool:
        """Tell whether a file with these headers has the part."""
        is_there = any(header in headers for header in self.headers)
        return is_there or self.is_optional or not self.headers


@dataclass(frozen=True)
class IdRule:
    """How a mapping makes the ids of one entity out of a row.

    Attributes:
        match: the glob of the files that it is for.
        entity: ``client``, ``session`` and so on.
        parts: what is joined; nearly always one.
        separator: what stands between.
    """

    match: str
    entity: str
    parts: tuple[IdPart, ...]
    separator: str = "|"

    def is_in(self, headers: Container[str]) -> bool:
        """Tell whether a file with these headers holds such ids."""
        return all(part.is_in(headers) for part in self.parts)

    def text_of(self, cells: Mapping[str, str]) -> str:
        """Return the id of a row (normal header -> cell); nothing where a part lacks."""
        found = []
        for part in self.parts:
            filled = (cells.get(header, "").strip() for header in part.headers)
            said = part.constant or next((text for text in filled if text), "")
            if not said and not part.is_optional:
                return ""
            found.append(said)
        return self.separator.join(found)


@dataclass(frozen=True)
class Person:
    """Whose rows go, within one source.

    Attributes:
        client_ids: the person's ids in this source, NFC-normalised.
        is_theirs: tells whether a text is an id of theirs: entity, text.
        rules: how ids stand in the files, as the mapping says; where a file has none of
            them, every column is looked at for client ids.
    """

    client_ids: frozenset[str]
    is_theirs: Callable[[str, str], bool]
    rules: tuple[IdRule, ...] = ()

    def for_file(self, *names: str) -> Person:
        """Return the person as a file of one of these names tells of it."""
        said = [name.rpartition("/")[2].lower() for name in names]
        said += [name.removesuffix(".gz") for name in said]
        fitting = tuple(
            rule
            for rule in self.rules
            if any(fnmatchcase(name, rule.match.lower()) for name in said)
        )
        return replace(self, rules=fitting or self.rules)

    def has_cell(self, text: str) -> bool:
        """Tell whether a cell is one of the client ids, or names one as FHIR does."""
        said = _normal(text)
        return said in self.client_ids or said.rpartition("/")[2] in self.client_ids

    @property
    def pieces(self) -> list[list[str]]:
        """The cells of which the mapping composes each of the client ids."""
        composed = {
            (rule.separator, len(rule.parts))
            for rule in self.rules
            if rule.entity == "client" and len(rule.parts) > 1
        }
        said = [id_.split(s) for s, _ in sorted(composed) for id_ in self.client_ids]
        lengths = {n for _, n in composed}
        return [pieces for pieces in said if len(pieces) in lengths]

    def has_any(self, cells: Sequence[str]) -> bool:
        """Tell whether any cell of a row is one of the client ids, or all its pieces are."""
        return any(self.has_cell(cell) for cell in cells) or any(
            {cell.strip() for cell in cells}.issuperset(pieces)
            for pieces in self.pieces
        )

    def knows(self, headers: Iterable[str]) -> bool:
        """Tell whether a row of cells is a header that the mapping has a word for."""
        known = {h for rule in self.rules for part in rule.parts for h in part.headers}
        return not known.isdisjoint(normal_header(header) for header in headers)

    def rules_in(self, headers: Container[str]) -> list[IdRule]:
        """Return what tells rows below some normal headers apart.

        A row that names a client is of that client; of a row that names none, the
        episode, the session or the goal says whose it is. A form may be named beside.
        """
        found = [rule for rule in self.rules if rule.is_in(headers)]
        of_client = [r for r in found if r.entity in ("client", "administration")]
        return of_client or found

    def row_test(self, headers: Iterable[str]) -> Callable[[list[str]], bool]:
        """Return what tells whether a row below some headers is the person's."""
        names = [normal_header(header) for header in headers]
        rules = self.rules_in(frozenset(names))
        if not rules:
            return self.has_any
        return lambda row: self.is_named(rules, dict(zip(names, row, strict=False)))

    def is_named(self, rules: Iterable[IdRule], cells: Mapping[str, str]) -> bool:
        """Tell whether a row, by its normal headers, holds an id of the person."""
        for rule in rules:
            text = rule.text_of(cells)
            if not text:
                continue
            if rule.entity == "client" and self.has_cell(text):
                return True
            if rule.entity != "client" and self.is_theirs(rule.entity, text):
                return True
        return False

    def has_document(self, said: Any) -> bool:
        """Tell whether any text within a JSON value is one of the ids."""
        if isinstance(said, Mapping):
            return any(self.has_document(value) for value in said.values())
        if isinstance(said, list):
            return any(self.has_document(value) for value in said)
        if isinstance(said, str):
            return self.has_cell(said)
        # A short number may be anything; a long one that is an id is the person's.
        return isinstance(said, int) and said > 9999 and str(said) in self.client_ids


def _normal(text: str) -> str:
    said = text.strip()
    return said if said.isascii() else unicodedata.normalize("NFC", said)


def rewrite_folder(folder: Path, person: Person, aside: Path, plan: Plan) -> None:
    """Rewrite every file below a folder that holds rows of the person."""
    for path in sorted(folder.rglob("*"), key=lambda p: os.fsencode(p)):
        if path.is_symlink() or not path.exists() or not is_plain_file(path):
            continue
        if path.name == SUCCESS or path.suffix == ".parquet":
            continue  # the engine's own files are rewritten by the engine
        if is_sealed(path):
            continue  # opened and sealed again by whoever holds the key
        rewrite_file(path, person, aside, plan)


def rewrite_file(path: Path, person: Person, aside: Path, plan: Plan) -> None:
    """Rewrite one file, in place of itself and whole, or remove it."""
    building = aside / "rewritten"
    building.unlink(missing_ok=True)
    try:
        n_rows = _rewrite(path, building, person.for_file(path.name), aside)
    except _Whole:
        plan(path, 0)
        path.unlink()
        return
    if n_rows:
        plan(path, n_rows)
        _replace(building, path)
    building.unlink(missing_ok=True)


class _Whole(Exception):
    """The file names the person and can't be taken apart."""


def _replace(building: Path, path: Path) -> None:
    """Put the new file in the old one's place, beside it first: one rename, one disk."""
    beside = path.with_name(f".{path.name[:80]}.building")
    mode = path.stat().st_mode & 0o777
    with building.open("rb") as source, beside.open("wb") as out:
        while piece := source.read(8 << 20):
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    beside.chmod(mode)
    os.replace(beside, path)


def _rewrite(path: Path, out: Path, person: Person, aside: Path) -> int:
    """Write a file without the person's rows; return how many went."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                is_workbook = "[Content_Types].xml" in archive.namelist()
            return (_workbook if is_workbook else _archive)(path, out, person, aside)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError):
            return _whole(path, person)
    if head.startswith(b"\x1f\x8b"):
        return _gzip(path, out, person, aside)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _json(path, out, person)
    if b"\0" in head and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return _whole(path, person)
    return _delimited(path, out, person)


def _whole(path: Path, person: Person) -> int:
    content = path.read_bytes()
    for id_ in person.client_ids:
        if any(id_.encode(form) in content for form in ("utf-8", "utf-16-le")):
            raise _Whole
    return 0


def _encoding(path: Path) -> str:
    """Return an encoding that gives back the bytes that it read."""
    with path.open("rb") as file:
        head = file.read(4)
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16-le" if head[:2] == b"\xff\xfe" else "utf-16-be"
        file.seek(0)
        try:
            for line in file:
                line.decode()
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _records(file: IO[str]) -> Iterator[str]:
    """Yield records as they are written: a quoted cell may run over lines."""
    record = ""
    for line in file:
        record += line
        if record.count('"') % 2 == 0 or len(record) > 1 << 20:
            yield record
            record = ""
    if record:
        yield record


def _delimited(path: Path, out: Path, person: Person) -> int:
    encoding = _encoding(path)
    n_rows, test = 0, None
    with (
        path.open(encoding=encoding, newline="") as file,
        out.open("w", encoding=encoding, newline="") as kept,
    ):
        delimiter = ","
        for record in _records(file):
            if test is None or not person.rules:
                found = max(_DELIMITERS, key=record.count)
                delimiter = found if record.count(found) else delimiter
            cells = _cells(record, delimiter)
            if test is None:
                # Titles may stand above; a header is the first row the mapping knows.
                is_known = person.knows(cells)
                if is_known or not person.rules:
                    test = person.row_test(cells)
                    if is_known:
                        kept.write(record)
                        continue
            if test(cells) if test else person.has_any(cells):
                n_rows += 1
            else:
                kept.write(record)
    return n_rows


def _cells(record: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([record.strip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return record.split(delimiter)


def _json(path: Path, out: Path, person: Person) -> int:
    """Rewrite JSON a line, or one document: entries and list members that are theirs."""
    n_rows = n_lines = 0
    is_lines = True
    with path.open("rb") as file, out.open("wb") as kept:
        for line in file:
            n_lines += 1
            try:
                said = json.loads(line) if line.strip() else None
            except ValueError:
                is_lines = is_lines and n_lines > 1
                if not is_lines:
                    break
                # A broken line is theirs if it names them.
                if any(id_.encode() in line for id_ in person.client_ids):
                    n_rows += 1
                    continue
                kept.write(line)
                continue
            if isinstance(said, list) or (
                isinstance(said, Mapping) and "entry" in said
            ):
                is_lines = False
                break
            if said is not None and _is_theirs(said, person):
                n_rows += 1
            else:
                kept.write(line)
    if is_lines:
        return n_rows
    return _document(path, out, person)


def _is_theirs(said: Any, person: Person) -> bool:
    """Look at the members that the mapping knows as ids; without one, at every text."""
    cells = (
        {normal_header(key): _text(value) for key, value in said.items()}
        if isinstance(said, Mapping)
        else {}
    )
    rules = person.rules_in(cells)
    return person.is_named(rules, cells) if rules else person.has_document(said)


def _document(path: Path, out: Path, person: Person) -> int:
    if path.stat().st_size > _LONGEST_JSON:
        return _whole(path, person)
    try:
        said = json.loads(path.read_text("utf-8-sig"))
    except ValueError:
        return _whole(path, person)
    members = said.get("entry") if isinstance(said, dict) else said
    if not isinstance(members, list):
        if person.has_document(said):
            raise _Whole
        return 0
    left = [member for member in members if not _is_theirs(member, person)]
    n_rows = len(members) - len(left)
    if isinstance(said, dict):
        said["entry"] = left
        if person.has_document({k: v for k, v in said.items() if k != "entry"}):
            raise _Whole
    else:
        said = left
    out.write_text(json.dumps(said, ensure_ascii=False), "utf-8")
    return n_rows


def _gzip(path: Path, out: Path, person: Person, aside: Path) -> int:
    with _laid(aside) as (plain, rewritten):
        try:
            with gzip.open(path) as stream:
                _copy(stream, plain)
        except (OSError, EOFError):
            return _whole(path, person)
        n_rows = _rewrite(plain, rewritten, person, aside)
        if n_rows:
            with (
                rewritten.open("rb") as source,
                gzip.GzipFile(out, "wb", mtime=0) as to,
            ):
                while piece := source.read(8 << 20):
                    to.write(piece)
    return n_rows


def _archive(path: Path, out: Path, person: Person, aside: Path) -> int:
    n_rows = 0
    with (
        zipfile.ZipFile(path) as archive,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as kept,
    ):
        kept.comment = archive.comment
        for member in archive.infolist():
            with _laid(aside) as (plain, rewritten):
                with archive.open(member) as stream:
                    _copy(stream, plain)
                try:
                    of_member = person.for_file(member.filename, path.name)
                    n = _rewrite(plain, rewritten, of_member, aside)
                except _Whole:
                    n_rows += 1
                    continue
                n_rows += n
                kept.write(rewritten if n else plain, member.filename)
    return n_rows


def _workbook(path: Path, out: Path, person: Person, aside: Path) -> int:
    """Rewrite a workbook's sheets; its looks may change, its cells do not."""
    del aside
    try:
        book = openpyxl.load_workbook(path)
    except (ValueError, TypeError, AttributeError, OSError):
        return _whole(path, person)
    n_rows = 0
    for sheet in book.worksheets:
        of_sheet = person.for_file(f"{sheet.title}.xlsx", path.name)
        rows = [
            [_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)
        ]
        head = next((n for n, row in enumerate(rows) if of_sheet.knows(row)), -1)
        test = of_sheet.row_test(rows[head] if head >= 0 else ())
        theirs = [n for n, row in enumerate(rows) if n > head and test(row)]
        for n in reversed(theirs):
            sheet.delete_rows(n + 1)
        n_rows += len(theirs)
    if n_rows:
        book.save(out)
    return n_rows


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a record number that a workbook keeps as a number
    return "" if value is None else str(value)


def _copy(stream: Any, to: Path) -> None:
    with to.open("wb") as out:
        while piece := stream.read(8 << 20):
            out.write(piece)


@contextmanager
def _laid(aside: Path) -> Iterator[tuple[Path, Path]]:
    """Lend two names in the private folder for temporary files."""
    depth = sum(1 for _ in aside.glob("laid-*.in"))
    plain, rewritten = aside / f"laid-{depth}.in", aside / f"laid-{depth}.out"
    plain.touch()
    try:
        yield plain, rewritten
    finally:
        plain.unlink(missing_ok=True)
        rewritten.unlink(missing_ok=True)
