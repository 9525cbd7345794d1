"""From the files of a delivery to raw tables: containers opened, formats told apart.

``DeliveryFiles`` lists what a delivery holds, once its archives are inflated and its
workbooks taken apart; ``read`` leaves the raw tables of one of them (see ``raw``).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from rapport.ingest.columnar import read_parquet
from rapport.ingest.container import Budget, Member, open_file
from rapport.ingest.delimited import (
    drop_unterminated_row,
    ends_with_newline,
    read_delimited,
    read_head,
)
from rapport.ingest.encoding import as_utf8
from rapport.ingest.inbox import MANIFEST, Found, is_plain_file
from rapport.ingest.ndjson import read_ndjson
from rapport.ingest.raw import FileRefused, RawTable
from rapport.ingest.spreadsheet import Sheet, read_sheet, read_sheets
from rapport.mapping import FileMapping, Mapping
from rapport.settings import Settings
from rapport.warehouse.connections import (
    leave_plain_folder,
    plain_folder,
    plain_folders,
)

_PREFIX = "door-"
# What inflating and transcribing make of a delivery, beyond what exports are seen to.
_MOST_GROWN = 50


@dataclass(frozen=True)
class Source:
    """One thing of a delivery that can be read as a table: a plain file, or a sheet.

    Attributes:
        number: its place in the delivery, from 1.
        delivered: the delivered file that it is, or is in.
        true_name: where it lies, for the vault. Never printed.
        member: the plain file.
        sheet: the sheet of a workbook, else None.
    """

    number: int
    delivered: Path
    true_name: str
    member: Member
    sheet: Sheet | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return what the mapping may know it by, most telling first. Never printed."""
        own = (f"{self.sheet.name}.xlsx",) if self.sheet else ()
        return own + self.member.names

    @property
    def is_filled(self) -> bool:
        """Tell whether it is no sheet without a cell."""
        return self.sheet is None or self.sheet.cells is not None


@dataclass(frozen=True)
class RefusedFile:
    """A delivered file, or a member of one, that cannot be read at all."""

    number: int
    delivered: Path
    names: tuple[str, ...]
    true_name: str
    refused: FileRefused


@dataclass
class Listing:
    """What a delivery holds.

    Attributes:
        sources: what can be read.
        refused: what cannot.
        ignored: (number, name) of delivered files that the mapping does not want.
        noticed: (number, reason, how many) of junk and trailing bytes.
    """

    sources: list[Source] = field(default_factory=list)
    refused: list[RefusedFile] = field(default_factory=list)
    ignored: list[tuple[int, str]] = field(default_factory=list)
    noticed: list[tuple[int, str, int]] = field(default_factory=list)

    def beside(self, source: Source) -> list[Source]:
        """Return what came out of the same delivered file, itself included."""
        return [other for other in self.sources if other.delivered == source.delivered]


