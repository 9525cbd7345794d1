"""From distinct spellings to keys and codes: each spelling of a file is looked up once."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from collections.abc import Mapping as AnyMapping
from functools import cache, cached_property
from pathlib import Path
from zoneinfo import available_timezones

from rapport.ingest.cells import ICD, SNOMED
from rapport.mapping import OwnInstruments
from rapport.privacy import KeyRing
from rapport.privacy.zip3 import reduced_postal_code

OTHER_SOURCE_MARK = "\x1f"


class CodeLists:
    """The code lists and the instrument registry: the seeds, and the clinic's own rows."""

    def __init__(self, seeds: Path, own: OwnInstruments | None = None) -> None:
        self._seeds = seeds
        self._own = own

    @cached_property
    def spellings(self) -> dict[str, dict[str, str]]:
        """Return, for each list, the code behind each normalised spelling."""
        lists: dict[str, dict[str, str]] = {}
        for row in self._read("code_list.csv"):
            known = lists.setdefault(row["column"], {})
            for spelling in (row["code"], *filter(None, row["aliases"].split("|"))):
                known[normal_code(spelling)] = row["code"]
        return lists

    @cached_property
    def instruments(self) -> frozenset[str]:
        """Return every instrument code and alias of the registry."""
        codes = {row["instrument"] for row in self._read("instrument.csv")}
        codes |= {r["alias"] for r in self._read("instrument_alias.csv")}
        return frozenset(codes) | (self._own.codes if self._own else frozenset())

    @cached_property
    def items(self) -> frozenset[str]:
        """Return every item id of the registry."""
        items = frozenset(row["item"] for row in self._read("instrument_item.csv"))
        return items | (self._own.items if self._own else frozenset())

    @cached_property
    def items_of(self) -> dict[str, tuple[str, ...]]:
        """Return each instrument's item ids in the order of its form, aliases too."""
        found: dict[str, set[str]] = {}
        for row in self._rows("instrument_item"):
            found.setdefault(str(row["instrument"]), set()).add(str(row["item"]))
        ordered = {
            name: tuple(sorted(items, key=_natural)) for name, items in found.items()
        }
        for row in self._rows("instrument_alias"):
            ordered[str(row["alias"])] = ordered.get(str(row["instrument"]), ())
        return ordered

    def _rows(self, table: str) -> Iterator[AnyMapping[str, str | None]]:
        yield from self._read(f"{table}.csv")
        yield from self._own.rows[table] if self._own else ()

    def raters(self) -> list[tuple[str, str]]:
        """Return (instrument, rater) of every form that the registry knows."""
        return [
            (str(row["instrument"]), str(row["rater"]))
            for row in self._rows("instrument_rater")
        ]

    def aliases(self) -> list[tuple[str, str, str]]:
        """Return (alias, instrument, rater) of every second name of a form."""
        return [
            (str(row["alias"]), str(row["instrument"]), str(row["rater"]))
            for row in self._rows("instrument_alias")
        ]

    def items_of_forms(self) -> set[tuple[str, str]]:
        """Return (instrument, item) of every item that the registry knows."""
        return {
            (str(row["instrument"]), str(row["item"]))
            for row in self._rows("instrument_item")
        }

    def _read(self, name: str) -> list[dict[str, str]]:
        with (self._seeds / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def normal_code(spelling: str) -> str:
    """Fold case, blanks and hyphens of a code: ``No show`` is ``no_show``."""
    return re.sub(r"[\s-]+", "_", spelling.strip().lower())


def _natural(item: str) -> tuple[bool, str, int]:
    """Order ``P10`` after ``P2``, and ITQ's P before its C, as on the form."""
    letters = item.rstrip("0123456789")
    return not letters.startswith("P"), letters, int(item[len(letters) :] or 0)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


class Translator:
    """Translate spellings; its two methods are offered to the engine as functions."""

    def __init__(self, keys: KeyRing, codes: CodeLists) -> None:
        self._keys, self.codes = keys, codes

    def value_of(self, kind: str, source: str, spelling: str) -> str | None:
        """Return the key, code or zone that bronze keeps for a spelling of a source."""
        what, _, rest = kind.partition(":")
        list_name = rest.partition(":")[0]
        if what == "id":
            other_source, _, id_ = spelling.rpartition(OTHER_SOURCE_MARK)
            return self._keys.row_key(list_name, other_source or source, id_)
        if what == "code":
            return self._code(list_name, spelling) or "unknown"
        if what == "codes":
            parts = [self._code(list_name, part) for part in spelling.split(";")]
            known = sorted({part or "unknown" for part in parts})
            return ";".join(known)
        if what == "instrument":
            code = re.sub(r"[\s_]", "-", spelling.strip().upper())
            return code if code in self.codes.instruments else "unknown"
        if what == "item":
            return self._item(spelling) or "unknown"
        if what == "zone":
            return spelling if spelling in _zones() else None
        if what == "postal_code":
            return reduced_postal_code(spelling)
        codes = [part.strip().upper() for part in spelling.split(";")]
        if what == "diagnosis_codes":
            return ";".join(code for code in codes if ICD.match(code)) or None
        return codes[0] if ICD.match(codes[0]) or SNOMED.match(codes[0]) else "unknown"

    def token_of(self, kind: str, spelling: str) -> str | None:
        """Return the opaque token of a spelling outside its list, else None."""
        what, _, rest = kind.partition(":")
        list_name, _, column = rest.partition(":")
        if what in ("id", "zone", "postal_code"):
            return None
        if what == "diagnosis_codes":
            codes = [part.strip().upper() for part in spelling.split(";")]
            outside = not all(ICD.match(code) for code in codes if code)
            column = "diagnosis_codes"
        elif what == "codes":
            parts = spelling.split(";")
            outside = any(self._code(list_name, part) is None for part in parts)
        elif what == "code":
            outside = self._code(list_name, spelling) is None
        else:
            outside = self.value_of(kind, "", spelling) == "unknown"
        return self._keys.raw_token(column or what, spelling) if outside else None

    def _code(self, list_name: str, spelling: str) -> str | None:
        return self.codes.spellings[list_name].get(normal_code(spelling))

    def _item(self, spelling: str) -> str | None:
        item = spelling.strip().lstrip("0")
        return item if item in self.codes.items else None
