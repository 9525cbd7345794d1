"""How vendors spell dates, clocks, numbers and words: SQL from SQL, text in, text out.

Each function takes SQL of a trimmed text (null when empty) and gives SQL of the text that
the typed path of the door reads: ISO dates, 24-hour clocks, decimal points, codes. What
does not fit is left as it is, so that the typed path refuses it; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rapport.mapping.vendor import DateOrder

_DAY = r"(\d{1,2})"
_PART = r"\s*[/.\-\s]\s*"
_YEAR = r"(\d{4}|\d{2})"
_REST = r"(?:[\sT,]+(\S.*))?"
_SEPARATED = {
    "mdy": (rf"^{_DAY}{_PART}{_DAY}{_PART}{_YEAR}{_REST}$", ["m", "d", "y", "clock"]),
    "dmy": (rf"^{_DAY}{_PART}{_DAY}{_PART}{_YEAR}{_REST}$", ["d", "m", "y", "clock"]),
    "ymd": (rf"^(\d{{4}}){_PART}{_DAY}{_PART}{_DAY}{_REST}$", ["y", "m", "d", "clock"]),
}
# Where day, month and year begin in eight digits, counted from 1.
_DIGITS = {"ddmmyyyy": (1, 3, 5), "mmddyyyy": (3, 1, 5), "yyyymmdd": (7, 5, 1)}
_NAMED = (
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%d%b%Y",
)
_TWELVE = (
    r"^(\d{1,2})(?::(\d{2}))?(:\d{2}(?:\.\d+)?)?\s*([AaPp])\.?[Mm]\.?\s*"
    r"(Z|[+-]\d{2}:?\d{2})?$"
)
_TWENTYFOUR = r"^(\d):(\d{2}.*)$"
_OFFSET = r"(Z|z|[+-]\d{2}:?\d{2}|[+-]\d{2})$"
_OTHER_ORDER = {"mdy": "dmy", "dmy": "mdy", "ddmmyyyy": "mmddyyyy"} | {
    "mmddyyyy": "ddmmyyyy"
}
# Years of two digits, as POSIX reads them: 69 to 99 are 19xx, 00 to 68 are 20xx.
_FIRST_OF_1900S = 69
_LAST_SERIAL = 2_958_465  # 31 December 9999


def literal(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def is_one_of(text: str, words: Iterable[str]) -> str:
    """Return the condition that a text is one of some words.

    A list, not ``in``: of more than a few words the engine makes a table and joins it.
    """
    return f"list_contains([{', '.join(literal(word) for word in words)}], {text})"


def without_nulls(text: str, words: tuple[str, ...]) -> str:
    """Return null where the text is one of the words that mean nothing is there."""
    if not words:
        return text
    is_null = is_one_of(f"lower({text})", (word.strip().lower() for word in words))
    return f"case when {is_null} then null else {text} end"


def coded(text: str, codes: Mapping[str, str]) -> str:
    """Return the code of a vendor's spelling, case and outer blanks aside."""
    if not codes:
        return text
    blank, other = codes.get(""), codes.get("*")
    rest = text if other is None else literal(other)
    whens = " ".join(
        f"when {literal(vendor.strip().lower())} then {literal(code)}"
        for vendor, code in codes.items()
        if vendor not in ("", "*")
    )
    known = f"case lower({text}) {whens} else {rest} end" if whens else rest
    nothing = "null" if blank is None else literal(blank)
    return f"case when {text} is null then {nothing} else {known} end"


def truth(text: str, yes: tuple[str, ...], no: tuple[str, ...]) -> str:
    """Return ``true`` or ``false`` for a vendor's words of yes and no."""
    words = dict.fromkeys(yes, "true") | dict.fromkeys(no, "false")
    return coded(text, words)


