"""Propose a mapping for a file nobody has mapped: from its headers and what its cells look like.

What is proposed is written for a person to correct: whatever is not certain stands behind
``# unsure:``. No cell is ever shown; a word of a code list appears only when it is one of
the words below, and a header only when it looks like one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rapport.errors import UsageError
from rapport.mapping.canonical import BY_NAME
from rapport.mapping.vendor import is_unwanted, normal_header

_MAX_ROWS = 20_000
_ENCODINGS = ("utf-8-sig", "utf-16", "cp1252")
_DELIMITERS = ",;\t|"

# Canonical column -> how headers call it, normalised; the first that fits is taken.
_SAID = {
    "sessions": {
        "session_id": "appointment_id appt_id session_id visit_id sitzungs_id termin_id sitzung_id appointment_number booking_number encounter_id"
        " service_id event_id booking_id",
        "client_id": "client_id patient_id client_no patient_no client_number"
        " patient_number chart_id pat_id client patient person_id member",
        "therapist_id": "therapist_id clinician_id provider_id practitioner_id"
        " staff_id therapist clinician provider practitioner counselor counsellor"
        " psychologist behandler therapeut behandlerin therapeutin",
        "clinic_id": "clinic_id location_id site_id office_id clinic site office"
        " location practice",
        "episode_id": "episode_id episode case_id care_episode_id",
        "started_at": "started_at start_datetime start_date_time start appointment_start"
        " session_start date_time datetime appointment_date session_date visit_date"
        " date_of_service service_date dos date appt_date visit_start datum termin",
        "ended_at": "ended_at end_datetime end_date_time end appointment_end session_end"
        " end_time visit_end ende",
        "status": "status appointment_status session_status visit_status attendance"
        " attendance_status outcome anwesenheit",
        "service_code": "service_code cpt_code billing_code procedure_code cpt code",
        "modality": "modality session_type format",
        "treatment_approach": "treatment_approach approach treatment therapy_type verfahren methode",
        "delivery_mode": "delivery_mode mode telehealth medium",
        "diagnosis_codes": "diagnosis_codes diagnoses icd10 icd_10 dx diagnosis",
        "updated_at": "updated_at last_modified modified_at last_updated modified",
    },
    "clients": {
        "client_id": "client_id patient_id client_no patient_no client_number"
        " patient_number chart_id pat_id person_id id",
        "birth_date": "birth_date date_of_birth dob birthdate birthday year_of_birth",
        "sex": "sex gender administrative_sex",
        "race": "race",
        "ethnicity": "ethnicity ethnic_group",
        "preferred_language": "preferred_language language",
        "postal_code": "postal_code zip zip_code postcode",
        "state": "state province",
        "registered_on": "registered_on date_created created created_at date_added"
        " intake_date registration_date",
        "updated_at": "updated_at last_modified modified_at last_updated modified",
    },
    "episodes": {
        "episode_id": "episode_id case_id care_episode_id referral_id",
        "client_id": "client_id patient_id client_no client patient person_id",
        "therapist_id": "therapist_id clinician_id provider_id therapist clinician",
        "clinic_id": "clinic_id location_id site_id clinic site",
        "opened_on": "opened_on open_date start_date episode_start admission_date"
        " referral_date intake_date",
        "closed_on": "closed_on close_date end_date episode_end discharge_date",
        "closure_reason": "closure_reason discharge_reason end_reason reason",
    },
    "measures": {
        "administration_id": "administration_id assessment_id response_id survey_id"
        " submission_id id",
        "client_id": "client_id patient_id record_id client_no patient_no client patient"
        " person_id participant_id",
        "therapist_id": "therapist_id clinician_id provider_id therapist clinician",
        "session_id": "session_id appointment_id visit_id encounter_id",
        "instrument": "instrument measure assessment questionnaire scale",
        "rater": "rater respondent completed_by",
        "administered_at": "administered_at completed_at date_completed completed"
        " timestamp submitted_at administered date assessment_date visit_date session_date appointment_date visit_start datum",
        "total_reported": "total_reported total total_score score raw_score",
    },
}
# A person, a clinician and a visit are called the same in every table.
for _table in ("clients", "episodes", "measures"):
    for _column in ("client_id", "therapist_id", "session_id"):
        if _column in _SAID[_table]:
            _SAID[_table][_column] += " " + _SAID["sessions"][_column]
_CLOCKS = "uhrzeit beginn start_time time appointment_time session_time appt_time"
_MINUTES = "dauer dauer_min duration_in_minutes duration minutes duration_minutes length duration_min"
_NOT_NEEDED = (
    "client patient member name rate charge charges paid fee fees balance amount copay"
    " bemerkung bemerkungen anmerkung notiz notizen kommentar"
    " insurance payer invoice units nickname prefix suffix title initials"
)
# What tells the tables apart, and how much it counts.
_SIGNS = {
    "sessions": ("session_id", "started_at", "status", "service_code", "therapist_id"),
    "clients": ("birth_date", "sex", "postal_code"),
    "episodes": ("episode_id", "opened_on", "closed_on", "closure_reason"),
    "measures": ("instrument", "total_reported", "administered_at"),
}
# Words that may be shown, since they are these and nobody's: status as it is written.
_STATUS = {
    "show": "attended",
    "attended": "attended",
    "completed": "attended",
    "complete": "attended",
    "kept": "attended",
    "arrived": "attended",
    "seen": "attended",
    "no show": "no_show",
    "no-show": "no_show",
    "noshow": "no_show",
    "dna": "no_show",
    "did not attend": "no_show",
    "missed": "no_show",
    "cancelled": "client_cancelled",
    "canceled": "client_cancelled",
    "client cancelled": "client_cancelled",
    "client canceled": "client_cancelled",
    "late cancelled": "late_cancelled",
    "late canceled": "late_cancelled",
    "late cancel": "late_cancelled",
    "clinic cancelled": "clinic_cancelled",
    "clinician cancelled": "clinic_cancelled",
    "clinician canceled": "clinic_cancelled",
    "provider cancelled": "clinic_cancelled",
    "scheduled": "scheduled",
    "booked": "scheduled",
    "confirmed": "scheduled",
    "voided": "voided",
    "entered in error": "voided",
}
_NULLS = ("null", "n/a", "na", "#n/a", "\\n", "none", "-", ".", "nil")
_FOOTERS = (
    "total",
    "subtotal",
    "printed",
    "generated",
    "report",
    "page",
    "grand total",
)
_FILES = [
    "appointments",
    "appointment",
    "sessions",
    "session",
    "visits",
    "visit",
    "encounters",
    "encounter",
    "calendar",
    "schedule",
    "clients",
    "client",
    "patients",
    "patient",
    "episodes",
    "cases",
    "measures",
    "assessments",
    "questionnaires",
    "outcomes",
    "scores",
    "phq",
    "gad",
    "survey",
    "responses",
    "therapists",
    "diagnoses",
]
_FORM = re.compile(
    r"^(?P<stem>(?P<form>phq[-_ ]?9|gad[-_ ]?7|pcl[-_ ]?5|core[-_ ]?10|oq[-_ ]?45(?:[._ ]?2)?"
    r"|ors|srs|wai[-_ ]?srt|wai[-_ ]?sr|wai[-_ ]?st|wai[-_ ]?s|itq)"
    r"(?P<rest>[-_ .]*(?:client|therapist|patient)?[-_ .]*(?:q|item|question)?[-_ .]*))"
    r"(?P<item>\d{1,2}|[pc]\d|total|score|sum|total[_ ]score)$",
    re.IGNORECASE,
)
_INSTRUMENT = {
    "phq9": ("PHQ-9", 9),
    "gad7": ("GAD-7", 7),
    "pcl5": ("PCL-5", 20),
    "core10": ("CORE-10", 10),
    "oq45": ("OQ-45", 45),
    "oq452": ("OQ-45", 45),
    "ors": ("ORS", 4),
    "srs": ("SRS", 4),
    "waisr": ("WAI-SR", 12),
    "waisrt": ("WAI-SR", 12),
    "wais": ("WAI-S", 12),
    "waist": ("WAI-S", 12),
    "itq": ("ITQ", 18),
}
_SEPARATED = re.compile(r"^(\d{1,2})[/.\-](\d{1,2})[/.\-](\d{4}|\d{2})\b")
_ISO = re.compile(r"^\d{4}-\d{2}-\d{2}([T ]|$)")
_YEAR_FIRST = re.compile(r"^\d{4}[/.]\d{1,2}[/.]\d{1,2}")
_NAMED = re.compile(
    r"^(\d{1,2}[- ]?[A-Za-z]{3,9}[- ]?\d{4}|[A-Za-z]{3,9} \d{1,2},? \d{4})"
)


@dataclass
class _Form:
    """A form that columns were recognised of."""

    instrument: str
    rater: str
    n_known: int
    is_rater_sure: bool
    items: dict[str, str] = field(default_factory=dict)
    total: str | None = None


@dataclass
class _Sheet:
    """The file as text cells."""

    headers: list[str]
    rows: list[list[str]]
    delimiter: str
    suffix: str

    def column(self, header: str) -> list[str]:
        at = self.headers.index(header)
        return [
            row[at].strip() for row in self.rows if at < len(row) and row[at].strip()
        ]


def propose_mapping(path: Path) -> str:
    """Return a proposed mapping file for a file, as TOML text.

    Raises:
        UsageError: it cannot be read, or its first row does not look like a header.
    """
    sheet = _read(path)
    _check_header(sheet)
    left = [h for h in sheet.headers if h.strip()]
    forms, left = _forms(left)
    dropped = [h for h in left if is_unwanted(_name_of(h))]
    left = [h for h in left if h not in dropped]
    tables = _tables_of(left, forms)
    found = {table: _columns(table, left) for table in tables}
    taken = {header for columns in found.values() for header in columns.values()}
    # Beside an id, a column of the client holds the name; money is nobody's business here.
    needless = [
        h for h in left if h not in taken and _name_of(h) in _NOT_NEEDED.split()
    ]
    dropped += needless
    left = [h for h in left if h not in taken and h not in needless]
    lines = list(_PREAMBLE)
    for table in tables:
        own = forms if table == "measures" else {}
        lines += _head(path, sheet, table)
        lines += _body(sheet, table, found[table], own, left, dropped)
        left = []
    return "\n".join(lines) + "\n"


# --- reading ------------------------------------------------------------------------


def _read(path: Path) -> _Sheet:
    if not path.is_file():
        raise UsageError("there is no such file to infer from")
    head = path.open("rb").read(4)
    if head.startswith(b"PK"):
        return _read_workbook(path)
    if head.startswith(b"PAR1"):
        raise UsageError(
            "a Parquet file has typed columns: write its mapping by hand",
            next_step="see docs/how-to/map-an-export.md",
        )
    for encoding in _ENCODINGS:
        if encoding == "utf-16" and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            continue
        try:
            return _read_text(path, encoding)
        except (UnicodeDecodeError, csv.Error):
            continue
    raise UsageError("the file is no text that can be read as a table")


def _read_text(path: Path, encoding: str) -> _Sheet:
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline()
        delimiter = max(_DELIMITERS, key=first.count)
        if first.lower().startswith("sep="):
            delimiter = first[4:5]
        else:
            file.seek(0)
        rows = csv.reader(file, delimiter=delimiter)
        headers = next(rows, [])
        cells = [row for row, _ in zip(rows, range(_MAX_ROWS), strict=False)]
    return _Sheet(headers, cells, delimiter, path.suffix.lower())


def _read_workbook(path: Path) -> _Sheet:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        workbook = CalamineWorkbook.from_path(str(path))
        sheet = workbook.get_sheet_by_index(0).to_python(nrows=_MAX_ROWS)
    except (CalamineError, OSError, IndexError):
        raise UsageError(
            "the file is a zip, or a workbook that cannot be read"
        ) from None
    rows = [[_workbook_text(cell) for cell in row] for row in sheet]
    return _Sheet(rows[0] if rows else [], rows[1:], ",", path.suffix.lower())


def _workbook_text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _check_header(sheet: _Sheet) -> None:
    """Refuse a first row that may be a person's.

    Raises:
        UsageError: fewer than half of its cells look like a header that is known.
    """
    filled = [h for h in sheet.headers if h.strip()]
    if not filled or 2 * sum(_is_known(h) for h in filled) < len(filled):
        looks = sum(_looks_like_header(h) for h in filled)
        if not filled or looks < len(filled) or not any(_is_known(h) for h in filled):
            raise UsageError(
                "the first row does not look like a header, so nothing of it is shown",
                next_step="put a header above the rows, or write the mapping by hand: see"
                " docs/how-to/map-an-export.md",
            )


def _is_known(header: str) -> bool:
    name = normal_header(header)
    words = {
        w for said in _SAID.values() for text in said.values() for w in text.split()
    }
    words |= set(_CLOCKS.split()) | set(_MINUTES.split())
    return name in words or is_unwanted(name) or _FORM.match(header.strip()) is not None


def _looks_like_header(header: str) -> bool:
    """Tell whether a cell is written like a column's name, not like a value."""
    text = header.strip()
    return (
        re.fullmatch(r"[A-Za-z][A-Za-z0-9 _/#().%?:&-]{0,60}", text) is not None
        and not _NAMED.match(text)
        and len(re.findall(r"\d", text)) <= 4
        and "@" not in text
    )


