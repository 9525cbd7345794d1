"""A request for an extract: one TOML file, checked whole before anything is read.

``python -m rapport.extracts.request`` prints its JSON Schema, which is kept in
``docs/reference/extract_request.schema.json``.
"""

from __future__ import annotations

import json
import re
import tomllib
from calendar import monthrange
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rapport.errors import RequestInvalid
from rapport.extracts.columns import (
    MICRODATA,
    QUASI_IDENTIFIERS,
    TABLES,
    columns_of,
)
from rapport.privacy.chain import canonical_digest
from rapport.settings import Method

CLOSES_AFTER_DAYS = 45
K_MICRODATA, K_PUBLIC = 11, 20
PUBLIC_TABLES = ("qi.endings", "qi.early_alliance", "qi.outcome_monthly")
STUDY = r"^[a-z0-9][a-z0-9-]{2,40}$"
Profile = Literal["safe_harbor", "expert", "limited", "public"]
_NEXT = "docs/how-to/request-an-extract.md"
_IDENTIFIERS = re.compile(
    r"_key$|^(source|birth|name|address|phone|fax|email|ssn|mrn|postal|zip|note|uid)"
    r"|(client|episode|session|therapist|clinic)_id$|(^|_)(name|names)$|started_at"
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Requester(_Part):
    """Who asks, and for whom."""

    name: str = Field(min_length=2, max_length=120)
    organisation: str = Field(min_length=2, max_length=200)
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=200)


class Period(_Part):
    """Whole months in which the index date lies."""

    from_: date = Field(alias="from")
    to: date

    @model_validator(mode="after")
    def _is_whole_months(self) -> Period:
        if self.from_.day != 1:
            raise ValueError("from must be the first day of a month")
        if self.to.day != monthrange(self.to.year, self.to.month)[1]:
            raise ValueError("to must be the last day of a month")
        if self.to < self.from_:
            raise ValueError("to must not lie before from")
        return self


class Cohort(_Part):
    """Which episodes qualify: these predicates and no others."""

    min_attended: int | None = Field(None, ge=1, le=200)
    trauma_focused: bool | None = None
    instruments: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9-]{2,20}$")], ...] = ()
    method: Literal["primary", "all"] | Method = "primary"
    state: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2,3}$")], ...] = ()
    approach: tuple[Annotated[str, Field(pattern=r"^[a-z_]{2,30}$")], ...] = ()

    @property
    def pattern_method(self) -> str:
        """The method whose pattern an episode carries."""
        return "default_rc3" if self.method in ("primary", "all") else self.method


class Request(_Part):
    """One request, as its file says it."""

    study: str = Field(pattern=STUDY, description="The pseudonym space.")
    title: str = Field(min_length=20, max_length=300)
    purpose: str = Field(min_length=20, max_length=4000)
    requester: Requester
    profile: Profile = "safe_harbor"
    period: Period
    tables: tuple[str, ...] = Field(min_length=1)
    cohort: Cohort = Cohort()
    columns: dict[str, tuple[str, ...]] = Field(
        default={}, description="A subset a table; keys always come."
    )
    quasi_identifiers: tuple[str, ...] | None = Field(
        None, description="A subset of the seven."
    )
    weights: dict[str, Annotated[int, Field(ge=1, le=9)]] = Field(
        default={}, description="What matters to the study is coarsened last."
    )
    formats: tuple[Literal["parquet", "csv", "sav", "dta"], ...] = ("parquet", "csv")
    expires_on: date
    dua: str | None = Field(None, min_length=3, max_length=100)
    determination: str | None = Field(None, min_length=20, max_length=2000)
    joint_mean_max: float | None = Field(None, gt=0, le=1)
    part2_basis: str | None = Field(None, min_length=20, max_length=1000)

    @model_validator(mode="after")
    def _holds_together(self) -> Request:
        problems = [*self._table_problems(), *self._profile_problems()]
        for name in sorted({*(self.quasi_identifiers or ()), *self.weights}):
            if name not in QUASI_IDENTIFIERS:
                problems.append(
                    f"quasi_identifiers and weights name {', '.join(QUASI_IDENTIFIERS)}"
                )
                break
        if self.expires_on <= self.period.to:
            problems.append("expires_on must lie after the period")
        if problems:
            raise ValueError(" · ".join(problems))
        return self

    def _table_problems(self) -> list[str]:
        known = PUBLIC_TABLES if self.profile == "public" else MICRODATA
        found = []
        if any(table not in known for table in self.tables):
            found.append(f"tables of profile {self.profile}: {', '.join(known)}")
        if len(set(self.tables)) < len(self.tables):
            found.append("tables names one twice")
        if self.profile == "public":
            if self.columns or self.quasi_identifiers is not None or self.weights:
                found.append(
                    "a public request has no columns, quasi_identifiers, weights"
                )
            return found
        if "clients" not in self.tables:
            found.append("tables must hold clients: risk is measured there")
        for table, names in self.columns.items():
            if table not in self.tables:
                found.append(f"columns.{table}: the table is not among tables")
                continue
            if table not in TABLES:
                continue
            allowed = {c.name for c in columns_of(table, self.profile)}
            for name in names:
                if name in allowed:
                    continue
                if _IDENTIFIERS.search(name):
                    found.append(
                        f"columns.{table}: an identifier or a key of the warehouse is "
                        "asked for; none leaves in any profile"
                    )
                else:
                    found.append(
                        f"columns.{table}: no such column in profile {self.profile}; "
                        f"there are {', '.join(sorted(allowed))}"
                    )
                break
        return found

    def _profile_problems(self) -> list[str]:
        found = []
        if self.profile in ("expert", "limited") and not self.dua:
            found.append(f"dua is required for profile {self.profile}")
        if self.profile == "expert" and not self.determination:
            found.append("determination is required for profile expert")
        if self.joint_mean_max is not None and self.profile != "expert":
            found.append("joint_mean_max belongs to profile expert")
        return found

    @property
    def k(self) -> int:
        """The smallest group of persons that may be seen."""
        return K_PUBLIC if self.profile == "public" else K_MICRODATA

    @property
    def week_cap(self) -> int | None:
        """The last week that is released; None for dates."""
        return {"safe_harbor": 25, "expert": 103, "limited": None, "public": 25}[
            self.profile
        ]

    def released_columns(self, table: str) -> tuple[str, ...]:
        """List the columns that a table may hold, before anything is coarsened."""
        columns = columns_of(table, self.profile, self.columns.get(table))
        names = [column.name for column in columns]
        if table == "clients":
            if "zip3" in names and "state" in names:
                names.remove("state")  # a prefix that crosses a state line (C4)
            asked = set(self.lattice_columns)
            names = [
                n for n in names if n not in (*QUASI_IDENTIFIERS, "zip3") or n in asked
            ]
        return tuple(names)

    @property
    def lattice_columns(self) -> tuple[str, ...]:
        """The quasi-identifiers in play, in order; zip3 takes the place of state."""
        wanted = self.columns.get("clients")
        has_zip3 = self.profile in ("expert", "limited") and (
            wanted is None or "zip3" in wanted
        )
        names = []
        for name in QUASI_IDENTIFIERS:
            if (
                self.quasi_identifiers is not None
                and name not in self.quasi_identifiers
            ):
                continue
            column = "zip3" if name == "state" and has_zip3 else name
            if wanted is None or column in wanted:
                names.append(column)
        return tuple(names)

    def digest(self) -> str:
        """Return the SHA-256 of the request, whatever the order of its lines."""
        return canonical_digest(self.model_dump(mode="json", by_alias=True))


