"""The instruments that a clinic adds: seed rows of its own, in RAPPORT_HOME/instruments.

The files have the names and columns of the project's own seeds (measurement.md A). They
add instruments; they can't change one that the project ships, whose numbers a clinic sets
in ``rapport.toml``.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rapport.errors import SettingsError

Row = dict[str, str | None]
_CODE = re.compile(r"^[A-Z0-9][A-Z0-9-]{0,31}$")
_ITEM = re.compile(r"^[A-Za-z1-9][A-Za-z0-9_-]{0,31}$")
_RULES = ("mean", "sum", "mean_of_subscales", "sum_of_subscales")
_OF_SUBSCALES = _RULES[2:]
_DOMAINS = ("alliance", "outcome")
_RATERS = ("client", "therapist", "observer")

# file -> column -> (SQL type, required)
TABLES: dict[str, dict[str, tuple[str, bool]]] = {
    "instrument": {
        "instrument": ("varchar", True),
        "registry_order": ("integer", False),
        "domain": ("varchar", True),
        "default_version": ("varchar", True),
        "item_min": ("integer", True),
        "item_max": ("integer", True),
        "is_decimal": ("boolean", True),
        "higher_is_better": ("boolean", True),
        "total_rule": ("varchar", False),
        "divisor": ("integer", True),
        "reported_min": ("double", True),
        "reported_max": ("double", True),
        "sum_min": ("double", False),
        "sum_max": ("double", False),
        "sum_divisor": ("double", False),
        "rc_total": ("double", False),
        "rc_subscale": ("double", False),
        "sd_ref": ("double", False),
        "unit": ("double", False),
        "clinical_cut": ("double", False),
        "functional_cut": ("double", False),
        "functional_rule": ("varchar", False),
        "citation": ("varchar", True),
    },
    "instrument_scale": {
        "instrument": ("varchar", True),
        "subscale": ("varchar", True),
        "n_items": ("integer", True),
        "rule": ("varchar", True),
        "max_missing": ("integer", False),
        "scale_min": ("double", True),
        "scale_max": ("double", True),
    },
    "instrument_item": {
        "instrument": ("varchar", True),
        "subscale": ("varchar", True),
        "item": ("varchar", True),
        "is_reversed": ("boolean", True),
    },
    "instrument_rater": {
        "instrument": ("varchar", True),
        "rater": ("varchar", True),
    },
    "instrument_alias": {
        "alias": ("varchar", True),
        "instrument": ("varchar", True),
        "rater": ("varchar", False),
    },
}


@dataclass(frozen=True)
class OwnInstruments:
    """The clinic's own rows of each registry table, cells as text or None."""

    rows: dict[str, list[Row]]

    @property
    def codes(self) -> frozenset[str]:
        """Every code and alias that they add."""
        names = [row["instrument"] for row in self.rows["instrument"]]
        names += [row["alias"] for row in self.rows["instrument_alias"]]
        return frozenset(name for name in names if name)

    @property
    def items(self) -> frozenset[str]:
        """Every item id that they add."""
        return frozenset(
            row["item"] for row in self.rows["instrument_item"] if row["item"]
        )


def read_own_instruments(folder: Path, seeds: Path) -> OwnInstruments:
    """Read and check the clinic's own instruments; an absent folder adds none.

    Args:
        folder: ``RAPPORT_HOME/instruments``.
        seeds: the project's own seeds, whose codes are taken.

    Raises:
        SettingsError: a file is not as the seeds are; all problems are named together.
    """
    rows: dict[str, list[Row]] = {name: [] for name in TABLES}
    problems = _Problems()
    if folder.is_dir():
        for path in sorted(folder.glob("*.csv")):
            if path.stem in TABLES:
                rows[path.stem] = _read(path, problems)
            else:
                problems.add(path.name, "no such table; there are " + ", ".join(TABLES))
        if not problems.lines:
            _check(rows, _shipped_codes(seeds), problems)
    if problems.lines:
        raise SettingsError(
            "\n".join(["the clinic's own instruments are not valid:", *problems.lines]),
            next_step="correct the files in the folder instruments; the steps are in "
            "docs/how-to/add-an-instrument.md",
        )
    return OwnInstruments(rows)


@dataclass
class _Problems:
    lines: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        self.lines.append(f"  {where}: {what}")