def _name_of(header: str) -> str:
    """Return a header's normal name; ``VisitStart`` is ``visit_start``."""
    parted = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", header.strip()
    )
    return re.sub(r"[\W_]+", "_", normal_header(parted)).strip("_")


# --- recognising --------------------------------------------------------------------


def _forms(headers: Sequence[str]) -> tuple[dict[str, _Form], list[str]]:
    forms: dict[str, _Form] = {}
    left = []
    for header in headers:
        match = _FORM.match(header.strip())
        if match is None:
            left.append(header)
            continue
        code = re.sub(r"[^a-z0-9]", "", match["form"].lower())
        is_therapist = (
            code.endswith(("srt", "ist")) or "therap" in match["rest"].lower()
        )
        instrument, n_known = _INSTRUMENT[code]
        is_sure = is_therapist or "client" in match["rest"].lower() or n_known != 12
        rater = "therapist" if is_therapist else "client"
        stem = f"{instrument}|{rater}"
        form = forms.setdefault(stem, _Form(instrument, rater, n_known, is_sure))
        item = match["item"]
        if re.fullmatch(r"\d{1,2}|[PpCc]\d", item):
            form.items[item.lstrip("0").upper()] = header
        else:
            form.total = header
    return forms, left


def _tables_of(headers: Sequence[str], forms: dict[str, _Form]) -> list[str]:
    """Return the tables that a file feeds; forms may stand beside their sessions."""
    names = {_name_of(header) for header in headers}

    def has(table: str, column: str) -> bool:
        return bool(names & set(_SAID[table][column].split()))

    def score(table: str) -> int:
        return sum(2 for sign in _SIGNS[table] if has(table, sign)) + sum(
            1 for column in _SAID[table] if has(table, column)
        )

    if not forms:
        return [max(_SAID, key=score)]
    are_sessions = has("sessions", "started_at") and (
        has("sessions", "status") or has("sessions", "therapist_id")
    )
    is_session_file = are_sessions and has("sessions", "session_id")
    return ["sessions", "measures"] if is_session_file else ["measures"]