def read_request(path: Path) -> Request:
    """Read and check a request; every problem is named with its line.

    Raises:
        RequestInvalid: the file is no TOML, or not what a request must be (exit 2).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise RequestInvalid(
            "the request file cannot be read as UTF-8 text", next_step=_NEXT
        ) from None
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestInvalid(
            f"the request is no valid TOML: {error}", next_step=_NEXT
        ) from None
    try:
        return Request.model_validate(said)
    except ValidationError as error:
        raise RequestInvalid(
            "\n".join(["the request is not valid:", *_problems(error, text)]),
            next_step=_NEXT,
        ) from None


def require_closed(request: Request, as_of: date) -> None:
    """Stop a period whose last month is not closed yet.

    Raises:
        RequestInvalid: fewer than 45 days since the period's end (exit 2).
    """
    closes = request.period.to + timedelta(days=CLOSES_AFTER_DAYS)
    if as_of < closes:
        raise RequestInvalid(
            f"the period is not closed: its last month closes on {closes}, and the "
            f"snapshot is of {as_of}",
            next_step="end the period with an earlier month, or wait",
        )


def _problems(error: ValidationError, text: str) -> list[str]:
    found = []
    for problem in error.errors(include_input=False, include_url=False):
        place = [str(part) for part in problem["loc"]]
        what = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            what = "no such key"
            place = [p if p.isidentifier() else "…" for p in place]
        line = _line_of(text, [str(part) for part in problem["loc"]])
        where = f"line {line}, " if line else ""
        if not place:
            found += [f"  {where}{said}" for said in what.split(" · ")]
        else:
            found.append(f"  {where}{'.'.join(place)}: {what}")
    return sorted(set(found), key=found.index)


def _line_of(text: str, place: list[str]) -> int | None:
    """Find the line that sets a key, as far as plain text tells; TOML keeps no lines."""
    section = ""
    found = None
    for number, line in enumerate(text.splitlines(), start=1):
        head = re.match(r"^\s*\[\[?\s*([\w.-]+)\s*\]?\]", line)
        if head:
            section = head.group(1)
        for depth, part in enumerate(place):
            sets = re.search(rf'(^|[\s{{,."])"?{re.escape(part)}"?\s*[=.]', line)
            is_under = depth == 0 or place[0] in (section, *re.findall(r"[\w-]+", line))
            names = (sets and is_under) or (head and section.split(".")[-1] == part)
            if names and (found is None or depth >= found[1]):
                found = (number, depth)
    return found[0] if found else None


def request_schema() -> dict[str, Any]:
    """Return the JSON Schema of a request file, so that editors complete it."""
    schema = Request.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "rapport extract request"
    schema["properties"]["tables"]["items"]["enum"] = [*MICRODATA, *PUBLIC_TABLES]
    qi = {"type": "string", "enum": list(QUASI_IDENTIFIERS)}
    schema["properties"]["quasi_identifiers"]["anyOf"][0]["items"] = qi
    schema["properties"]["weights"]["propertyNames"] = {"enum": list(QUASI_IDENTIFIERS)}
    return schema


def rendered_schema() -> str:
    """Return the schema as the text that is kept in the docs."""
    return json.dumps(request_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(rendered_schema(), end="")