def plain_number(text: str, decimal: str, thousands: str) -> str:
    """Return a number with a decimal point and no sign between thousands.

    With a decimal comma ``12.5`` says nothing that can be trusted, and is marked so that
    the typed path reads no number in it.
    """
    if decimal == "." and not thousands:
        return text
    point, sign = ("[.]" if decimal == "." else ","), _class_of(thousands)
    grouped = rf"|\d{{1,3}}({sign}\d{{3}})+" if thousands else ""
    shape = rf"^[+-]?(\d+{grouped})?({point}\d+)?$"
    plain = f"replace({text}, {literal(thousands)}, '')" if thousands else text
    plain = f"replace({plain}, {literal(decimal)}, '.')" if decimal != "." else plain
    return (
        f"case when regexp_matches({text}, {literal(shape)}) then {plain}"
        f" when try_cast({text} as double) is not null then {text} || '?'"
        f" else {text} end"
    )


def _class_of(sign: str) -> str:
    return f"[{sign}]" if sign else ""


def iso_date(text: str, order: DateOrder, *, is_birth: bool = False) -> str:
    """Return an ISO date, with an ISO time where there is a clock, of a written one.

    A text that is ISO already stays as it is: it has one reading in every order.

    Args:
        text: SQL of the text.
        order: how the column is written.
        is_birth: a year of two digits is not read (1935 and 2035 look alike).
    """
    if order == "iso":
        return text
    if order in _SEPARATED:
        return _separated(text, order, is_birth=is_birth)
    if order in _DIGITS:
        return _digits(text, order)
    if order == "named":
        return _month_named(text)
    return _serial(text, "1899-12-30" if order == "excel_serial" else "1904-01-01")


def _separated(text: str, order: DateOrder, *, is_birth: bool) -> str:
    pattern, names = _SEPARATED[order]
    found = f"regexp_extract({text}, {literal(pattern)}, {names})"
    year = f"{found}.y"
    full = (
        f"case when length({year}) = 4 then {year}"
        f" when {year}::integer >= {_FIRST_OF_1900S} then '19' || {year}"
        f" else '20' || {year} end"
    )
    is_read = f"length({year}) = 4" if is_birth else f"{year} <> ''"
    day = f"{full} || '-' || lpad({found}.m, 2, '0') || '-' || lpad({found}.d, 2, '0')"
    return (
        f"case when {is_read} then {_with_clock(day, f'{found}.clock')} else {text} end"
    )


def _with_clock(day: str, clock: str) -> str:
    return f"{day} || case when {clock} = '' then '' else 'T' || {clock_of(clock)} end"


def clock_of(text: str) -> str:
    """Return a 24-hour clock of a 12- or 24-hour one: ``3:05 PM`` is ``15:05``."""
    found = (
        f"regexp_extract({text}, {literal(_TWELVE)}, ['h', 'mi', 's', 'half', 'zone'])"
    )
    hour = (
        f"({found}.h::integer % 12"
        f" + case when lower({found}.half) = 'p' then 12 else 0 end)"
    )
    twelve = (
        f"lpad({hour}::varchar, 2, '0') || ':' || coalesce(nullif({found}.mi, ''), '00')"
        f" || {found}.s || {found}.zone"
    )
    return (
        f"case when {found}.half <> '' and {found}.h::integer between 1 and 12"
        f" then {twelve} else regexp_replace({text}, {literal(_TWENTYFOUR)}, '0\\1:\\2')"
        " end"
    )


def _eight(text: str, order: str) -> str:
    """Return the eight digits of a date; a spreadsheet drops a leading zero."""
    whole = f"regexp_extract({text}, '^(\\d{{7,8}})(\\.0+)?$', 1)"
    if order == "yyyymmdd":
        return f"regexp_extract({text}, '^(\\d{{8}})(\\.0+)?$', 1)"
    return f"case when {whole} = '' then '' else lpad({whole}, 8, '0') end"


def _digits(text: str, order: DateOrder) -> str:
    day, month, year = _DIGITS[order]
    eight = f"({_eight(text, order)})"
    return (
        f"case when {eight} <> '' then substr({eight}, {year}, 4) || '-'"
        f" || substr({eight}, {month}, 2) || '-' || substr({eight}, {day}, 2)"
        f" else {text} end"
    )


