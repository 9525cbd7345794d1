"""From raw cells to canonical text cells, as a mapping says: SQL over ``raw``.

This is the seam between the readers, which leave a table ``raw`` (``row_no``, ``c1`` …
``cn``), and the typed path of the door, which takes a table ``cell`` (``row_no``,
``kind``, ``rule`` and one text a canonical column).

A row of a form file makes as many canonical rows as it holds administrations, or items;
one that holds none is counted once as filtered. So the kinds of ``cell`` always sum.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from rapport.ingest.cells import Cell
from rapport.ingest.lookup import Lookup, header_places
from rapport.ingest.raw import FileRefused, drop_relation
from rapport.ingest.spelling import (
    clock_of,
    coded,
    contradicts,
    days_after,
    in_utc,
    iso_date,
    like_any,
    literal,
    minutes_after,
    plain_number,
    truth,
    without_nulls,
)
from rapport.ingest.translate import OTHER_SOURCE_MARK
from rapport.mapping import BY_NAME, Column, FileMapping, RowFilter, Table
from rapport.mapping.vendor import (
    EVERY_COLUMN,
    CodedForm,
    Questionnaire,
    normal_header,
)

_ABSENT = "null::varchar"
_PLACE = re.compile(r"^t\d+$")
_NUMBERS = ("number", "integer", "item_value")
_DATED = ("date", "birth_date", "timestamp", "utc")
Registry = AnyMapping[str, Sequence[str]]


@dataclass(frozen=True)
class Conflict:
    """A column whose dates contradict the order that the mapping says."""

    column: str
    n_rows: int


@dataclass(frozen=True)
class _Variant:
    """One way that a row of the file makes rows of the table.

    Attributes:
        texts: canonical column -> SQL of its text.
        applies: SQL condition that the row holds it, else null: every row does.
        lists: canonical columns whose SQL is a list, one canonical row an element.
    """

    texts: dict[str, str]
    applies: str | None = None
    lists: frozenset[str] = frozenset()


class Shape:
    """How one table of a file becomes rows of one canonical table."""

    def __init__(
        self,
        part: FileMapping,
        headers: tuple[str, ...],
        lookups: AnyMapping[str, Lookup | None],
        registry: Registry,
        *,
        has_blanks: bool = True,
    ) -> None:
        """Take a file's headers, and what its joins found.

        Args:
            part: what the mapping says of the file.
            headers: the words of its header, by position.
            lookups: what its joins found.
            registry: the items of each instrument.
            has_blanks: whether a cell may begin or end with a blank.

        Raises:
            FileRefused: a form has not the items that the registry knows, or a joined
                file is not there.
        """
        self._part, self._table = part, BY_NAME[part.table]
        self._headers, self._lookups, self._registry = headers, lookups, registry
        self._places = header_places(headers)
        self._has_blanks = has_blanks
        for join in part.join:
            if lookups.get(join.name) is None and not join.is_optional:
                raise FileRefused("join_file_missing")
        self._unread: set[str] = set()

    # --- what the header says ---------------------------------------------------------

    def missing(self) -> list[str]:
        """Return the required columns that the file cannot give."""
        columns = self._table.columns
        forms = self._part.questionnaire
        if self._is_form:
            columns = BY_NAME["measures"].columns
        if forms and not any(
            self._has_form(form, n) for form in forms for n in self._occasions(form)
        ):
            return ["item"]
        filled = (
            {"instrument", "rater", "administration_id"} if self._is_form else set()
        )
        for form in forms:
            filled |= set(form.columns)
        if self._part.answers and any(f.dates for f in self._part.answers.form):
            filled.add("administered_at")
        return [
            column.name
            for column in columns
            if column.required
            and column.name not in filled
            and self._raw_text(column.name) is None
        ]

    @property
    def _is_form(self) -> bool:
        return bool(self._part.questionnaire or self._part.answers)

    def used_headers(self) -> set[str]:
        """Return the normalised headers that are read; all others are dropped."""
        used = {
            normal_header(reference.removesuffix("?"))
            for reference in (*self._part.references(), *self._part.conditions())
        }
        if not self._part.names_columns:
            used |= {
                column.name
                for column in self._table.columns
                if column.name not in self._part.constants
            }
        for form in self._part.questionnaire:
            for n in self._occasions(form):
                used |= {normal_header(h) for _, h in self._items(form, n)}
                said = (form.total or "", *form.columns.values())
                used |= {normal_header(r.replace("{n}", n)) for r in said}
        return used

    def described(self) -> list[tuple[str, str, str]]:
        """Return (canonical column, what the mapping takes it from, how it is found).

        Only words of the mapping are told, and canonical names.
        """
        part = self._part
        if self._table.name == "measure_items" and self._is_form:
            return [
                (
                    "item",
                    f"{form.instrument} ({form.rater})",
                    f"{len(self._items(form, n))} items",
                )
                for form in part.questionnaire
                for n in self._occasions(form)
                if self._has_form(form, n)
            ]
        told = []
        for column in self._table.columns:
            said = self._said_of(column.name)
            if not said:
                continue
            is_there = self._raw_text(column.name) is not None or self._is_form
            how = "read" if is_there else "required" if column.required else "absent"
            told.append((column.name, said, how))
        return told

    def _said_of(self, column: str) -> str:
        part = self._part
        if column in part.compose:
            return " + ".join(part.compose[column])
        if column in part.date_and_time:
            return " + ".join(part.date_and_time[column])
        if column in part.minutes:
            return f"started_at + {part.minutes[column]} minutes"
        if column in part.constants and column not in part.columns:
            return f"always {part.constants[column]}"
        if part.questionnaire and column in (
            "administration_id",
            "instrument",
            "rater",
        ):
            return ", ".join(
                dict.fromkeys(form.instrument for form in part.questionnaire)
            )
        if part.answers and column in ("administration_id", "instrument", "rater"):
            return ", ".join(form.instrument for form in part.answers.form)
        return " or ".join(part.sources_of(column))

    # --- cells of a row ---------------------------------------------------------------

    def _cell(self, reference: str) -> str | None:
        """Return SQL of the text of a reference, or None when the file has no such cell."""
        if reference.startswith("="):
            return literal(reference[1:])
        if "|" in reference:
            cells = [sql for r in reference.split("|") if (sql := self._cell(r))]
            return f"coalesce({', '.join(cells)})" if cells else None
        if reference.endswith("?"):
            return f"coalesce({self._cell(reference[:-1]) or 'null::varchar'}, '')"
        place = self._places.get(normal_header(reference))
        if place is not None:
            sql = f"t{place}"
        else:
            name, _, header = reference.partition(".")
            found = self._lookups.get(name)
            column = found.place(header) if found else None
            if column is None:
                return None
            sql = f"{name}__{column}"
        return without_nulls(sql, self._part.nulls.get(EVERY_COLUMN, ()))

    def _raw_text(self, column: str, form: Questionnaire | None = None) -> str | None:
        """Return SQL of a column's text before it is spelled anew."""
        part = self._part
        if form is not None and column in form.columns:
            return self._cell(form.columns[column])
        if column in part.date_and_time:
            return self._cell(part.date_and_time[column][0])
        if column in part.compose:
            return self._composed(part.compose[column])
        if column in part.minutes:
            return self._cell(part.minutes[column])
        found = [sql for r in part.sources_of(column) if (sql := self._cell(r))]
        if column in part.constants:
            found = found if column in part.columns else []
            found.append(literal(part.constants[column]))
        if not found:
            return None
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def _composed(self, references: Sequence[str]) -> str | None:
        cells = [self._cell(reference) for reference in references]
        if any(cell is None for cell in cells):
            return None
        if len(cells) == 1:
            return cells[0]
        between = f" || {literal(self._part.separator)} || "
        return "(" + between.join(str(cell) for cell in cells) + ")"

    def _text(
        self, column: Column, form: Questionnaire | None = None, n: str = ""
    ) -> str:
        """Return SQL of a column's canonical text."""
        part, name = self._part, column.name
        if form is not None:
            form = form.model_copy(
                update={
                    "columns": {c: r.replace("{n}", n) for c, r in form.columns.items()}
                }
            )
        sql = self._raw_text(name, form)
        if name in self._unread or sql is None:
            if name == "timezone" and part.timezone:
                return literal(part.timezone)
            blank = part.codes.get(name, {}).get("")
            return _ABSENT if blank is None else literal(blank)
        sql = without_nulls(sql, part.nulls.get(name, ()))
        if name in part.minutes:
            start = self._text(self._table.column("started_at"))
            return minutes_after(start, plain_number(sql, part.decimal, part.thousands))
        sql = self._dated(column, coded(sql, part.codes.get(name, {})))
        if name in part.booleans:
            words = part.booleans[name]
            sql = truth(sql, words.true, words.false)
        if column.kind in _NUMBERS:
            sql = plain_number(sql, part.decimal, part.thousands)
        if name == "timezone" and part.timezone:
            sql = f"coalesce({sql}, {literal(part.timezone)})"
        return sql

    def _dated(self, column: Column, sql: str) -> str:
        part = self._part
        if column.kind not in _DATED:
            return sql
        order = part.dates.get(column.name, part.dates.get(EVERY_COLUMN, "iso"))
        sql = iso_date(sql, order, is_birth=column.kind == "birth_date")
        if column.name in part.date_and_time:
            clock = self._cell(part.date_and_time[column.name][1])
            if clock is not None:
                sql = f"({sql} || coalesce('T' || nullif({clock_of(clock)}, ''), ''))"
        if column.kind == "utc" and part.timezone:
            sql = in_utc(sql, part.timezone)
        return sql

    # --- forms ------------------------------------------------------------------------

    def _variants(self) -> list[_Variant]:
        part = self._part
        if part.questionnaire:
            return [
                variant
                for form in part.questionnaire
                for n in self._occasions(form)
                for variant in self._form_variant(form, n)
            ]
        if part.answers:
            return [
                variant
                for form in part.answers.form
                for variant in self._answer_variant(form)
            ]
        texts = {column.name: self._text(column) for column in self._table.columns}
        if self._table.name == "client_links":
            other, mark = texts["other_client_id"], f"chr({ord(OTHER_SOURCE_MARK)})"
            texts["other_client_id"] = f"{texts['other_source']} || {mark} || {other}"
        return [_Variant(texts)]

    def _occasions(self, form: Questionnaire) -> tuple[str, ...]:
        """Return the values of ``{n}``: those said, else every one that a header has."""
        if not form.is_repeated:
            return ("",)
        if form.occasions:
            return form.occasions
        found: dict[str, None] = {}
        said = [form.total or "", *form.columns.values()]
        said += [form.items] if isinstance(form.items, str) else []
        for reference in said:
            if "{n}" not in reference:
                continue
            shape = re.escape(normal_header(reference))
            shape = shape.replace(re.escape("{n}"), r"(\w+?)", 1)
            shape = shape.replace(re.escape("{n}"), r"\1").replace(
                re.escape("{item}"), r"\w+?"
            )
            for header in self._headers:
                match = re.fullmatch(shape, normal_header(header))
                if match:
                    found.setdefault(match[1])
        return tuple(found)

    def _items(self, form: Questionnaire, n: str) -> list[tuple[str, str]]:
        """Return (item, header) of a form's items that the file has."""
        known = list(self._registry.get(form.instrument, ()))
        left_out = {normal_header(header) for header in form.leave_out}
        if isinstance(form.items, dict):
            said = list(form.items.items())
        elif isinstance(form.items, str):
            pattern = form.items.replace("{n}", n)
            said = [(i, pattern.replace("{item}", i)) for i in known]
            if not known:
                said = self._numbered(pattern)
        else:
            ids = known if len(known) == len(form.items) else _counted(form.items)
            said = list(zip(ids, form.items, strict=True))
        return [
            (item, header)
            for item, header in said
            if normal_header(header) in self._places
            and normal_header(header) not in left_out
        ]

    def _numbered(self, pattern: str) -> list[tuple[str, str]]:
        """Return the items of a form that the registry does not know, by their numbers."""
        shape = re.escape(normal_header(pattern))
        shape = shape.replace(re.escape("{item}"), r"(\d+)")
        found = [
            (match[1], header)
            for header in self._headers
            if (match := re.fullmatch(shape, normal_header(header)))
        ]
        return sorted(found, key=lambda pair: int(pair[0]))

    def _checked_items(self, form: Questionnaire, n: str) -> list[tuple[str, str]]:
        """Return a form's items.

        Raises:
            FileRefused: they are not as many as the registry has.
        """
        items = self._items(form, n)
        known = self._registry.get(form.instrument, ())
        if items and not form.is_partial and len(items) != len(known or items):
            raise FileRefused("items_incomplete", column="item")
        return items

    def _has_form(self, form: Questionnaire, n: str) -> bool:
        """Tell whether the file has any column of a form."""
        total = form.total.replace("{n}", n) if form.total else None
        return bool(self._items(form, n)) or bool(total and self._cell(total))

    def _form_variant(self, form: Questionnaire, n: str) -> list[_Variant]:
        if not self._has_form(form, n):
            return []
        items = self._checked_items(form, n)
        values = [
            self._value(self._cell(header), form.labels, form.times)
            for _, header in items
        ]
        total = self._cell(form.total.replace("{n}", n)) if form.total else None
        filled = [f"{value} is not null" for value in (*values, total) if value]
        if not filled:
            return []
        only = [f"not {self._skipped(rule)}" for rule in form.only]
        applies = " and ".join([f"({' or '.join(filled)})", *only])
        if "deleted" in self._part.columns and self._part.table == "measures":
            gone = self._text(BY_NAME["measures"].column("deleted"))
            applies = f"({applies}) or coalesce({gone} = 'true', false)"
        mark = [f"={form.instrument}", f"={form.rater}", *([f"={n}"] if n else [])]
        id_ = self._composed((*form.id, *mark))
        fixed = {
            "administration_id": id_ or _ABSENT,
            "instrument": literal(form.instrument),
            "rater": literal(form.rater),
            "version": literal(form.version) if form.version else _ABSENT,
            "total_reported": self._total(total, form.times) or _ABSENT,
        }
        if self._part.table == "measure_items":
            if not items:
                return []
            ids = "[" + ", ".join(literal(item) for item, _ in items) + "]"
            texts = {
                "administration_id": fixed["administration_id"],
                "item": ids,
                "value": f"[{', '.join(str(value) for value in values)}]",
            }
            return [_Variant(texts, applies, frozenset({"item", "value"}))]
        texts = {
            column.name: fixed.get(column.name) or self._text(column, form, n)
            for column in self._table.columns
        }
        if n in form.days:
            texts["administered_at"] = days_after(
                texts["administered_at"], form.days[n]
            )
        return [_Variant(texts, applies)]

    def _answer_variant(self, form: CodedForm) -> list[_Variant]:
        answers = self._part.answers
        assert answers is not None
        code = f"lower({self._cell(answers.code)})"
        items = _codes_of(form, self._registry)
        is_item = self._is_item(form, items, code)
        is_total = like_any(code, form.total) if form.total else "false"
        values = [sql for r in answers.value if (sql := self._cell(r))]
        said = f"coalesce({', '.join(values)})" if values else _ABSENT
        value = self._value(said, answers.labels, answers.times) or _ABSENT
        fixed = {
            "administration_id": self._composed(
                (*answers.id, f"={form.instrument}", f"={form.rater}")
            )
            or _ABSENT,
            "instrument": literal(form.instrument),
            "rater": literal(form.rater),
            "version": literal(form.version) if form.version else _ABSENT,
        }
        if self._part.table == "measure_items":
            if not items:
                return []
            texts = {
                "administration_id": fixed["administration_id"],
                "item": coded(code, items),
                "value": value,
            }
            return [_Variant(texts, is_item)]
        total = without_nulls(value, self._part.nulls.get("total_reported", ()))
        fixed["total_reported"] = f"case when {is_total} then {total} end"
        is_date = "false"
        if form.dates:
            dated = self._dated(self._table.column("administered_at"), said)
            is_date = f"({like_any(code, form.dates)} and {self._holds_any(form, items, code)})"
            fixed["administered_at"] = f"case when {is_date} then {dated} end"
        texts = {
            column.name: fixed.get(column.name) or self._text(column)
            for column in self._table.columns
        }
        return [_Variant(texts, f"({is_total} or {is_item} or {is_date})")]

    def _holds_any(self, form: CodedForm, items: dict[str, str], code: str) -> str:
        """Return the condition that the row's administration has answers of the form."""
        answers = self._part.answers
        assert answers is not None
        id_ = self._composed(answers.id) or "row_no"
        codes = (*items, *form.total)
        return f"coalesce(bool_or({like_any(code, codes)}) over (partition by {id_}), false)"

    def _is_item(self, form: CodedForm, items: dict[str, str], code: str) -> str:
        """Return the condition that a row is an item of this form and of no other.

        PHQ-2 has two items of PHQ-9: alone they are not a PHQ-9 with seven missing.
        """
        answers = self._part.answers
        assert answers is not None
        if not items:
            return "false"
        shared: dict[str, list[CodedForm]] = {}
        for other in answers.form:
            for item in _codes_of(other, self._registry):
                shared.setdefault(item.lower(), []).append(other)
        own = [item for item in items if len(shared[item.lower()]) == 1]
        several = tuple(item for item in items if len(shared[item.lower()]) > 1)
        tests = [like_any(code, tuple(own))] if own else []
        if several:
            mine = self._holds_own(form, shared, code)
            larger = [
                f"not {self._holds_own(other, shared, code)}"
                for other in answers.form
                if other is not form
                and any(other in shared[item.lower()] for item in several)
            ]
            is_smallest = all(
                len(items) <= len(_codes_of(other, self._registry))
                for item in several
                for other in shared[item.lower()]
            )
            alone = f"({' and '.join(larger)})" if is_smallest and larger else "false"
            if is_smallest:
                tests.append(f"({like_any(code, several)} and {alone})")
            else:
                tests.append(f"({like_any(code, several)} and {mine})")
        return "(" + " or ".join(tests) + ")"

    def _holds_own(
        self, form: CodedForm, shared: dict[str, list[CodedForm]], code: str
    ) -> str:
        answers = self._part.answers
        assert answers is not None
        own = [
            item
            for item in _codes_of(form, self._registry)
            if len(shared[item.lower()]) == 1
        ]
        if not own:
            return "false"
        id_ = self._composed(answers.id) or "row_no"
        return f"coalesce(bool_or({like_any(code, tuple(own))}) over (partition by {id_}), false)"

    def _total(self, cell: str | None, times: float) -> str | None:
        if cell is None:
            return None
        return self._value(
            without_nulls(cell, self._part.nulls.get("total_reported", ())), {}, times
        )

    def _value(
        self, cell: str | None, labels: AnyMapping[str, float], times: float
    ) -> str | None:
        """Return SQL of the number of an answer, as text."""
        if cell is None:
            return None
        part = self._part
        sql = without_nulls(cell, part.nulls.get("value", ()))
        sql = coded(sql, {word: f"{number:g}" for word, number in labels.items()})
        sql = plain_number(sql, part.decimal, part.thousands)
        if times == 1:
            return sql
        number = f"try_cast({sql} as double)"
        return f"case when {number} is null then {sql} else round({number} * {times}, 9)::varchar end"

    # --- the table of cells -----------------------------------------------------------

    def conflicts(self, con: duckdb.DuckDBPyConnection) -> list[Conflict]:
        """Give the columns that hold dates in another order than the mapping says.

        They are not read: nothing is guessed by row.

        Raises:
            FileRefused: a required column is among them.
        """
        tests: dict[str, str] = {}
        for column in self._dated_columns():
            order = self._part.dates.get(
                column.name, self._part.dates.get(EVERY_COLUMN, "iso")
            )
            raw = [
                sql
                for form in (self._part.questionnaire or (None,))
                for n in (self._occasions(form) if form else ("",))
                if (sql := self._said_date(column.name, form, n)) is not None
            ]
            found = [c for sql in raw if (c := contradicts(sql, order)) is not None]
            if found:
                tests[column.name] = " or ".join(found)
        if not tests:
            return []
        counts = ", ".join(f"count(*) filter (where {test})" for test in tests.values())
        row = con.execute(
            "select (select count(*) from raw) + (select count(*) from unreadable),"
            f" {counts} from ({self._base()}) where kind = 'row'"
        ).fetchone()
        assert row is not None
        found_in = [
            Conflict(name, n) for name, n in zip(tests, row[1:], strict=True) if n
        ]
        for conflict in found_in:
            table = BY_NAME["measures"] if self._is_form else self._table
            if table.column(conflict.column).required:
                raise FileRefused("date_order_conflict", row[0], conflict.column)
            self._unread.add(conflict.column)
        return found_in

    def _said_date(self, column: str, form: Questionnaire | None, n: str) -> str | None:
        if form is not None and column in form.columns:
            sql = self._cell(form.columns[column].replace("{n}", n))
        else:
            sql = self._raw_text(column)
        if sql is None:
            return None
        return without_nulls(sql, self._part.nulls.get(column, ()))

    def _dated_columns(self) -> list[Column]:
        table = BY_NAME["measures"] if self._is_form else self._table
        return [column for column in table.columns if column.kind in _DATED]

    def create_cells(self, con: duckdb.DuckDBPyConnection) -> set[str]:
        """Leave the table ``cell``: ``row_no``, ``kind``, ``rule``, one text a column.

        Grain: one row a canonical row; one row a row of the file that makes none.

        Returns:
            The canonical columns that it has; the file holds nothing for the others.
        """
        variants = self._variants()
        names = [
            column.name
            for column in self._table.columns
            if any(variant.texts.get(column.name) != _ABSENT for variant in variants)
        ]
        drop_relation(con, "cell")
        if len(variants) == 1 and variants[0].applies is None:
            texts = variants[0].texts
            query = f"select row_no, kind, rule, {_selected(texts, names)} from base"
        else:
            query = self._many(variants, names)
        query = f"with base as ({self._base()}) {query}"
        if self._part.fold or (self._part.answers and self._table.name == "measures"):
            query = _folded(query, names, self._table)
        # A copy of what is only renamed would cost more than to look at it again.
        kind = "view" if self._is_plain(variants) else "table"
        con.execute(f"create temp {kind} cell as {query}")
        return set(names)

    def _is_plain(self, variants: list[_Variant]) -> bool:
        """Tell whether the canonical cells are those of the file as they stand."""
        part = self._part
        is_one = len(variants) == 1 and variants[0].applies is None
        is_changed = self._has_blanks or part.fold or part.footer or part.filter
        return (
            is_one
            and not (is_changed or part.join or part.answers)
            and all(
                sql == _ABSENT or _PLACE.match(sql)
                for sql in variants[0].texts.values()
            )
        )

    def _many(self, variants: list[_Variant], names: list[str]) -> str:
        marks = ", ".join(
            f"coalesce({variant.applies or 'true'}, false) as holds_{n}"
            for n, variant in enumerate(variants)
        )
        nothing = ", ".join(f"null::varchar as {name}" for name in names)
        none = " or ".join(f"holds_{n}" for n in range(len(variants))) or "false"
        marked = f"select *{', ' + marks if marks else ''} from base where kind = 'row'"
        queries = [
            f"select row_no, kind, rule, {nothing} from base where kind <> 'row'",
            f"select row_no, 'filtered', 'nothing_of_it', {nothing}"
            f" from ({marked}) where not ({none})",
        ]
        for n, variant in enumerate(variants):
            texts = {
                name: f"unnest({sql})" if name in variant.lists else sql
                for name, sql in variant.texts.items()
            }
            queries.append(
                f"select row_no, kind, rule, {_selected(texts, names)}"
                f" from ({marked}) where holds_{n}"
            )
        return " union all ".join(queries)

    def _base(self) -> str:
        """Return the rows of the file with their joined cells, kind and filter rule."""
        places = range(1, len(self._headers) + 1)
        filled = [f"t{n}" for n in places]
        rules = [
            f"when {self._skipped(rule)} then {literal(rule.name)}"
            for rule in self._part.filter
        ]
        rule = f"case {' '.join(rules)} end" if rules else _ABSENT
        footers = [self._is_repeated_header(filled)]
        if self._part.footer:
            first = f"lower(coalesce({', '.join(filled)}))"
            footers.append(like_any(first, self._part.footer))
        joined, source = self._joined()
        return (
            f"select *, case when coalesce({', '.join(filled)}) is null"
            f" then 'blank' when coalesce({' or '.join(footers)}, false) then 'footer'"
            f" when {rule} is not null then 'filtered' else 'row' end as kind,"
            f" {rule} as rule from (select raw.*{joined} from {source})"
        )

    def _is_repeated_header(self, cells: list[str]) -> str:
        """Return the condition that a row is the header once more, at a page's start."""
        said = [
            f"{cell} = {literal(header.strip())}"
            if header.strip()
            else f"{cell} is null"
            for cell, header in zip(cells, self._headers, strict=True)
        ]
        return f"({' and '.join(said)})"

    def _joined(self) -> tuple[str, str]:
        """Return the joined columns, and what they are selected from."""
        columns = ""
        cells = [f"c{n}" for n in range(1, len(self._headers) + 1)]
        # Each cell is trimmed once, for all that is asked of it.
        trimmed = ", ".join(
            f"{f'nullif(trim({cell}), {chr(39) * 2})' if self._has_blanks else cell}"
            f" as t{n}"
            for n, cell in enumerate(cells, start=1)
        )
        source = f"(select *, {trimmed} from raw) as raw"
        known: set[str] = set()
        for join in self._part.join:
            found = self._lookups[join.name]
            if found is None:
                continue
            equal = []
            for n, reference in enumerate(join.on, start=1):
                here = self._cell(reference) or "null"
                for earlier in known:
                    here = here.replace(f"{earlier}__", f"{earlier}.")
                equal.append(f"{join.name}.k{n} = {here}")
            source += (
                f" left join {found.table} as {join.name} on {' and '.join(equal)}"
            )
            columns += "".join(
                f", {join.name}.v{n} as {join.name}__v{n}"
                for n in range(1, len(found.headers) + 1)
            )
            known.add(join.name)
        return columns, source

    def _skipped(self, rule: RowFilter) -> str:
        cell = self._cell(rule.column.removesuffix("?"))
        text = f"coalesce(lower({cell}), '')" if cell else "''"
        if rule.keep:
            return f"(not {like_any(text, rule.keep)})"
        return like_any(text, rule.drop)


