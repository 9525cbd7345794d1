"""The format of a file, from its first bytes: its name may say anything."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Literal, TypeAlias

from rapport.ingest.raw import FileRefused

FoundFormat: TypeAlias = Literal[
    "gzip", "zip", "xlsx", "parquet", "json", "ndjson", "delimited"
]
_HEAD = 64 << 10
_MAX_DIRECTORY_BYTES = 8 << 20
_TAIL = (64 << 10) + 128

# First bytes of what is no table; the reason tells a person what they exported.
_NOT_TABLES = (
    (b"%PDF", "file_is_pdf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "file_is_old_or_locked_workbook"),
    (b"PARE", "file_encrypted"),
    (b"7z\xbc\xaf\x27\x1c", "format_unknown"),
    (b"Rar!", "format_unknown"),
    (b"BZh", "format_unknown"),
    (b"\xfd7zXZ\x00", "format_unknown"),
    (b"\x28\xb5\x2f\xfd", "format_unknown"),
    (b"\x89PNG", "format_unknown"),
    (b"\xff\xd8\xff", "format_unknown"),
    (b"\x7fELF", "format_unknown"),
    (b"MZ\x90\x00", "format_unknown"),
    (b"SQLite format 3\x00", "format_unknown"),
)


def format_of(path: Path) -> FoundFormat:
    """Tell what a file is.

    Raises:
        FileRefused: it is empty, or something that holds no table of ours.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise FileRefused("file_empty")
    for mark, reason in _NOT_TABLES:
        if head.startswith(mark):
            raise FileRefused(reason)
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "xlsx" if _is_workbook(path) else "zip"
    return _text_format(head)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip whose directory is of a sane size.

    Raises:
        FileRefused: it is cut off, damaged, or names far too many members.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    end, end64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    n_bytes = int.from_bytes(tail[end + 12 : end + 16], "little")
    if end64 >= 0:
        n_bytes = max(
            n_bytes if n_bytes != 0xFFFFFFFF else 0,
            int.from_bytes(tail[end64 + 40 : end64 + 48], "little"),
        )
    if end < 0:
        raise FileRefused("archive_unreadable")
    if n_bytes > _MAX_DIRECTORY_BYTES:
        raise FileRefused("archive_too_many_members")
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError):
        raise FileRefused("archive_unreadable") from None


def _is_workbook(path: Path) -> bool:
    with open_zip(path) as archive:
        names = {info.filename for info in archive.infolist()}
    if "[Content_Types].xml" not in names:
        return False
    if not any(name.lower().startswith("xl/") for name in names):
        raise FileRefused("format_unknown")
    return True


def _text_format(head: bytes) -> FoundFormat:
    """Tell JSON and web pages from delimited text."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head.decode("utf-16", "ignore").lstrip("\ufeff \t\r\n")
    else:
        text = head.decode("utf-8", "ignore").lstrip("\ufeff \t\r\n")
    start = text[:256].lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<body", "<script")):
        raise FileRefused("file_is_html")
    if start.startswith(("<?xml", "<!doctype", "<!--")):
        is_page = "<html" in text.lower()
        raise FileRefused("file_is_html" if is_page else "format_unknown")
    after = text[1:].lstrip()[:1]
    if start.startswith("{") and after in ('"', "}", ""):
        return _json_format(text)
    if start.startswith("[") and after in ("{", "["):
        return "json"
    return "delimited"


def _json_format(text: str) -> FoundFormat:
    """Tell one object a line from one document over many lines."""
    line, line_end, _ = text.partition("\n")
    if not line_end:
        return "ndjson"
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        is_opened = line.rstrip().endswith(("{", "[", ",")) or line.strip() == "{"
        return "json" if is_opened else "ndjson"
    return "ndjson"
