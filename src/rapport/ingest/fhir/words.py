"""The engine's lookups for FHIR: codes of forms, answers, statuses, systems.

All of them are data: the package's CSV files, and the ``[fhir]`` part of a mapping.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from importlib import resources

import duckdb

from rapport.ingest.translate import CodeLists
from rapport.mapping.fhir import FhirMapping

_LOINC = ("http://loinc.org", "urn:oid:2.16.840.1.113883.6.1", "")


def prepare_words(
    con: duckdb.DuckDBPyConnection, mapping: FhirMapping, codes: CodeLists
) -> None:
    """Lay the lookup tables and macros in the scratch database."""
    _vocabulary(con, mapping)
    _form_codes(con, mapping)
    _registry(con, codes)


def _vocabulary(con: duckdb.DuckDBPyConnection, mapping: FhirMapping) -> None:
    lists: dict[str, list[tuple[str, str, str]]] = {}
    for row in _rows("vocabulary.csv"):
        said = (row["system"], row["code"], row["value"])
        lists.setdefault(row["list"], []).append(said)
    lists["cancellation"] = [("", c, s) for c, s in mapping.cancellations.items()]
    lists["goal_domain"] = [("", c, d) for c, d in mapping.goal_domains.items()]
    for name, words in lists.items():
        if name == "diagnosis_system":
            tests = [(f"s = {_text(system)}", value) for system, _, value in words]
        elif (
            name == "discipline"
        ):  # taxonomies are trees: the longest prefix tells most
            words = sorted(words, key=lambda word: -len(word[1]))
            tests = [
                (f"s = {_text(system)} and starts_with(c, {_text(code)})", value)
                for system, code, value in words
            ]
        else:
            tests = [(f"c = {_text(code)}", value) for _, code, value in words]
        whens = " ".join(f"when {test} then {_text(value)}" for test, value in tests)
        body = f"case {whens} end" if whens else "null::varchar"
        con.execute(f"create or replace temp macro fh_{name}(s, c) as {body}")


def _form_codes(con: duckdb.DuckDBPyConnection, mapping: FhirMapping) -> None:
    shipped = [
        (system, r["code"], r["instrument"], r["role"], r["item"] or None, None, None)
        for r in _rows("codes.csv")
        for system in _LOINC
    ]
    own = [
        (*_split(key), c.instrument, c.role, c.item, c.rater, c.version)
        for key, c in mapping.codes.items()
    ]
    known = {(row[0], row[1]) for row in own}
    rows = own + [row for row in shipped if (row[0], row[1]) not in known]
    _fill(
        con,
        "fh_code (system varchar, code varchar, instrument varchar, role varchar,"
        " item varchar, rater varchar, version varchar)",
        rows,
    )
    answers = {
        (system, r["code"]): r["value"]
        for r in _rows("answers.csv")
        for system in _LOINC
    }
    answers |= {_split(key): f"{value:g}" for key, value in mapping.answers.items()}
    _fill(
        con,
        "fh_answer (system varchar, code varchar, value varchar)",
        [(system, code, value) for (system, code), value in answers.items()],
    )
    _fill(
        con,
        "fh_form (url varchar, instrument varchar, rater varchar, version varchar)",
        [
            (u, q.instrument, q.rater, q.version)
            for u, q in mapping.questionnaires.items()
        ],
    )
    _fill(
        con,
        "fh_form_item (url varchar, link_id varchar, item varchar)",
        [
            (url, link_id, item)
            for url, form in mapping.questionnaires.items()
            for link_id, item in form.items.items()
        ],
    )


def _registry(con: duckdb.DuckDBPyConnection, codes: CodeLists) -> None:
    """Lay what the registry knows of forms: names, items, and who fills them in."""
    raters: dict[str, set[str]] = {}
    for form, rater in codes.raters():
        raters.setdefault(form, set()).add(rater)
    _fill(
        con,
        "fh_only_rater (instrument varchar, rater varchar)",
        [(form, min(who)) for form, who in raters.items() if len(who) == 1],
    )
    names: dict[str, tuple[str, str | None]] = {form: (form, None) for form in raters}
    names |= {alias: (form, rater) for alias, form, rater in codes.aliases()}
    _fill(
        con,
        "fh_form_name (name varchar, instrument varchar, rater varchar)",
        [
            (re.sub(r"[^a-z0-9]", "", name.lower()), form, rater)
            for name, (form, rater) in sorted(names.items())
        ],
    )
    _fill(
        con,
        "fh_item (instrument varchar, item varchar)",
        sorted(codes.items_of_forms()),
    )


def _fill(
    con: duckdb.DuckDBPyConnection,
    table: str,
    rows: Sequence[tuple[str | None, ...]],
) -> None:
    """Lay a small table in one statement: parameters would cost more than the work."""
    con.execute(f"create temp table {table}")
    if rows:
        values = ", ".join(
            "(" + ", ".join("null" if v is None else _text(v) for v in row) + ")"
            for row in rows
        )
        con.execute(f"insert into {table.partition(' ')[0]} values {values}")


def _split(key: str) -> tuple[str, str]:
    system, _, code = key.rpartition("|")
    return system, code


def _rows(name: str) -> list[dict[str, str]]:
    text = (resources.files(__package__) / name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def _text(said: str) -> str:
    return "'" + said.replace("'", "''") + "'"
