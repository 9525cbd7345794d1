"""One source's mapping, read from its TOML and from the preset that it builds on.

Every problem of a file is named together, with file, line and key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as AnyMapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rapport.errors import MappingError
from rapport.mapping.canonical import BY_NAME
from rapport.mapping.vendor import FileMapping, Mapping, MappingFile
from rapport.settings import Settings

# Code list -> normalised spelling -> code.
Codes = AnyMapping[str, AnyMapping[str, str]]
_NEXT = "see docs/how-to/map-an-export.md; rapport mapping check SOURCE tries it"


def preset_names() -> list[str]:
    """List the shipped presets."""
    folder = resources.files("rapport.mapping") / "presets"
    return sorted(
        Path(entry.name).stem
        for entry in folder.iterdir()
        if entry.name.endswith("toml")
    )


def load_mapping(home: Path, source: str, codes: Codes | None = None) -> Mapping | None:
    """Return the mapping of a source, or None when it has none.

    Args:
        home: RAPPORT_HOME.
        source: the folder's name under ``inbox/``.
        codes: the code lists, to hold the mapping's codes against.

    Raises:
        MappingError: the file is not valid; every problem is named.
    """
    own = home / "mappings" / f"{source}.toml"
    if own.exists():
        return read_mapping(own.read_text("utf-8"), own.name, codes)
    if source in preset_names():
        said = _preset(source)
        return _alone(said)
    return None


def zone_of_source(settings: Settings, source: str) -> str:
    """Return a source's zone: the settings' word, else the mapping's, else UTC.

    Raises:
        MappingError: the source's mapping is not valid.
    """
    said = settings.source.get(source)
    if said is not None and "timezone" in said.model_fields_set:
        return said.timezone
    mapping = load_mapping(settings.home, source)
    if mapping is not None and mapping.timezone is not None:
        return mapping.timezone
    return settings.of_source(source).timezone


def read_mapping(text: str, name: str, codes: Codes | None = None) -> Mapping:
    """Read a mapping from its TOML text.

    Raises:
        MappingError: it is not valid; every problem is named with its line.
    """
    said = _tables(text, name)
    base = said.get("extends")
    if base is None:
        own = _valid(said, text, name)
        _check_codes(own, text, name, codes)
        return _alone(own)
    if base not in preset_names():
        line = _line_of(text, ("extends",))
        raise MappingError(
            f"{name}, line {line}, extends: no such preset; one of"
            f" {', '.join(preset_names())}",
            next_step=_NEXT,
        )
    below = _preset_tables(base)
    own = _valid(_with_preset(said, below), text, name)
    _check_codes(own, text, name, codes)
    preset = _preset(base)
    changed = {(entry.match, entry.table) for entry in own.file}
    return Mapping(
        own.description or preset.description,
        own.timezone or preset.timezone,
        own.file,
        tuple(e for e in preset.file if (e.match, e.table) not in changed),
        own.ignore + preset.ignore,
        own.fhir.over(preset.fhir)
        if own.fhir and preset.fhir
        else own.fhir or preset.fhir,
    )


def _alone(said: MappingFile) -> Mapping:
    return Mapping(
        said.description, said.timezone, said.file, (), said.ignore, said.fhir
    )


def _with_preset(said: dict[str, Any], below: dict[str, Any]) -> dict[str, Any]:
    """Fill what an entry leaves unsaid from the preset's entry of its match and table."""
    files = said.get("file", [])
    if not isinstance(files, list):
        return said
    merged = [
        _merged(_same_entry(entry, below), entry) if isinstance(entry, dict) else entry
        for entry in files
    ]
    return {**said, "file": merged} if files else said


def _same_entry(entry: dict[str, Any], below: dict[str, Any]) -> dict[str, Any]:
    found = [
        b
        for b in below.get("file", [])
        if (b["match"], b["table"]) == (entry.get("match"), entry.get("table"))
    ]
    return dict(found[0]) if found else {}