def _columns(table: str, headers: Sequence[str]) -> dict[str, str]:
    by_name: dict[str, str] = {}
    for header in headers:
        by_name.setdefault(_name_of(header), header)
    found: dict[str, str] = {}
    said = dict(_SAID[table])
    if table == "sessions":
        said |= {"clock": _CLOCKS, "minutes": _MINUTES}
    for column, words in said.items():
        name = next((w for w in words.split() if w in by_name), None)
        if name is not None and by_name[name] not in found.values():
            found[column] = by_name[name]
    return found


def _date_order(values: Iterable[str]) -> tuple[str | None, str]:
    """Return how a column writes its dates, and what is not sure about it."""
    said = list(values)
    if not said or all(_ISO.match(v) for v in said):
        return None, "" if said else "the column is empty"
    parts = [m for v in said if (m := _SEPARATED.match(v))]
    if len(parts) * 2 >= len(said):
        first = any(int(m[1]) > 12 for m in parts)
        second = any(int(m[2]) > 12 for m in parts)
        if first and second:
            return (
                "mdy",
                "two orders in one column: the door refuses it, ask the vendor",
            )
        if first or second:
            return ("dmy" if first else "mdy"), ""
        return "mdy", "no day over 12 decides the order: mdy or dmy"
    if sum(bool(_YEAR_FIRST.match(v)) for v in said) * 2 >= len(said):
        return "ymd", ""
    if sum(bool(_NAMED.match(v)) for v in said) * 2 >= len(said):
        return "named", ""
    digits = [v.removesuffix(".0") for v in said if v.removesuffix(".0").isdigit()]
    if len(digits) * 2 >= len(said):
        if all(len(d) == 8 and d[:2] in ("19", "20") for d in digits):
            return "yyyymmdd", ""
        if all(len(d) in (7, 8) for d in digits):
            return "ddmmyyyy", "day or month first: ddmmyyyy or mmddyyyy"
        if all(len(d) == 4 for d in digits):
            return None, ""
    numbers = [v for v in said if re.fullmatch(r"\d{5}(\.\d+)?", v)]
    if len(numbers) * 2 >= len(said):
        return "excel_serial", ""
    return None, "no way of writing dates was recognised"


