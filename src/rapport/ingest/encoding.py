"""The encoding of a text file: found, held against every byte, and made UTF-8.

A file is decoded strictly. Where that fails it is refused: no byte becomes U+FFFD.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rapport.ingest.raw import MAX_CELL_BYTES, FileRefused
from rapport.mapping.vendor import Encoding

_BLOCK = 1 << 20
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-bom"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_EMPTY_LINE = re.compile(rb"\n\r?\n|\r\r")
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_DAMAGED = "\ufffd".encode()


@dataclass(frozen=True)
class Text:
    """A text file as UTF-8.

    Attributes:
        path: the file itself, or its transcription in the door's temporary folder.
        encoding: what it was written in, for the ledger.
        has_empty_lines: whether a line has no character at all.
        n_damaged: characters that were lost before the file came (U+FFFD in it).
        has_blanks: whether a cell may begin or end with a blank: false where the file
            holds none at all, so that nothing is to be trimmed.
    """

    path: Path
    encoding: str
    has_empty_lines: bool
    n_damaged: int
    has_blanks: bool


def as_utf8(path: Path, wanted: Encoding, copy: Callable[[], Path]) -> Text:
    """Return the file as UTF-8, transcribed into a copy where it is not.

    Raises:
        FileRefused: it is empty, holds NUL or a line of more than 16 MB, or is not text
            in the encoding that the mapping says (or in any that is known).
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise FileRefused("file_empty")
    encoding = _encoding_of(head, wanted)
    if encoding in ("utf-8", "utf-8-bom"):
        seen = _scan(path)
        if seen.is_utf8:
            return Text(
                path, encoding, seen.has_empty_lines, seen.n_damaged, seen.has_blanks
            )
        if wanted != "auto" or encoding == "utf-8-bom" or seen.has_multibyte:
            # Some of it is UTF-8: the rest is damage, not another encoding.
            raise FileRefused("encoding_unreadable", n_lines(path))
        encoding = "cp1252"
    utf8 = copy()
    _transcribe(path, encoding, utf8)
    seen = _scan(utf8)
    return Text(utf8, encoding, seen.has_empty_lines, seen.n_damaged, seen.has_blanks)


def _encoding_of(head: bytes, wanted: Encoding) -> str:
    """Tell from the first bytes; what the mapping says must agree with a BOM."""
    bom = next((name for mark, name in _BOMS if head.startswith(mark)), "")
    if bom == "utf-32" or (bom and wanted != "auto" and not bom.startswith(wanted)):
        raise FileRefused("encoding_unreadable")
    if bom:
        return bom
    if wanted in ("utf-8", "cp1252", "latin-1"):
        return wanted
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > len(head) // 8 and even < odd // 4:
        return "utf-16-le"
    if even > len(head) // 8 and odd < even // 4:
        return "utf-16-be"
    if wanted == "utf-16":
        raise FileRefused("encoding_unreadable")
    return "utf-8"


@dataclass
class _Seen:
    is_utf8: bool = True
    has_multibyte: bool = False
    has_empty_lines: bool = False
    n_damaged: int = 0
    has_blanks: bool = False


def _scan(path: Path) -> _Seen:
    """Hold every byte against UTF-8 and against what no table holds."""
    seen, tail, unbroken = _Seen(), b"", 0
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if b"\0" in block:
                raise FileRefused("nul_byte", n_lines(path))
            last = max(block.rfind(b"\n"), block.rfind(b"\r"))
            unbroken = unbroken + len(block) if last < 0 else len(block) - last
            if unbroken > MAX_CELL_BYTES:
                raise FileRefused("line_too_long")
            if not seen.has_empty_lines:
                seen.has_empty_lines = _has_empty_line(tail + block)
            is_ascii = block.isascii()
            seen.has_blanks = seen.has_blanks or not is_ascii or b" " in block
            if not is_ascii:
                seen.n_damaged += block.count(_DAMAGED)
                seen.has_multibyte = seen.has_multibyte or _has_multibyte(block)
            seen.is_utf8 = seen.is_utf8 and _decodes(decoder, block)
            tail = block[-2:]
    seen.is_utf8 = seen.is_utf8 and _decodes(decoder, b"", final=True)
    return seen


def _has_empty_line(block: bytes) -> bool:
    # To look for two bytes is six times as fast as the pattern.
    return bool(_EMPTY_LINE.search(block)) if b"\r" in block else b"\n\n" in block


def _decodes(
    decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False
) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _has_multibyte(block: bytes) -> bool:
    """Tell whether any character of a block is UTF-8 of more than one byte."""
    return _MULTIBYTE.search(block) is not None


def _transcribe(path: Path, encoding: str, utf8: Path) -> None:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        with path.open("rb") as file, utf8.open("wb") as out:
            if encoding.startswith("utf-16") and file.read(2) not in (
                codecs.BOM_UTF16_LE,
                codecs.BOM_UTF16_BE,
            ):
                file.seek(0)
            while block := file.read(_BLOCK):
                out.write(decoder.decode(block).encode("utf-8"))
            out.write(decoder.decode(b"", True).encode("utf-8"))
    except UnicodeError:
        raise FileRefused("encoding_unreadable", n_lines(path)) from None


def n_lines(path: Path) -> int:
    """Count the lines below the header of a file that cannot be read as a table."""
    with path.open("rb") as file:
        n_breaks = sum(
            block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b"")
        )
    return max(0, n_breaks - 1)