def _shipped_codes(seeds: Path) -> frozenset[str]:
    codes: set[str] = set()
    for name, column in (("instrument", "instrument"), ("instrument_alias", "alias")):
        with (seeds / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            codes |= {row[column] for row in csv.DictReader(file)}
    return frozenset(codes)


def _read(path: Path, problems: _Problems) -> list[Row]:
    columns = TABLES[path.stem]
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        given = reader.fieldnames or []
        for name in given:
            if name not in columns:
                problems.add(path.name, f"no such column: {name}")
        needed = [name for name, (_, required) in columns.items() if required]
        for name in needed:
            if name not in given:
                problems.add(path.name, f"column {name} is missing")
        if any(name not in columns for name in given) or set(needed) - set(given):
            return []
        rows = []
        for number, cells in enumerate(reader, start=2):
            row: Row = {
                name: (cells.get(name) or "").strip() or None for name in columns
            }
            where = f"{path.name}, row {number}"
            for name, (type_, required) in columns.items():
                text = row[name]
                if text is None:
                    if required:
                        problems.add(where, f"column {name} is empty")
                elif not _is_of(type_, text):
                    problems.add(where, f"column {name} is no {type_}")
            rows.append(row)
    return rows


def _is_of(type_: str, text: str) -> bool:
    if type_ == "boolean":
        return text in ("true", "false")
    if type_ == "varchar":
        return True
    try:
        number = float(text)
    except ValueError:
        return False
    if type_ == "integer":
        return number == int(number) and text.lstrip("+-").isdigit()
    return number - number == 0


def _check(
    rows: dict[str, list[Row]], shipped: Iterable[str], problems: _Problems
) -> None:
    taken = set(shipped)
    own = [str(row["instrument"]) for row in rows["instrument"]]
    for name in TABLES:
        seen = Counter(
            tuple(row[c] for c in _key(name)) for row in rows[name]
        ).most_common(1)
        if seen and seen[0][1] > 1:
            problems.add(
                f"{name}.csv", "two rows have the same " + ", ".join(_key(name))
            )
        for number, row in enumerate(rows[name], start=2):
            where = f"{name}.csv, row {number}"
            if name != "instrument" and row["instrument"] not in own:
                problems.add(where, "its instrument is not in instrument.csv")
            for column, choices in _CHOICES.get(name, {}).items():
                if row[column] is not None and row[column] not in choices:
                    problems.add(
                        where, f"column {column} is none of {', '.join(choices)}"
                    )
    for column, name in (("instrument", "instrument"), ("alias", "instrument_alias")):
        for number, row in enumerate(rows[name], start=2):
            where, code = f"{name}.csv, row {number}", str(row[column])
            if code in taken:
                problems.add(where, "the code is one that the project ships")
            if not _CODE.match(code):
                problems.add(where, f"column {column} is not A-Z, 0-9 and - alone")
    for number, row in enumerate(rows["instrument_item"], start=2):
        if not _ITEM.match(str(row["item"])):
            problems.add(
                f"instrument_item.csv, row {number}",
                "an item id begins with a letter or 1-9, without leading zeros",
            )
    if not problems.lines:
        for row in rows["instrument"]:
            _check_instrument(row, rows, problems)


_CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "instrument": {"domain": _DOMAINS, "functional_rule": ("below", "up_to", "from")},
    "instrument_scale": {"rule": _RULES},
    "instrument_rater": {"rater": _RATERS},
    "instrument_alias": {"rater": _RATERS},
}


def _key(name: str) -> tuple[str, ...]:
    return {
        "instrument": ("instrument",),
        "instrument_scale": ("instrument", "subscale"),
        "instrument_item": ("instrument", "subscale", "item"),
        "instrument_rater": ("instrument", "rater"),
        "instrument_alias": ("alias",),
    }[name]


def _check_instrument(
    instrument: Row, rows: dict[str, list[Row]], problems: _Problems
) -> None:
    """An instrument's scales, items and raters agree with each other."""
    code = instrument["instrument"]
    where = f"instrument {code}"

    def of(name: str) -> list[Row]:
        return [row for row in rows[name] if row["instrument"] == code]

    if float(str(instrument["item_min"])) >= float(str(instrument["item_max"])):
        problems.add(where, "item_min must be less than item_max")
    if not of("instrument_rater"):
        problems.add(where, "no rater in instrument_rater.csv")
    if instrument["domain"] == "alliance" and not (
        instrument["unit"] and instrument["rc_total"] and instrument["rc_subscale"]
        and instrument["sd_ref"]
    ):  # fmt: skip
        problems.add(where, "an alliance scale needs unit, sd_ref and both rc")
    scales = of("instrument_scale")
    names = {row["subscale"] for row in scales}
    if "total" not in names:
        problems.add(where, "no total in instrument_scale.csv")
    n_items = Counter(row["subscale"] for row in of("instrument_item"))
    for scale in scales:
        if n_items[scale["subscale"]] != int(str(scale["n_items"])):
            problems.add(
                where, f"scale {scale['subscale']}: n_items is not its number of items"
            )
        is_made = scale["rule"] in _OF_SUBSCALES
        if is_made and (scale["subscale"] != "total" or len(scales) < 2):
            problems.add(where, "only a total is made of subscales")
        if not is_made and scale["max_missing"] is None:
            problems.add(where, f"scale {scale['subscale']}: max_missing is empty")
    for subscale in set(n_items) - names:
        problems.add(
            where, f"items of {subscale}, which is not in instrument_scale.csv"
        )