_PREAMBLE = (
    "# Proposed by `rapport mapping infer` from headers and types. Correct what stands",
    "# behind `unsure`, then try it: rapport mapping check SOURCE FILE",
    'description = ""',
    '# timezone = "America/New_York"  # unsure: the zone of the clock times',
)


# --- writing ------------------------------------------------------------------------


def _head(path: Path, sheet: _Sheet, table: str) -> list[str]:
    word = next((w for w in _FILES if path.name.lower().startswith(w)), None)
    match = f"{word or ''}*{sheet.suffix or '.csv'}"
    lines = [
        "",
        "[[file]]",
        f"match = {_quoted(match)}"
        + ("" if word else "  # unsure: which files it is for"),
        f"table = {_quoted(table)}",
    ]
    if sheet.delimiter != ",":
        lines.append(f"delimiter = {_quoted(sheet.delimiter)}")
    return lines


def _body(
    sheet: _Sheet,
    table: str,
    found: dict[str, str],
    forms: dict[str, _Form],
    left: Sequence[str],
    dropped: Sequence[str],
) -> list[str]:
    clock, minutes = found.pop("clock", None), found.pop("minutes", None)
    lines = ["", "[file.columns]"]
    dates: list[str] = []
    together = clock is not None and "started_at" in found
    for column, header in found.items():
        if not (together and column == "started_at"):
            lines.append(f"{column} = {_quoted(header)}")
        kind = BY_NAME[table].column(column).kind
        if kind in ("date", "birth_date", "timestamp", "utc"):
            order, doubt = _date_order(sheet.column(header))
            note = f"  # unsure: {doubt}" if doubt else ""
            if order:
                dates.append(f"{column} = {_quoted(order)}{note}")
            elif doubt:
                dates.append(f"# {column}{note}")
    lines += _missing(table, found, forms)
    if together:
        lines += [
            "",
            "[file.date_and_time]",
            f"started_at = [{_quoted(found['started_at'])}, {_quoted(str(clock))}]",
        ]
    if minutes and "started_at" in found and "ended_at" not in found:
        lines += ["", "[file.minutes]", f"ended_at = {_quoted(minutes)}"]
    if dates:
        lines += ["", "[file.dates]", *dates]
    lines += _composed(table, found, clock, forms)
    lines += _codes(sheet, found)
    # Plain keys of the file come before its tables: they are put in below `table`.
    plain = _plain(sheet, found, forms, left, dropped)
    return [*plain, *lines, *_form_lines(sheet, forms, found)]