def _merged(below: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry over the preset's: tables key by key, all else replaced."""
    merged = dict(below)
    for key, value in entry.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    # A column has one way to be made: what the entry says undoes the preset's.
    ways = ("columns", "compose", "constants", "date_and_time", "minutes")
    for way in ways:
        for column in entry.get(way, {}) if isinstance(entry.get(way), dict) else {}:
            for other in ways:
                if other != way and column not in entry.get(other, {}):
                    merged[other] = {
                        k: v for k, v in merged.get(other, {}).items() if k != column
                    }
    return merged


def preset_text(name: str) -> str:
    """Return the TOML of a shipped preset."""
    file = resources.files("rapport.mapping") / "presets" / f"{name}.toml"
    return file.read_text("utf-8")


def _preset_tables(name: str) -> dict[str, Any]:
    return _tables(preset_text(name), f"{name}.toml")


def _preset(name: str) -> MappingFile:
    text = preset_text(name)
    return _valid(_tables(text, f"{name}.toml"), text, f"{name}.toml")


def _tables(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(
            f"{name}: not valid TOML: {error}", next_step=_NEXT
        ) from None


def _valid(said: AnyMapping[str, Any], text: str, name: str) -> MappingFile:
    try:
        return MappingFile.model_validate(said)
    except ValidationError as error:
        lines = [
            _problem(text, name, problem["loc"], problem["type"], problem["msg"])
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise MappingError(
            "\n".join([f"{name}: not a valid mapping:", *dict.fromkeys(lines)]),
            next_step=_NEXT,
        ) from None


def _problem(
    text: str, name: str, loc: tuple[int | str, ...], kind: str, message: str
) -> str:
    said = message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        model = _model_at(loc)
        said = f"no such key; one of {', '.join(sorted(model))}"
    # A model's own message begins with the key below it: that is where the line is.
    key, _, rest = said.partition(": ")
    below = tuple(key.split(".", 1)) if rest and re.fullmatch(r"[\w.*]+", key) else ()
    line = _line_of(text, (*loc, *below))
    where = _path(loc)
    return f"  {name}, line {line}{', ' + where if where else ''}: {said}"


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part + 1}]"
        elif not part.startswith(("tuple[", "dict[", "literal[", "str")):
            path += f".{part}" if path else part
    return path


def _model_at(loc: tuple[int | str, ...]) -> set[str]:
    """Return the keys of the table that an unknown key stands in."""
    from rapport.mapping import vendor

    models: dict[str, Any] = {
        "file": FileMapping,
        "filter": vendor.RowFilter,
        "only": vendor.RowFilter,
        "join": vendor.Join,
        "questionnaire": vendor.Questionnaire,
        "answers": vendor.Answers,
        "form": vendor.CodedForm,
        "booleans": vendor.Words,
        "ignore": vendor.Ignored,
    }
    found: Any = MappingFile
    for part in loc[:-1]:
        found = models.get(str(part), found)
    return set(found.model_fields)


def _check_codes(own: MappingFile, text: str, name: str, codes: Codes | None) -> None:
    """Hold every code and constant of a mapping against its list.

    Raises:
        MappingError: one is outside its list; the list is named.
    """
    lines = []
    for n, entry in enumerate(own.file):
        for column in BY_NAME[entry.table].columns:
            if codes is None or column.kind not in ("code", "codes"):
                continue
            known = codes.get(column.of, {})
            said: list[tuple[tuple[str, ...], str]] = [
                (("codes", column.name, spelling), code)
                for spelling, code in entry.codes.get(column.name, {}).items()
            ]
            if column.name in entry.constants:
                said.append((("constants", column.name), entry.constants[column.name]))
            for keys, code in said:
                if re.sub(r"[\s-]+", "_", code.strip().lower()) not in known:
                    loc: tuple[int | str, ...] = ("file", n, *keys)
                    lines.append(
                        f"  {name}, line {_line_of(text, loc)}, {_path(loc[:4])}: not in"
                        f" the list of {column.name}; one of"
                        f" {', '.join(sorted(set(known.values())))}"
                    )
    if lines:
        raise MappingError(
            "\n".join([f"{name}: not a valid mapping:", *lines]), next_step=_NEXT
        )


_TABLE = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")


def _line_of(text: str, loc: tuple[int | str, ...]) -> int:
    """Return the line of a key in TOML text, or of the nearest key above it."""
    lines = text.splitlines()
    best, start, end = 1, 0, len(lines)
    prefix: list[str] = []
    for n, part in enumerate(loc):
        if isinstance(part, int):
            heads = _headers(lines, start, end, ".".join(prefix))
            if part < len(heads):
                start = heads[part]
                best = start + 1
                end = heads[part + 1] if part + 1 < len(heads) else end
            continue
        prefix.append(part)
        following = loc[n + 1] if n + 1 < len(loc) else None
        is_array = isinstance(following, int)
        if is_array and _headers(lines, start, end, ".".join(prefix)):
            continue
        found = _key_line(lines, start, end, prefix)
        if found is not None:
            best, start = found + 1, found
        else:
            prefix.pop()
    return best


def _headers(lines: list[str], start: int, end: int, name: str) -> list[int]:
    found = []
    for n in range(start, end):
        head = _TABLE.match(lines[n])
        if head and lines[n].lstrip().startswith("[[") and head.group(1) == name:
            found.append(n)
    return found


def _key_line(lines: list[str], start: int, end: int, path: list[str]) -> int | None:
    key = re.escape(path[-1])
    as_key = re.compile(rf"(^|[\s,{{])(\"{key}\"|'{key}'|{key})\s*=")
    dotted = ".".join(path)
    for n in range(start, end):
        head = _TABLE.match(lines[n])
        if head and head.group(1) == dotted:
            return n
    for n in range(start, end):
        if not lines[n].lstrip().startswith("#") and as_key.search(lines[n]):
            return n
    return None
