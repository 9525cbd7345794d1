"""Rewrite delivered and refused files without one person's rows (privacy.md A5).

A row is the person's when a cell of it is one of the person's ids; where the mapping says
which columns hold ids, only those are looked at, since a short id may be a number
elsewhere. The bytes of every other row stay as they came. A file that cannot be taken
apart and names the person goes as a whole.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import openpyxl

from rapport.ingest.inbox import MANIFEST, SUCCESS, file_sha256, is_plain_file
from rapport.mapping.vendor import normal_header

_DELIMITERS = ",\t|;"
_LONGEST_JSON = 512 << 20


@dataclass
class Rewritten:
    """What a rewrite came to: counts, and the sha256 of each file before and after."""

    n_files: int = 0
    n_rows: int = 0
    n_files_removed: int = 0
    n_bytes: int = 0
    hashes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Person:
    """Whose rows go, within one source.

    Attributes:
        client_ids: the person's ids in this source, as they are written.
        is_part: tells whether a text is the id of an administration of the person.
        columns: normal header -> what it holds, ``client`` or ``administration``; empty
            when no mapping says, and every column is looked at for client ids.
    """

    client_ids: frozenset[str]
    is_part: Callable[[str], bool]
    columns: Mapping[str, str] = field(default_factory=dict)

    def has_cell(self, text: str) -> bool:
        """Tell whether a cell is one of the client ids, or names one as FHIR does."""
        said = text.strip()
        return said in self.client_ids or said.rpartition("/")[2] in self.client_ids

    def row_test(self, headers: Iterable[str]) -> Callable[[list[str]], bool]:
        """Return what tells whether a row below some headers is the person's."""
        held = [self.columns.get(normal_header(header), "") for header in headers]
        clients = [n for n, what in enumerate(held) if what == "client"]
        parts = [n for n, what in enumerate(held) if what == "administration"]
        if not clients and not parts:
            return lambda row: any(self.has_cell(cell) for cell in row)

        def is_person(row: list[str]) -> bool:
            n = len(row)
            return any(self.has_cell(row[at]) for at in clients if at < n) or any(
                self.is_part(row[at].strip()) for at in parts if at < n
            )

        return is_person

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


def rewrite_folder(folder: Path, person: Person, aside: Path) -> Rewritten:
    """Rewrite every file below a folder that holds rows of the person."""
    done = Rewritten()
    for path in sorted(folder.rglob("*"), key=lambda p: os.fsencode(p)):
        if path.is_symlink() or not path.exists() or not is_plain_file(path):
            continue
        if path.name in (SUCCESS, MANIFEST) or path.suffix == ".parquet":
            continue  # the engine's own files are rewritten by the engine
        rewrite_file(path, person, aside, done)
    return done


def rewrite_file(path: Path, person: Person, aside: Path, done: Rewritten) -> None:
    """Rewrite one file, in place of itself and whole, or remove it."""
    building = aside / "rewritten"
    building.unlink(missing_ok=True)
    try:
        n_rows = _rewrite(path, building, person, aside)
    except _Whole:
        done.hashes.append((file_sha256(path).hex(), ""))
        path.unlink()
        done.n_files_removed += 1
        return
    finally:
        if building.exists() and not building.stat().st_size:
            building.unlink()
    if n_rows:
        before = file_sha256(path).hex()
        _replace(building, path)
        done.hashes.append((before, file_sha256(path).hex()))
        done.n_files += 1
        done.n_rows += n_rows
        done.n_bytes += path.stat().st_size
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
        with zipfile.ZipFile(path) as archive:
            is_workbook = "[Content_Types].xml" in archive.namelist()
        try:
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
            if test is None or not person.columns:
                found = max(_DELIMITERS, key=record.count)
                delimiter = found if record.count(found) else delimiter
            cells = _cells(record, delimiter)
            if test is None:
                # Titles may stand above; a header is the first row the mapping knows.
                known = {normal_header(cell) for cell in cells} & set(person.columns)
                if known or not person.columns:
                    test = person.row_test(cells)
                    if known:
                        kept.write(record)
                        continue
            is_person = (
                test(cells) if test else any(person.has_cell(cell) for cell in cells)
            )
            if is_person:
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
    named = said.items() if isinstance(said, Mapping) else ()
    known = [
        (person.columns[normal_header(key)], str(value).strip())
        for key, value in named
        if normal_header(key) in person.columns
    ]
    if not known:
        return person.has_document(said)
    return any(
        person.has_cell(text) if what == "client" else person.is_part(text)
        for what, text in known
    )


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
                    n = _rewrite(plain, rewritten, person, aside)
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
        rows = [
            [_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)
        ]
        head = next(
            (
                n
                for n, row in enumerate(rows)
                if {normal_header(cell) for cell in row} & set(person.columns)
            ),
            -1,
        )
        test = person.row_test(rows[head] if head >= 0 else ())
        theirs = [n for n, row in enumerate(rows) if n > head and test(row)]
        for n in reversed(theirs):
            sheet.delete_rows(n + 1)
        n_rows += len(theirs)
    if n_rows:
        book.save(out)
    return n_rows


def _text(value: object) -> str:
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