def _plain(
    sheet: _Sheet,
    found: dict[str, str],
    forms: dict[str, _Form],
    left: Sequence[str],
    dropped: Sequence[str],
) -> list[str]:
    lines = []
    cells = [cell.strip() for row in sheet.rows for cell in row]
    numeric = sheet.column(found["total_reported"]) if "total_reported" in found else []
    for form in forms.values():
        for header in (*form.items.values(), *([form.total] if form.total else [])):
            numeric += sheet.column(header)
    if any(re.fullmatch(r"-?\d+,\d+", v) for v in numeric):
        lines.append('decimal = ","')
    nulls = [w for w in _NULLS if any(cell.lower() == w for cell in cells)]
    if nulls:
        lines.append(
            f"nulls = {{ '*' = [{', '.join(_quoted(w) for w in nulls)}] }}"
            "  # unsure: do all of these mean that nothing is there?"
        )
    firsts = [
        next((c for c in row if c.strip()), "").lower() for row in sheet.rows[-5:]
    ]
    footers = [w for w in _FOOTERS if any(first.startswith(w) for first in firsts)]
    if footers:
        lines.append(f"footer = [{', '.join(_quoted(w + '*') for w in footers)}]")
    if dropped:
        lines.append("# names, contacts, record numbers, notes, money: never read")
        lines.append(f"drop = [{', '.join(_quoted(h) for h in dropped)}]")
    for header in left:
        if _looks_like_header(header):
            lines.append(f"# unsure: {_quoted(header)}: map it to a column, or drop it")
        else:
            ordinal = sheet.headers.index(header) + 1
            lines.append(f"# unsure: column {ordinal}: not shown, it may be no header")
    return lines


