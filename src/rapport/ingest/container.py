"""What lies inside a gzip or a zip, inflated under caps that are measured, not read.

Nothing is written under a name that an archive gives: members become numbered files in
the door's temporary folder, and their names only serve to find the mapping. An archive
that could not have been made in good faith is refused whole.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from rapport.errors import is_disk_full
from rapport.ingest.first_bytes import FoundFormat, format_of, open_zip
from rapport.ingest.inbox import is_junk
from rapport.ingest.raw import FileRefused

MAX_MEMBERS = 2_000
MAX_DEPTH = 3
MAX_RATIO = 250
_RATIO_FROM_BYTES = 32 << 20
_BLOCK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass
class Budget:
    """How much one delivery may still inflate to."""

    n_bytes: int
    n_members: int = MAX_MEMBERS

    def take_member(self) -> None:
        """Count one member.

        Raises:
            FileRefused: there are too many.
        """
        self.n_members -= 1
        if self.n_members < 0:
            raise FileRefused("archive_too_many_members")

    def take_bytes(self, n: int, n_in: int, n_packed: int) -> None:
        """Count bytes that came out.

        Args:
            n: bytes of this block.
            n_in: bytes of this member so far.
            n_packed: the bytes that they came from.

        Raises:
            FileRefused: too many, or far more than went in.
        """
        self.n_bytes -= n
        if self.n_bytes < 0:
            raise FileRefused("archive_too_large")
        if n_in > _RATIO_FROM_BYTES and n_in > MAX_RATIO * max(1, n_packed):
            raise FileRefused("archive_bomb")


@dataclass(frozen=True)
class Member:
    """One plain file of a delivery: as it was delivered, or out of an archive.

    Attributes:
        names: what the mapping may know it by, most telling first. Never printed.
        path: its bytes on this disk.
        format: what its first bytes say.
    """

    names: tuple[str, ...]
    path: Path
    format: FoundFormat


@dataclass
class Opened:
    """What a delivered file holds.

    Attributes:
        members: plain files that may hold tables.
        refused: (names, reason) of members that cannot.
        n_junk: members that an operating system left there.
        n_trailing: archives with bytes behind their end.
    """

    members: list[Member] = field(default_factory=list)
    refused: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    n_junk: int = 0
    n_trailing: int = 0


def open_file(path: Path, name: str, folder: Path, budget: Budget) -> Opened:
    """Return the plain files that a delivered file holds: itself, or its members.

    Args:
        path: the delivered file.
        name: its name.
        folder: where members are inflated to.
        budget: what the delivery may still inflate to.

    Raises:
        FileRefused: the file, or the archive as a whole, cannot be taken.
    """
    opened = Opened()
    _open(path, (name,), folder, budget, opened, 0)
    return opened


def _open(
    path: Path,
    names: tuple[str, ...],
    folder: Path,
    budget: Budget,
    opened: Opened,
    depth: int,
) -> None:
    found = format_of(path)
    if found in ("gzip", "zip") and depth == MAX_DEPTH:
        raise FileRefused("archive_too_deep")
    if found == "gzip":
        budget.take_member()
        inner = folder / f"{budget.n_members}.member"
        opened.n_trailing += _gunzip(path, inner, budget)
        shorter = tuple(_without(name, (".gz", ".gzip")) for name in names)
        _open(inner, shorter, folder, budget, opened, depth + 1)
    elif found == "zip":
        _unzip(path, names, folder, budget, opened, depth)
    else:
        if found == "xlsx":
            _measure_workbook(path, budget)
        opened.members.append(Member(names, path, found))


def _without(name: str, endings: tuple[str, ...]) -> str:
    for ending in endings:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _gunzip(path: Path, inner: Path, budget: Budget) -> bool:
    """Inflate every member of a gzip, one after the other; tell of bytes behind them."""
    n_packed, n_out = path.stat().st_size, 0
    with path.open("rb") as file, inner.open("wb") as out:
        rest = file.read(_BLOCK)
        while rest.startswith(b"\x1f\x8b"):
            inflater = zlib.decompressobj(31)
            while not inflater.eof:
                rest = rest or file.read(_BLOCK)
                try:
                    block = inflater.decompress(rest, _BLOCK)
                except zlib.error:
                    raise FileRefused("archive_unreadable") from None
                if not rest and not block and not inflater.eof:
                    raise FileRefused("archive_cut_off")
                rest = inflater.unconsumed_tail
                n_out += len(block)
                budget.take_bytes(len(block), n_out, n_packed)
                out.write(block)
            rest = inflater.unused_data
            if len(rest) < 2:
                rest += file.read(_BLOCK)
        # Zeros pad a gzip to a block of tape; anything else was not meant to be there.
        is_padding = not rest.strip(b"\0")
        while is_padding and (block := file.read(_BLOCK)):
            is_padding = not block.strip(b"\0")
    return not is_padding


def _unzip(
    path: Path,
    names: tuple[str, ...],
    folder: Path,
    budget: Budget,
    opened: Opened,
    depth: int,
) -> None:
    with open_zip(path) as archive:
        _refuse_bad_directory(archive)
        wanted = []
        for info in archive.infolist():
            if info.is_dir():
                continue
            if any(is_junk(part) for part in PurePosixPath(info.filename).parts):
                opened.n_junk += 1
            else:
                wanted.append(info)
        if not wanted:
            raise FileRefused("file_empty")
        for info in wanted:
            budget.take_member()
            inner = folder / f"{budget.n_members}.member"
            with inner.open("wb") as out:
                _inflate(archive, info, out, budget)
            inner_names: tuple[str, ...] = (PurePosixPath(info.filename).name,)
            if len(wanted) == 1:
                # The archive's own name may tell what the one file in it is.
                ending = PurePosixPath(info.filename).suffix
                stems = [_without(name, (".zip",)) for name in names]
                inner_names += tuple(
                    stem if "." in stem else f"{stem}{ending}" for stem in stems
                )
            try:
                _open(inner, inner_names, folder, budget, opened, depth + 1)
            except FileRefused as refused:
                if refused.reason.startswith("archive_"):
                    raise
                opened.refused.append((inner_names, refused.reason))


def _refuse_bad_directory(archive: zipfile.ZipFile) -> None:
    """Refuse an archive whose directory holds what no export writes."""
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise FileRefused("archive_too_many_members")
    seen = set()
    for info in infos:
        name = info.filename.replace("\\", "/")
        if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
            raise FileRefused("archive_unsafe_name")
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise FileRefused("archive_link")
        if info.flag_bits & 0x1:
            raise FileRefused("archive_encrypted")
        if info.compress_type not in _METHODS:
            raise FileRefused("archive_unreadable")
        if name.casefold() in seen:
            raise FileRefused("archive_duplicate_member")
        seen.add(name.casefold())


def _inflate(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    out: IO[bytes] | None,
    budget: Budget,
) -> None:
    n_out = 0
    try:
        with archive.open(info) as member:
            while block := member.read(_BLOCK):
                n_out += len(block)
                budget.take_bytes(len(block), n_out, info.compress_size)
                if out is not None:
                    out.write(block)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ):
        raise FileRefused("archive_unreadable") from None
    except OSError as error:  # a directory may point before the file's start
        if is_disk_full(error):
            raise
        raise FileRefused("archive_unreadable") from None


def _measure_workbook(path: Path, budget: Budget) -> None:
    """Inflate a workbook to nowhere first: its parser would believe what it claims."""
    with open_zip(path) as archive:
        _refuse_bad_directory(archive)
        for info in archive.infolist():
            if not info.is_dir():
                _inflate(archive, info, None, budget)