def _month_named(text: str) -> str:
    found = (
        f"regexp_extract({text}, '^(.*?\\d{{4}})(?:[\\sT,:]+(\\d{{1,2}}:.*))?$',"
        " ['day', 'clock'])"
    )
    formats = ", ".join(literal(f) for f in _NAMED)
    day = f"strftime(try_strptime({found}.day, [{formats}]), '%Y-%m-%d')"
    return f"coalesce({_with_clock(day, f'{found}.clock')}, {text})"


def _serial(text: str, start: str) -> str:
    number = f"try_cast({text} as double)"
    # The 1900 system counts a 29 February 1900 that never was: day 60.
    days = f"case when {number} < 60 then {number} + 1 else {number} end"
    if start == "1904-01-01":
        days = number
    moment = f"timestamp '{start}' + to_seconds(round(({days}) * 86400)::bigint)"
    written = (
        f"case when {number} = floor({number}) then strftime({moment}, '%Y-%m-%d')"
        f" else strftime({moment}, '%Y-%m-%dT%H:%M:%S') end"
    )
    return f"case when {number} between 1 and {_LAST_SERIAL} then {written} else {text} end"


def contradicts(text: str, order: DateOrder) -> str | None:
    """Return the condition that a text can only be read in the other order, if any is.

    One such text in a column is enough: the rows that fit both orders cannot be trusted.
    """
    if order not in _OTHER_ORDER:
        return None
    if order in _SEPARATED:
        pattern, names = _SEPARATED[order]
        found = f"regexp_extract({text}, {literal(pattern)}, {names})"
        day, month = (f"try_cast({found}.{part} as integer)" for part in ("d", "m"))
    else:
        at_day, at_month, _ = _DIGITS[order]
        eight = f"({_eight(text, order)})"
        day, month = (
            f"try_cast(substr({eight}, {at}, 2) as integer)"
            for at in (at_day, at_month)
        )
    return f"coalesce({month} between 13 and 31 and {day} between 1 and 12, false)"


def in_utc(text: str, zone: str) -> str:
    """Return a clock time of a zone as UTC; one with an offset stays as it is."""
    moment = (
        f"timezone('UTC', timezone({literal(zone)}, try_cast({text} as timestamp)))"
    )
    return (
        f"case when regexp_matches({text}, {literal(_OFFSET)})"
        f" or not regexp_matches({text}, '\\d:\\d') then {text}"
        f" else coalesce(strftime({moment}, '%Y-%m-%dT%H:%M:%SZ'), {text}) end"
    )


def minutes_after(start: str, minutes: str) -> str:
    """Return the time some minutes after a start, in the start's own writing of a zone."""
    whole = f"try_cast(try_cast({minutes} as double) as bigint)"
    offset = literal(r"\s?" + _OFFSET)
    wall = f"try_cast(regexp_replace({start}, {offset}, '') as timestamp)"
    zone = f"regexp_extract({start}, {literal(_OFFSET)}, 1)"
    has_clock = f"regexp_matches({start}, '\\d:\\d')"
    return (
        f"case when {has_clock} then strftime({wall} + to_minutes({whole}),"
        f" '%Y-%m-%dT%H:%M:%S') || {zone} end"
    )


def days_after(start: str, days: int) -> str:
    """Return the date some days after the day of a start."""
    day = f"try_cast(regexp_extract({start}, '^\\d{{4}}-\\d{{2}}-\\d{{2}}') as date)"
    return f"coalesce(({day} + {days})::varchar, {start})"


def like_any(text: str, patterns: tuple[str, ...]) -> str:
    """Return the condition that a text is one of some values; ``*`` stands for any text."""
    plain = [p for p in patterns if "*" not in p]
    tests = [
        f"regexp_full_match({text}, {literal(_glob(p))})" for p in patterns if "*" in p
    ]
    if plain:
        tests.append(is_one_of(text, (p.strip().lower() for p in plain)))
    return "(" + " or ".join(tests) + ")"


def _glob(pattern: str) -> str:
    special = r"\.^$+?{}[]|()"
    said = "".join("\\" + c if c in special else c for c in pattern.strip().lower())
    return said.replace("*", "(?s:.*)")