def excuse_deletions(table: Table, cells: dict[str, Cell]) -> None:
    """Let a row that only deletes leave every column blank but those that identify it.

    Systems that mark a deletion send the id and the mark, every other cell blank.
    """
    if "deleted" not in cells:
        return
    is_deleted = next(sql for _, _, sql in cells["deleted"].outputs)
    for name, cell in cells.items():
        if name not in table.identity:
            cell.bad[:] = [
                (
                    reason,
                    f"({condition}) and not coalesce({is_deleted}, false)"
                    if reason == "required_value_missing"
                    else condition,
                )
                for reason, condition in cell.bad
            ]


def _selected(texts: dict[str, str], names: list[str]) -> str:
    return ", ".join(f"{texts[name]} as {name}" for name in names)


def _folded(query: str, names: list[str], table: Table) -> str:
    """Return one row an id: each column its first filled value; the rest filtered."""
    id_ = " || '|' || ".join(table.identity)
    key = f"case when kind = 'row' then coalesce({id_}, 'row ' || row_no) else 'other ' || row_no end"
    window = (
        "over (partition by fold_key order by row_no, fold_no"
        " rows between unbounded preceding and unbounded following)"
    )
    folded = ", ".join(
        f"first_value({name} ignore nulls) {window} as {name}" for name in names
    )
    return (
        f"select row_no, case when kind = 'row' and choice > 1 then 'filtered'"
        " else kind end as kind, case when kind = 'row' and choice > 1"
        f" then 'same_id' else rule end as rule, {', '.join(names)} from ("
        f" select row_no, kind, rule, {folded}, row_number() over (partition by fold_key"
        " order by row_no, fold_no) as choice from ("
        f" select *, {key} as fold_key, row_number() over () as fold_no from ({query})))"
    )


def _counted(items: Sequence[str]) -> list[str]:
    return [str(n) for n in range(1, len(items) + 1)]


def _codes_of(form: CodedForm, registry: Registry) -> dict[str, str]:
    """Return code -> item of a coded form; a list is in the order of the registry."""
    if isinstance(form.items, dict):
        return dict(form.items)
    known = list(registry.get(form.instrument, ()))
    ids = known if len(known) == len(form.items) else _counted(form.items)
    return dict(zip(form.items, ids, strict=True))
