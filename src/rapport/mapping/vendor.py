"""A vendor mapping: which file feeds which canonical table, column by column.

One TOML a source. It may build on a shipped preset (``extends = "canonical"``); a source
named like a preset uses it as it is. A mapping that brings an unwanted column in
(names, contact details, note text) does not load.
"""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)

from rapport.errors import MappingError
from rapport.mapping.canonical import BY_NAME, NOT_WANTED
from rapport.mapping.fhir import FhirMapping

Format: TypeAlias = Literal["auto", "delimited", "xlsx", "parquet", "ndjson", "fhir"]
Encoding: TypeAlias = Literal["auto", "utf-8", "utf-16", "cp1252", "latin-1"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowFilter(_Part):
    """A named rule for rows that are known and not wanted: they count as filtered."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,48}$")
    column: str
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.keep) == bool(self.drop):
            raise ValueError("a filter has either keep or drop")
        return self


class FileMapping(_Part):
    """How the files that match a pattern feed one canonical table.

    Attributes:
        match: a glob over the name of a file, of a member of a zip, of the file inside
            a gzip, or of a sheet (``sessions`` is matched as ``sessions.xlsx``).
        table: the canonical table.
        format: what the file's first bytes must say; ``auto`` takes any but FHIR.
        encoding: ``auto`` detects it; else the file must be that, to the last byte.
        delimiter: one character, or ``auto``.
        sheet: a glob over the sheets of a workbook.
        header_row: the first row of the header, or ``auto``: the first row that looks
            like one, titles above it being counted as footer.
        header_rows: how many rows the header has; their words are joined by a blank.
        allow_unterminated: take the last row even when its line was never ended.
        max_bad_share: above this share of bad rows the file is refused whole.
    """

    match: str
    table: str
    format: Format = "auto"
    encoding: Encoding = "auto"
    delimiter: str = Field("auto", pattern=r"^(auto|[^\r\n\x00])$")
    sheet: str = "*"
    header_row: PositiveInt | Literal["auto"] = "auto"
    header_rows: int = Field(1, ge=1, le=5)
    allow_unterminated: bool = False
    max_bad_share: float | None = Field(None, gt=0, le=1)
    columns: dict[str, str] = {}
    compose: dict[str, tuple[str, ...]] = {}
    constants: dict[str, str] = {}
    codes: dict[str, dict[str, str]] = {}
    drop: tuple[str, ...] = ()
    filter: tuple[RowFilter, ...] = ()

    @model_validator(mode="after")
    def _names_are_canonical(self) -> Self:
        if self.table not in BY_NAME:
            raise ValueError(f"no such table; one of {', '.join(BY_NAME)}")
        known = {column.name for column in BY_NAME[self.table].columns}
        for part in (self.columns, self.compose, self.constants, self.codes):
            for name in part:
                if name not in known:
                    raise ValueError(f"{self.table} has no column {name}")
        for header in self.columns.values():
            if normal_header(header) in NOT_WANTED and self.table != "clinics":
                raise ValueError(
                    f"{header}: a name, contact, record number or note is not wanted"
                )
        return self

    def header_of(self, column: str) -> str | None:
        """Return the vendor's header for a canonical column, its own name by default.

        A mapping that names any column leaves the unnamed ones out.
        """
        if column in self.columns:
            return self.columns[column]
        if column in self.compose or column in self.constants:
            return None
        return None if self.columns or self.compose else column

    def known_headers(self) -> set[str]:
        """Return the normalised headers that the mapping has a word for."""
        table = BY_NAME[self.table]
        known = {self.header_of(column.name) for column in table.columns} - {None}
        known |= {h for parts in self.compose.values() for h in parts}
        known |= {rule.column for rule in self.filter} | set(self.drop)
        return {normal_header(header) for header in known if header}


class Ignored(_Part):
    """Files of a delivery that are known and not wanted."""

    match: str


class Mapping(_Part):
    """One source's mapping."""

    description: str = ""
    extends: str | None = None
    timezone: str | None = None
    file: tuple[FileMapping, ...] = ()
    ignore: tuple[Ignored, ...] = ()
    fhir: FhirMapping | None = None

    def of_file(self, name: str) -> list[FileMapping]:
        """Return what a file of this name feeds; it may feed several tables."""
        return [
            part for part in self.file if fnmatchcase(name.lower(), part.match.lower())
        ]

    def is_fhir(self, name: str) -> bool:
        """Tell whether a file is read together with others as FHIR."""
        return (
            self.fhir is not None
            and not self.of_file(name)
            and not self.is_ignored(name)
            and any(fnmatchcase(name.lower(), m.lower()) for m in self.fhir.match)
        )

    def is_ignored(self, name: str) -> bool:
        """Tell whether a file is known and not wanted."""
        return any(fnmatchcase(name.lower(), i.match.lower()) for i in self.ignore)


def normal_header(header: str) -> str:
    """Fold case, blanks and line breaks of a header, so that ``Client ID`` is one name."""
    return re.sub(r"[\s_-]+", "_", header.strip().strip("\ufeff").lower())


def preset_names() -> list[str]:
    """List the shipped presets."""
    folder = resources.files("rapport.mapping") / "presets"
    return sorted(
        Path(entry.name).stem
        for entry in folder.iterdir()
        if entry.name.endswith("toml")
    )


def load_mapping(home: Path, source: str) -> Mapping | None:
    """Return the mapping of a source, or None when it has none.

    Raises:
        MappingError: the file is not valid; every problem is named.
    """
    own = home / "mappings" / f"{source}.toml"
    if own.exists():
        mapping = _parsed(own.read_text("utf-8"), own.name)
    elif source in preset_names():
        return _preset(source)
    else:
        return None
    if mapping.extends is None:
        return mapping
    if mapping.extends not in preset_names():
        raise MappingError(
            f"{own.name}: extends: no such preset; one of {', '.join(preset_names())}"
        )
    below = _preset(mapping.extends)
    return Mapping(
        description=mapping.description or below.description,
        timezone=mapping.timezone or below.timezone,
        file=mapping.file + below.file,
        ignore=mapping.ignore + below.ignore,
        fhir=_fhir_of_both(mapping.fhir, below.fhir),
    )


def _fhir_of_both(
    own: FhirMapping | None, below: FhirMapping | None
) -> FhirMapping | None:
    return own.over(below) if own and below else own or below


def _preset(name: str) -> Mapping:
    file = resources.files("rapport.mapping") / "presets" / f"{name}.toml"
    return _parsed(file.read_text("utf-8"), f"{name}.toml")


def _parsed(text: str, name: str) -> Mapping:
    try:
        said: dict[str, Any] = tomllib.loads(text)
        return Mapping.model_validate(said)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{name}: not valid TOML: {error}") from None
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(p) for p in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise MappingError(
            "\n".join([f"{name}: not a valid mapping:", *lines])
        ) from None
