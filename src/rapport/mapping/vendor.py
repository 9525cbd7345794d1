"""The mapping language: which file feeds which canonical table, column by column.

One TOML a source; these models are what it may say, and where its JSON Schema comes from
(``docs/reference/mapping.schema.json``). A mapping that brings an unwanted column in
(names, contact details, record numbers, note text) does not load.

A *reference* names a cell of the file's row: a header; ``join.header`` for a header of a
joined file; ``header?`` where the header may be absent or the cell blank; ``a|b`` for the
first of several that is filled in; ``=text`` for a fixed text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self, TypeAlias
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    model_validator,
)

from rapport.mapping.canonical import BY_NAME, NOT_WANTED
from rapport.mapping.fhir import FhirMapping

Format: TypeAlias = Literal["auto", "delimited", "xlsx", "parquet", "ndjson", "fhir"]
Encoding: TypeAlias = Literal["auto", "utf-8", "utf-16", "cp1252", "latin-1"]
Rater: TypeAlias = Literal["client", "therapist", "observer"]
DateOrder: TypeAlias = Literal[
    "iso",
    "mdy",
    "dmy",
    "ymd",
    "named",
    "ddmmyyyy",
    "mmddyyyy",
    "yyyymmdd",
    "excel_serial",
    "excel_1904",
]
RuleName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,48}$")]
EVERY_COLUMN = "*"
_DATED = ("date", "birth_date", "timestamp", "utc")
_UNWANTED_SHAPE = re.compile(
    r"((client|patient|pt|member|person|therapist|provider|clinician|practitioner|staff"
    r"|contact|guardian|parent|spouse|emergency_contact)_)?"
    r"(first|last|middle|given|family|full|maiden|preferred|legal)_?name"
    r"|(client|patient|pt|member|person|therapist|provider|clinician|practitioner|staff"
    r"|contact|guardian|parent|spouse|emergency_contact)s?_name"
    r"|((home|work|cell|mobile|daytime|client|patient|emergency_contact|contact)_)?"
    r"(phone|telephone|fax|mobile|email|e_mail)(_(number|no|address|\d))?"
    r"|((home|street|mailing|postal|client|patient|billing)_)address(_(line_?)?\d)?"
    r"|((progress|psychotherapy|session|clinical|appointment|client)_)notes?(_text)?"
    r"|ssn|social_security(_no)?|slk|statistical_linkage_key|drivers|maiden"
)


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("no such time zone; an IANA name such as America/New_York")
    return name


Zone: TypeAlias = Annotated[str, AfterValidator(_zone)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


@dataclass(frozen=True)
class KnownHeaders:
    """Headers that a mapping has a word for: names, and shapes such as ``phq9_{item}``."""

    names: frozenset[str]
    shapes: tuple[re.Pattern[str], ...]

    @classmethod
    def of(cls, headers: Iterable[str]) -> Self:
        """Take headers as a mapping writes them."""
        names, shapes = set(), []
        for header in headers:
            name = normal_header(header)
            names.add(name)
            if "*" in name or "{" in name:
                shape = re.escape(name).replace(r"\*", ".*")
                shape = re.sub(r"\\\{(item|n)\\\}", r"\\w+?", shape)
                shapes.append(re.compile(shape))
        return cls(frozenset(names), tuple(shapes))

    def __contains__(self, header: object) -> bool:
        """Tell whether a header, written in any way, is known."""
        name = normal_header(str(header))
        return name in self.names or any(s.fullmatch(name) for s in self.shapes)


class RowFilter(_Part):
    """A named rule for rows that are known and not wanted: they count as filtered.

    Attributes:
        name: what the count is shown under.
        column: the reference that is looked at.
        keep: only rows with one of these values are kept; ``*`` stands for any text.
        drop: rows with one of these values are left out; ``""`` is a blank cell.
    """

    name: RuleName
    column: str
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.keep) == bool(self.drop):
            raise ValueError("a filter has either keep or drop")
        return self


class Join(_Part):
    """Another file of the same delivery that a row is looked up in.

    Several joins are taken in order, so one may start from what an earlier one found.

    Attributes:
        name: how its headers are written elsewhere: ``name.header``.
        match: a glob over the files that are read.
        on: reference of this row -> header of the other file; all must be equal.
        filter: rows of the other file that count; of several, the last one is taken.
        is_optional: a delivery without the file is read too, its headers being blank.
    """

    name: RuleName
    match: str
    on: dict[str, str] = Field(min_length=1)
    filter: tuple[RowFilter, ...] = ()
    is_optional: bool = False


class Words(_Part):
    """What a yes or no is written as."""

    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()


class Questionnaire(_Part):
    """A form in a wide file: one row an administration (or a client), one column an item.

    It makes a row of ``measures`` and the rows of ``measure_items``; a row of the file in
    which nothing of the form is filled in makes none.

    Attributes:
        instrument: code of the registry.
        rater: who filled it in; never assumed.
        version: version of the form.
        id: references that make the administration's id; instrument and rater are added.
        items: a pattern with ``{item}`` (``phq9_{item}``), a list of headers in the order
            of the registry's items, or a table ``item = "header"``. Patterns may also hold
            ``{n}``, the number of the session.
        leave_out: headers that look like items and are not (attention checks).
        is_partial: the form was shortened; else the number of items must be the registry's.
        total: reference of the total; may hold ``{n}``.
        columns: other canonical columns of this form (``administered_at``, ``session_id``).
        labels: answer in words -> number.
        times: what a value is multiplied by (10 where ORS is written in centimetres).
        occasions: the values of ``{n}``; by default every one that the headers have.
        days: for ``{n}`` without a date of its own: days after ``administered_at``.
        only: the rows the form is in (REDCap's ``redcap_repeat_instrument``).
    """

    instrument: str
    rater: Rater
    version: str | None = None
    id: tuple[str, ...] = Field(min_length=1)
    items: str | tuple[str, ...] | dict[str, str] = ()
    leave_out: tuple[str, ...] = ()
    is_partial: bool = False
    total: str | None = None
    columns: dict[str, str] = {}
    labels: dict[str, float] = {}
    times: float = 1
    occasions: tuple[str, ...] = ()
    days: dict[str, int] = {}
    only: tuple[RowFilter, ...] = ()

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if not self.items and self.total is None:
            raise ValueError("a questionnaire has items or a total")
        if isinstance(self.items, str) and "{item}" not in self.items:
            raise ValueError("a pattern holds {item}")
        known = {column.name for column in BY_NAME["measures"].columns}
        for name in self.columns:
            if name not in known:
                raise ValueError(f"measures has no column {name}{_choice(known)}")
        return self

    @property
    def is_repeated(self) -> bool:
        """Tell whether one row holds several administrations."""
        said = [self.total or "", *self.columns.values()]
        said += [self.items] if isinstance(self.items, str) else []
        return any("{n}" in text for text in said)


class CodedForm(_Part):
    """A form in a long file, known by the codes of its items and of its total.

    Attributes:
        instrument: code of the registry.
        rater: who filled it in.
        version: version of the form.
        total: codes of the total.
        items: codes in the order of the registry's items, or a table ``code = "item"``.
        dates: codes whose value is the date the form was filled in.
    """

    instrument: str
    rater: Rater
    version: str | None = None
    total: tuple[str, ...] = ()
    items: tuple[str, ...] | dict[str, str] = ()
    dates: tuple[str, ...] = ()


class Answers(_Part):
    """A long file of answers: one row an answer, told apart by a code.

    Rows that share an id and a form are one administration. A code that two forms share
    belongs to the one of which the administration holds a code of its own.

    Attributes:
        code: reference of the code.
        value: references of the value, the first that is filled in counts.
        id: references that make the administration's id; instrument and rater are added.
        labels: answer in words or codes -> number.
        times: what a value is multiplied by.
        form: the forms that are wanted; all other codes are filtered.
    """

    code: str
    value: tuple[str, ...] = Field(min_length=1)
    id: tuple[str, ...] = Field(min_length=1)
    labels: dict[str, float] = {}
    times: float = 1
    form: tuple[CodedForm, ...] = Field(min_length=1)


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
        is_optional: a file without the table's required columns is passed over for it.
        mode: ``snapshot`` when the file is the whole truth of its table and the manifest
            says nothing; ``delta`` by default.
        columns: canonical column -> reference; of a list, the first that is filled in.
        compose: canonical column -> references joined by ``separator`` into one id.
        separator: what stands between the parts of a composed id.
        constants: canonical column -> the same text in every row.
        date_and_time: canonical column -> references of its date and of its time.
        minutes: canonical column -> reference of the minutes after ``started_at``.
        dates: canonical column (or ``*``) -> how its dates are written.
        timezone: zone of the file's clock times (``sessions``, ``clinics``), and of its
            ``updated_at``.
        decimal: the decimal sign of numbers.
        thousands: the sign between thousands.
        nulls: canonical column (or ``*``) -> words that mean nothing is there.
        codes: canonical column -> vendor's spelling -> code; ``""`` is a blank cell, ``*``
            any other.
        booleans: canonical column -> the words for yes and no.
        fold: rows that share the table's id are one row; each column takes its first
            filled value.
        drop: headers that are known and not wanted; ``*`` stands for any text.
        filter: named rules for rows that are known and not wanted.
        footer: globs over the first filled cell of a row that is no data (totals, prints).
        join: other files of the delivery that rows are looked up in.
        questionnaire: forms of a wide file (``table = "measures"``).
        answers: forms of a long file (``table = "measures"``).
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
    is_optional: bool = False
    mode: Literal["snapshot", "delta"] | None = None
    columns: dict[str, str | tuple[str, ...]] = {}
    compose: dict[str, tuple[str, ...]] = {}
    separator: str = "|"
    constants: dict[str, str] = {}
    date_and_time: dict[str, tuple[str, str]] = {}
    minutes: dict[str, str] = {}
    dates: dict[str, DateOrder] = {}
    timezone: Zone | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    nulls: dict[str, tuple[str, ...]] = {}
    codes: dict[str, dict[str, str]] = {}
    booleans: dict[str, Words] = {}
    fold: bool = False
    drop: tuple[str, ...] = ()
    filter: tuple[RowFilter, ...] = ()
    footer: tuple[str, ...] = ()
    join: tuple[Join, ...] = ()
    questionnaire: tuple[Questionnaire, ...] = ()
    answers: Answers | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.table not in BY_NAME:
            raise ValueError(f"no such table{_choice(BY_NAME)}")
        self._check_names()
        ways = ("columns", "compose", "date_and_time", "minutes")
        for made in BY_NAME[self.table].columns:
            said = [way for way in ways if made.name in getattr(self, way)]
            if len(said) > 1:
                raise ValueError(
                    f"{said[-1]}.{made.name}: made in two ways: {' and '.join(said)}"
                )
        for column in self.dates:
            if column != EVERY_COLUMN and self._kind(column) not in _DATED:
                raise ValueError(f"dates.{column}: holds no date")
        if (self.questionnaire or self.answers) and self.table not in _FORM_TABLES:
            raise ValueError('forms are mapped with table = "measures"')
        if self.questionnaire and self.answers:
            raise ValueError("a file has questionnaire or answers, not both")
        if any(not pattern.replace("*", "").strip() for pattern in self.drop):
            raise ValueError(
                "drop: a pattern for every header would hide a lost header"
            )
        if self.thousands == self.decimal:
            raise ValueError("decimal and thousands are the same sign")
        if self.timezone and self.table not in ("sessions", "clinics"):
            known = {column.name for column in BY_NAME[self.table].columns}
            if "updated_at" not in known:
                raise ValueError(
                    f"timezone: {self.table} has no clock time of its own zone; its rows"
                    " take their session's, their clinic's or the source's"
                )
        for key, reference in self._references():
            if any(self._is_unwanted(single) for single in reference.split("|")):
                raise ValueError(
                    f"{key}: {reference}: a name, contact, record number or note is not"
                    " wanted"
                )
        return self

    def _check_names(self) -> None:
        known = {column.name for column in BY_NAME[self.table].columns}
        if self.questionnaire or self.answers:  # both tables are made of one entry
            known |= {c.name for name in _FORM_TABLES for c in BY_NAME[name].columns}
        for key in (
            "columns",
            "compose",
            "constants",
            "date_and_time",
            "minutes",
            "dates",
            "nulls",
            "codes",
            "booleans",
        ):
            for name in getattr(self, key):
                if name not in known and not (
                    name == EVERY_COLUMN and key in ("dates", "nulls")
                ):
                    raise ValueError(
                        f"{key}.{name}: {self.table} has no such column{_choice(known)}"
                    )

    def _kind(self, column: str) -> str:
        tables = [BY_NAME[self.table], BY_NAME["measures"]]
        return next(
            c.kind for table in tables for c in table.columns if c.name == column
        )

    def _is_unwanted(self, reference: str) -> bool:
        header = normal_header(reference.removesuffix("?").rpartition(".")[2])
        if header == "name" and self.table == "clinics":
            return False
        if self.table == "clinics" and header.endswith("_name"):
            return False
        return not reference.startswith("=") and is_unwanted(header)

    def references(self) -> Iterator[str]:
        """Give every single reference that a canonical value is made of."""
        for _, said in self._references():
            yield from (said,) if said.startswith("=") else said.split("|")

    def _references(self) -> Iterator[tuple[str, str]]:
        """Give every reference with the key that it stands under."""
        for column, said in self.columns.items():
            for reference in (said,) if isinstance(said, str) else said:
                yield f"columns.{column}", reference
        for key in ("compose", "date_and_time"):
            for column, parts in getattr(self, key).items():
                for reference in parts:
                    yield f"{key}.{column}", reference
        for column, reference in self.minutes.items():
            yield f"minutes.{column}", reference
        for form in self.questionnaire:
            items = form.items.values() if isinstance(form.items, dict) else form.items
            total = () if form.total is None else (form.total,)
            items = (items,) if isinstance(items, str) else items
            for reference in (*form.id, *form.columns.values(), *total, *items):
                yield "questionnaire", reference
        if self.answers:
            for reference in (
                self.answers.code,
                *self.answers.value,
                *self.answers.id,
            ):
                yield "answers", reference

    def conditions(self) -> Iterator[str]:
        """Give every reference that only decides about a row: filters and joins."""
        for said in self._conditions():
            yield from said.split("|")

    def _conditions(self) -> Iterator[str]:
        yield from (rule.column for rule in self.filter)
        for form in self.questionnaire:
            yield from (rule.column for rule in form.only)
        for join in self.join:
            yield from join.on

    def sources_of(self, column: str) -> tuple[str, ...]:
        """Return the references of a canonical column; its own name by default.

        A mapping that names any column leaves the unnamed ones out.
        """
        if column in self.columns:
            said = self.columns[column]
            return (said,) if isinstance(said, str) else said
        return () if self.names_columns else (column,)

    @property
    def names_columns(self) -> bool:
        """Tell whether the file's columns are named, so that no other is taken."""
        return bool(
            self.columns
            or self.compose
            or self.date_and_time
            or self.questionnaire
            or self.answers
        )

    def header_of(self, column: str) -> str | None:
        """Return the first header that a canonical column is taken from, if any."""
        if column in self.constants and column not in self.columns:
            return None
        return next(
            (r for r in self.sources_of(column) if not r.startswith("=")),
            None,
        )

    def known_headers(self) -> KnownHeaders:
        """Return the headers that the mapping has a word for."""
        table = BY_NAME[self.table]
        known = {
            single
            for c in table.columns
            if (h := self.header_of(c.name))
            for single in h.split("|")
        }
        known |= set(self.references()) | set(self.conditions()) | set(self.drop)
        known |= {h for form in self.questionnaire for h in form.leave_out}
        return KnownHeaders.of(
            header.removesuffix("?") for header in known if not header.startswith("=")
        )

    def tables(self) -> tuple[str, ...]:
        """Return the canonical tables that the file feeds."""
        has_items = any(form.items for form in self.questionnaire)
        if self.answers:
            has_items = has_items or any(form.items for form in self.answers.form)
        return (self.table, "measure_items") if has_items else (self.table,)

    def parts(self) -> list[FileMapping]:
        """Return the file's mapping once for each canonical table that it feeds."""
        return [
            self if name == self.table else self.model_copy(update={"table": name})
            for name in self.tables()
        ]


_FORM_TABLES = ("measures", "measure_items")


class Ignored(_Part):
    """Files of a delivery that are known and not wanted."""

    match: str | tuple[str, ...]


class MappingFile(_Part):
    """What one mapping file says.

    Attributes:
        description: for people.
        extends: the shipped preset it builds on. A ``[[file]]`` with the ``match`` and
            ``table`` of one of the preset's changes that one, key by key; any other is
            added, and goes before the preset's for the files that it matches.
        timezone: the source's zone, where neither row nor clinic has one.
        file: the files that are wanted.
        ignore: the files that are known and not wanted.
    """

    description: str = ""
    extends: str | None = None
    timezone: Zone | None = None
    file: tuple[FileMapping, ...] = ()
    ignore: tuple[Ignored, ...] = ()
    fhir: FhirMapping | None = None


@dataclass(frozen=True)
class Mapping:
    """One source's mapping, with the preset that it builds on.

    Attributes:
        description: for people.
        timezone: the source's zone, if the mapping says one.
        file: the source's own entries, changed entries of the preset among them.
        preset: the preset's other entries; they give way to the own ones.
        ignore: files that are known and not wanted.
        fhir: how FHIR resources are read, if any are.
    """

    description: str = ""
    timezone: str | None = None
    file: tuple[FileMapping, ...] = ()
    preset: tuple[FileMapping, ...] = ()
    ignore: tuple[Ignored, ...] = ()
    fhir: FhirMapping | None = None

    def of_file(self, name: str) -> list[FileMapping]:
        """Return what a file of this name feeds, one part a canonical table.

        For each table the first entry counts that matches; own entries go first.
        """
        chosen: list[FileMapping] = []
        taken: set[str] = set()
        for entry in (*self.file, *self.preset):
            if _matches(name, entry.match) and not taken & set(entry.tables()):
                chosen.append(entry)
                taken |= set(entry.tables())
        return [part for entry in chosen for part in entry.parts()]

    def is_fhir(self, name: str) -> bool:
        """Tell whether a file is read together with others as FHIR."""
        return (
            self.fhir is not None
            and not self.of_file(name)
            and not self.is_ignored(name)
            and any(_matches(name, pattern) for pattern in self.fhir.match)
        )

    def is_ignored(self, name: str) -> bool:
        """Tell whether a file is known and not wanted."""
        patterns = [
            pattern
            for ignored in self.ignore
            for pattern in (
                (ignored.match,) if isinstance(ignored.match, str) else ignored.match
            )
        ]
        return any(_matches(name, pattern) for pattern in patterns)

    def mode_of(self, table: str) -> str:
        """Return how a table is taken when the manifest says nothing."""
        said = [e.mode for e in (*self.file, *self.preset) if table in e.tables()]
        return "snapshot" if said and set(said) == {"snapshot"} else "delta"

    def is_joined(self, name: str) -> bool:
        """Tell whether rows of other files are looked up in a file of this name."""
        return bool(self.joins_of((name,)))

    def joins_of(self, names: Iterable[str]) -> list[Join]:
        """Return the joins that look rows up in a file of one of these names."""
        return [
            join
            for entry in (*self.file, *self.preset)
            for join in entry.join
            if any(_matches(name, join.match) for name in names)
        ]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())


def known_to(parts: Iterable[FileMapping], others: Iterable[str] = ()) -> KnownHeaders:
    """Return the headers that any part of a mapping, or the unwanted list, knows."""
    found = [part.known_headers() for part in parts]
    more = KnownHeaders.of([*NOT_WANTED, *others])
    return KnownHeaders(
        more.names.union(*(known.names for known in found)),
        more.shapes + tuple(shape for known in found for shape in known.shapes),
    )


def normal_header(header: str) -> str:
    """Fold case, blanks and line breaks of a header, so that ``Client ID`` is one name."""
    return re.sub(r"[\s_-]+", "_", header.strip().strip("\ufeff").lower())


def is_unwanted(header: str) -> bool:
    """Tell whether a header names a person, a contact, a record number or a note."""
    name = normal_header(header)
    return name in NOT_WANTED or _UNWANTED_SHAPE.fullmatch(name) is not None


def _choice(names: object) -> str:
    assert isinstance(names, set | dict)
    return f"; one of {', '.join(sorted(names))}"