def _missing(table: str, found: dict[str, str], forms: dict[str, _Form]) -> list[str]:
    filled = set(found)
    if forms:
        filled |= {"administration_id", "instrument", "rater"}
    if "client_id" in found:
        filled |= {"session_id", "administration_id"}
    if table == "measures" and "rater" not in found and not forms:
        filled.add("rater")
    return [
        f"# unsure: no header for {column.name}, and a row needs it"
        for column in BY_NAME[table].columns
        if column.required and column.name not in filled
    ]


def _composed(
    table: str, found: dict[str, str], clock: str | None, forms: dict[str, _Form]
) -> list[str]:
    lines = []
    if table == "sessions" and "session_id" not in found and "client_id" in found:
        parts = [
            found["client_id"],
            *([found["started_at"]] if "started_at" in found else []),
        ]
        parts += [clock] if clock else []
        lines = [
            "",
            "[file.compose]",
            "# unsure: no id of the session was found; a moved session becomes another",
            f"session_id = [{', '.join(_quoted(p) for p in parts)}]",
        ]
    if table == "measures" and not forms:
        if "administration_id" not in found and "client_id" in found:
            parts = [
                found[c]
                for c in ("client_id", "instrument", "administered_at")
                if c in found
            ]
            lines = [
                "",
                "[file.compose]",
                f"administration_id = [{', '.join(_quoted(p) for p in parts)}]",
            ]
        if "rater" not in found:
            lines += [
                "",
                "[file.constants]",
                'rater = "client"  # unsure: who filled it in',
            ]
    return lines


def _codes(sheet: _Sheet, found: dict[str, str]) -> list[str]:
    if "status" not in found:
        return []
    spelt = {value.lower() for value in sheet.column(found["status"])}
    known = {word: code for word, code in _STATUS.items() if word in spelt}
    lines = ["", "[file.codes.status]"]
    lines += [f"{_quoted(word)} = {_quoted(code)}" for word, code in known.items()]
    n_others = len(spelt - set(known))
    if n_others:
        lines.append(
            f"# unsure: {n_others} other spellings are in the column; they become unknown"
        )
    return lines


def _form_lines(
    sheet: _Sheet, forms: dict[str, _Form], found: dict[str, str]
) -> list[str]:
    lines: list[str] = []
    for form in forms.values():
        id_ = [
            found[c]
            for c in ("client_id", "administered_at", "session_id")
            if c in found
        ]
        if "administration_id" in found:
            id_ = [found["administration_id"]]
        doubt = "" if id_ else "  # unsure: what tells one administration from another"
        id_ = id_ or ["=one"]
        lines += [
            "",
            "[[file.questionnaire]]",
            f"instrument = {_quoted(form.instrument)}",
            f"rater = {_quoted(form.rater)}"
            + (
                ""
                if form.is_rater_sure
                else "  # unsure: the client's or the therapist's"
            ),
            f"id = [{', '.join(_quoted(h) for h in id_)}]" + doubt,
        ]
        if form.items:
            lines.append(f"items = {_items(form)}")
            if len(form.items) != form.n_known:
                lines.append(
                    f"# unsure: {len(form.items)} items found, the form has {form.n_known}"
                )
        if form.total:
            lines.append(f"total = {_quoted(form.total)}")
        if form.instrument in ("ORS", "SRS") and _is_in_centimetres(sheet, form):
            lines.append(
                "times = 10  # unsure: no item is over 10, so it is centimetres"
            )
    return lines


def _is_in_centimetres(sheet: _Sheet, form: _Form) -> bool:
    """Tell whether ORS or SRS items, which are millimetres, are all 10 or less."""
    cells = [v for header in form.items.values() for v in sheet.column(header)]
    numbers = [v.replace(",", ".") for v in cells if re.fullmatch(r"\d+([.,]\d+)?", v)]
    return bool(numbers) and all(float(number) <= 10 for number in numbers)


def _items(form: _Form) -> str:
    """Return a pattern when every item follows it, else each item's header."""
    for item, header in form.items.items():
        at = header.upper().rfind(item)
        pattern = header[:at] + "{item}" + header[at + len(item) :]
        if all(
            normal_header(pattern.replace("{item}", i)) == normal_header(h)
            for i, h in form.items.items()
        ):
            return _quoted(pattern)
    said = ", ".join(f"{_quoted(i)} = {_quoted(h)}" for i, h in form.items.items())
    return f"{{ {said} }}"


def _quoted(text: str) -> str:
    """Return a TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"' + escaped.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "") + '"'
    )