class DeliveryFiles:
    """The files of one delivery, and a folder of their own for what is inflated.

    Used as a context manager: the folder goes with it.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, settings: Settings, found: Found
    ) -> None:
        self.con, self.settings, self.found = con, settings, found
        self._folder: Path | None = None
        self._read_last: tuple[object, ...] = ()
        self._raw: RawTable | None = None
        self.n_damaged = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            leave_plain_folder(self.settings, self._folder.parent)

    @property
    def folder(self) -> Path:
        """Return the folder for what is inflated or transcribed; made when needed."""
        if self._folder is None:
            n_bytes = sum(path.lstat().st_size for path in self.found.members())
            where = plain_folder(self.settings, _MOST_GROWN * n_bytes)
            self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
        return self._folder

    # --- what there is --------------------------------------------------------------

    def list_sources(self, mapping: Mapping) -> Listing:
        """Open every container and workbook of the delivery."""
        listing = Listing()
        budget = Budget(int(self.settings.inbox.max_inflated_gb * (1 << 30)))
        numbers = iter(range(1, 1 << 31))
        n_junk = self.found.n_junk()
        if n_junk:
            listing.noticed.append((0, "junk_skipped", n_junk))
        for path in self.found.members():
            if path.name != MANIFEST:
                self._list_file(path, mapping, listing, budget, numbers)
        return listing

    def _list_file(
        self,
        path: Path,
        mapping: Mapping,
        listing: Listing,
        budget: Budget,
        numbers: Iterator[int],
    ) -> None:
        if mapping.is_ignored(path.name):
            listing.ignored.append((next(numbers), path.name))
            return
        try:
            if not is_plain_file(path):
                raise FileRefused("not_a_file")
            opened = open_file(path, path.name, self.folder, budget)
        except FileRefused as refused:
            listing.refused.append(
                RefusedFile(next(numbers), path, (path.name,), path.name, refused)
            )
            return
        first = len(listing.sources)
        for member in opened.members:
            if any(mapping.is_ignored(name) for name in member.names):
                listing.ignored.append((next(numbers), _true_name(path, member.names)))
            elif member.format == "xlsx":
                self._list_sheets(path, member, listing, numbers)
            else:
                name = _true_name(path, member.names)
                listing.sources.append(Source(next(numbers), path, name, member))
        for names, reason in opened.refused:
            if any(mapping.is_ignored(name) for name in names):
                listing.ignored.append((next(numbers), _true_name(path, names)))
                continue
            listing.refused.append(
                RefusedFile(
                    next(numbers),
                    path,
                    names,
                    _true_name(path, names),
                    FileRefused(reason),
                )
            )
        at = listing.sources[first].number if first < len(listing.sources) else 0
        if opened.n_junk:
            listing.noticed.append((at, "junk_skipped", opened.n_junk))
        if opened.n_trailing:
            listing.noticed.append((at, "archive_trailing_bytes", opened.n_trailing))

    def _list_sheets(
        self, path: Path, member: Member, listing: Listing, numbers: Iterator[int]
    ) -> None:
        folder = self.folder / f"sheets-{len(listing.sources) + len(listing.refused)}"
        max_bytes = int(self.settings.inbox.max_inflated_gb * (1 << 30))
        try:
            sheets = read_sheets(
                member.path, folder, self.settings.warehouse.memory_bytes, max_bytes
            )
        except FileRefused as refused:
            name = _true_name(path, member.names)
            listing.refused.append(
                RefusedFile(next(numbers), path, member.names, name, refused)
            )
            return
        for sheet in sheets:
            name = f"{_true_name(path, member.names)}#{sheet.name}"
            listing.sources.append(Source(next(numbers), path, name, member, sheet))

    # --- reading one ----------------------------------------------------------------

    def read(
        self, source: Source, part: FileMapping, known: Container[str]
    ) -> RawTable:
        """Leave the raw tables of one source; of the last one they are still there.

        Args:
            source: what to read.
            part: how the mapping says it is written.
            known: the normalised headers that the mapping has a word for.

        Raises:
            FileRefused: it cannot be read.
        """
        asked = (
            source.number,
            part.encoding,
            part.delimiter,
            part.header_row,
            part.header_rows,
            part.allow_unterminated,
            known,
        )
        if asked == self._read_last and self._raw is not None:
            return self._raw
        self._read_last, self._raw, self.n_damaged = (), None, 0
        raw = self._read(source, part, known)
        self._read_last, self._raw = asked, raw
        return raw

    def forget(self) -> None:
        """Say that the raw tables were changed: the next read starts from the file."""
        self._read_last = ()

    def _read(
        self, source: Source, part: FileMapping, known: Container[str]
    ) -> RawTable:
        path = source.member.path
        if source.sheet is not None:
            return read_sheet(self.con, source.sheet, part, known)
        if source.member.format == "parquet":
            return read_parquet(self.con, path)
        if source.member.format == "ndjson":
            return read_ndjson(self.con, path, self.folder)
        text = as_utf8(path, part.encoding, lambda: self.folder / "transcribed")
        self.n_damaged = text.n_damaged
        head = read_head(text, part, known)
        is_ended = part.allow_unterminated or ends_with_newline(text.path)
        if not is_ended and not head.has_end:
            raise FileRefused("header_cut_off")
        raw = read_delimited(self.con, text, head, lambda: self.folder / "one_line_end")
        if not is_ended:
            drop_unterminated_row(self.con, head)
        return raw


def choose_parts(
    mapping: Mapping, sources: list[Source]
) -> dict[int, list[FileMapping]]:
    """Return, for each source by its number, the mapping's parts that feed on it.

    A sheet that the mapping knows by its own name is read as such; then the other sheets
    of that workbook are not taken for what the workbook's name says. A hidden sheet is
    read only by its own name.
    """
    chosen: dict[int, list[FileMapping]] = {}
    named: set[Path] = set()
    for source in sources:
        sheet = source.sheet
        if sheet is not None:
            parts = parts_of(mapping, source.names[:1], sheet.name) or [
                part
                for part in parts_of(mapping, source.names, sheet.name)
                if part.sheet != "*"
            ]
            if parts:
                chosen[source.number] = parts
                named.add(source.member.path)
    for source in sources:
        if source.number in chosen:
            continue
        sheet = source.sheet
        if sheet is not None and (source.member.path in named or not sheet.is_visible):
            chosen[source.number] = []
        else:
            name = sheet.name if sheet else ""
            chosen[source.number] = parts_of(mapping, source.names, name)
    return chosen


def parts_of(mapping: Mapping, names: tuple[str, ...], sheet: str) -> list[FileMapping]:
    """Return the mapping's parts for the first of the names that it knows."""
    for name in names:
        parts: dict[str, FileMapping] = {}
        for part in mapping.of_file(name):
            if fnmatchcase(sheet.lower(), part.sheet.lower()):
                # A mapping's own words come before those of the preset it extends.
                parts.setdefault(part.table, part)
        if parts:
            return list(parts.values())
    return []


def can_read(part: FileMapping, source: Source) -> bool:
    """Tell whether a part of the mapping takes files of this format."""
    found = source.member.format
    if part.format == "fhir":
        return found in ("json", "ndjson")
    return found != "json" and part.format in ("auto", found)


def sweep_temporary(settings: Settings) -> None:
    """Remove the folders that a killed door left behind."""
    for folder in plain_folders(settings):
        for left in folder.glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)


def _true_name(path: Path, names: tuple[str, ...]) -> str:
    return path.name if names[0] == path.name else f"{path.name}/{names[0]}"
