"""What a member of a FHIR delivery is, told from its bytes before the engine sees it.

The engine's JSON reader walks nested values on the stack: a few ten thousand levels end
the process. So length and depth of every record are held against caps here first.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from rapport.ingest.raw import FileRefused

MAX_LINE_BYTES = 16 << 20
MAX_DOCUMENT_BYTES = 256 << 20
MAX_DEPTH = 200
# A line shorter than this cannot nest deep enough to matter (six bytes a level).
_SHORT_LINE_BYTES = 10_000
_SNIFFED_LINES = 20
_MARK = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS = bytes(n for n in range(256) if n not in b"{}[]")

Layout = Literal["lines", "document", "array", "none"]


@dataclass(frozen=True)
class Member:
    """One member: its layout, the type of its first resource, its empty lines.

    Attributes:
        number: the member's place in the delivery.
        path: where it lies.
        layout: ``none`` when it holds no resource (a log, an export's manifest).
        first_type: the type of its first resource; empty where it is not lines.
        blank_lines: numbers of its lines with nothing on them, in order.
        has_mark: it begins with a byte order mark, which the engine's reader refuses.
    """

    number: int
    path: Path
    layout: Layout
    first_type: str
    blank_lines: tuple[int, ...] = ()
    has_mark: bool = False


def look_at(number: int, path: Path) -> Member:
    """Tell what a member is.

    Raises:
        FileRefused: it is empty, not JSON in UTF-8, cut off, or over a cap.
    """
    with path.open("rb") as file:
        head = file.read(4096)
        if not head.strip():
            raise FileRefused("file_empty")
        if b"\0" in head or head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise FileRefused("encoding_unreadable")
        file.seek(0)
        first = [file.readline(MAX_LINE_BYTES + 1) for _ in range(_SNIFFED_LINES)]
    said = [_parsed(line) for line in first if line.strip()]
    is_named_lines = path.suffix.lower() in (".ndjson", ".jsonl")
    if said and (is_named_lines or any(isinstance(x, dict) for x in said)):
        return _lines(number, path, said)
    return _document(number, path)


def _parsed(line: bytes) -> Any:
    if len(line) > MAX_LINE_BYTES:
        raise FileRefused("line_too_long")
    _hold_depth(line)
    try:
        return json.loads(line)
    except ValueError:
        return None


def _lines(number: int, path: Path, said: list[Any]) -> Member:
    types = [_type_of(x) for x in said if isinstance(x, dict)]
    blank, n, line = [], 0, b""
    with path.open("rb") as file:
        for n, line in enumerate(file, start=1):
            if len(line) > _SHORT_LINE_BYTES:
                if len(line) > MAX_LINE_BYTES:
                    raise FileRefused("line_too_long")
                _hold_depth(line)
            elif len(line) < 64 and not line.strip():
                blank.append(n)
    if not line.endswith(b"\n") and line.strip() and _parsed(line) is None:
        raise FileRefused("ndjson_cut_off", n - len(blank))
    if types and not any(types):
        return Member(number, path, "none", "")
    first = next((t for t in types if t), "")
    return Member(
        number, path, "lines", first, tuple(blank), _first_bytes(path) == _MARK
    )


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(3)


def _document(number: int, path: Path) -> Member:
    """One JSON value over many lines: a Bundle, a resource, an array of resources."""
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise FileRefused("json_too_large")
    text = path.read_bytes()
    _hold_depth(text)
    is_array = text.removeprefix(_MARK).lstrip().startswith(b"[")
    return Member(
        number, path, "array" if is_array else "document", "", (), text[:3] == _MARK
    )


def _type_of(said: Any) -> str:
    kind = said.get("resourceType") if isinstance(said, dict) else None
    return kind if isinstance(kind, str) else ""


def _hold_depth(text: bytes) -> None:
    """Refuse what nests deeper than the cap.

    The number of opening brackets bounds the depth, so most text needs no second look.
    """
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", text).translate(None, _NOT_BRACKETS)
    steps = (1 if byte in b"{[" else -1 for byte in brackets)
    if max(accumulate(steps), default=0) > MAX_DEPTH:
        raise FileRefused("json_file_too_deep")
