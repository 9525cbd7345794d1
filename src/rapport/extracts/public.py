"""Aggregate tables for the public: counted anew per person, small cells protected (C6).

The quality tables of the service count a client in every month; what is released counts
each person once, by the index episode, so that an attacker's sums are the tables' own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from rapport.errors import ExtractRefused
from rapport.extracts import cells, frames, package, words
from rapport.extracts.build import (
    Built,
    hits,
    identifiers,
    require_enough,
    snapshot_as_of,
    write_words,
)
from rapport.extracts.columns import PUBLIC
from rapport.extracts.difference import WHOLE, Persons, differences
from rapport.extracts.frozen import last_closed, lay_frozen_months
from rapport.extracts.request import Request, require_closed
from rapport.settings import Settings
from rapport.warehouse import in_memory, scratch_over_published

SURE_SHARE_N = 30
_GROUPS = {
    "qi_endings": "coalesce(people.closure_reason, 'open')",
    "qi_early_alliance": "coalesce(outcomes.early_alliance_band, 'none')",
    "qi_outcome_monthly": "coalesce(outcomes.reliable_change, 'none')",
}


def public_columns(table: str) -> tuple[str, ...]:
    """List the columns of a public table."""
    return tuple(column.name for column in PUBLIC.get(table, ()))


def build_public(
    settings: Settings,
    request: Request,
    request_id: str,
    folder: Path,
    earlier: Mapping[str, Persons],
    today: date,
) -> Built:
    """Build, protect and audit aggregate tables.

    Raises:
        RequestInvalid: the period is not closed (exit 2).
        ExtractRefused: too few persons, a table that cannot be protected, or cells that
            differ by a few persons from an earlier release (exit 3).
    """
    tables = [table.replace(".", "_") for table in request.tables]
    with scratch_over_published(settings) as con:
        as_of = snapshot_as_of(con)
        require_closed(request, min(as_of, today))
        frames.lay_subjects(con, settings.home)
        n_changed = lay_frozen_months(
            con,
            settings.home,
            request.period.from_,
            request.period.to,
            last_closed(min(as_of, today)),
        )
        # Names only number the persons here: none leaves, and no study key is made.
        frames.lay_pseudonyms(con, request.study, bytes(32))
        n = frames.lay_cohort(con, request)
        require_enough(n, request.k)
        _lay_counted(con)
        keys, counts = _cells(con, tables)
        system = cells.system_of(keys)
        hidden = cells.protect(system, counts, request.k)
        if hidden is None:
            raise ExtractRefused(
                "no choice of hidden cells protects the small ones: the table is dropped",
                next_step="ask for one table, or a longer period",
                reason="extract_cells",
            )
        persons = {
            WHOLE: _everyone(con),
            **_persons_by_cell(con, tables, keys, hidden),
        }
        found = differences(persons, earlier)
        wrong = [d.words(request.k) for d in found if d.is_too_small(request.k)]
        if wrong:
            raise ExtractRefused(
                "\n".join(sorted(set(wrong))), reason="extract_differencing"
            )
        con.execute("create schema if not exists data")
        for table in tables:
            _lay_table(con, table, tables, keys, counts, hidden, request.k)
        fields = package.fields_of(
            con, {t: public_columns(t) for t in tables}, {}, _hidden_in(tables, keys, hidden)
        )  # fmt: skip
        package.stop_on_formula(con, tables)
        package.write_tables(con, folder / "data", fields, request.formats, as_of)
        planted = identifiers(con)
    small = cells.primary_cells(counts, request.k)
    widths = _audit_written(folder, tables, keys, counts, request.k, small)
    report: dict[str, Any] = {
        "v": 1,
        "request_id": request_id,
        "request_digest": request.digest(),
        "study": request.study,
        "profile": "public",
        "n_requested": n,
        "n_released": n,
        "n_masked": 0,
        "n_dropped": 0,
        "k_required": request.k,
        "k_min": min(
            (n for p, n in enumerate(counts) if n and p not in hidden), default=0
        ),
        "cells": {
            "shown": len(keys) - len(hidden),
            "primary": len(small),
            "complementary": len(hidden) - len(small),
            "min_width": min(widths, default=None),
        },
        "rows": _row_counts(tables, keys),
        "levels": {},
        "rung": None,
        "tables_withheld": [],
        "changed_since_frozen": n_changed,
        "differencing": [
            {"release_id": d.release_id, "new": d.new, "gone": d.gone} for d in found
        ],
        "canaries": {"planted": len(planted), "hits": hits(folder, planted)},
        "data_as_of": as_of.isoformat(),
    }
    if report["canaries"]["hits"]:
        raise ExtractRefused("the tables are not safe: identifiers of the warehouse")
    page = words.public_risk_page(request, report)
    write_words(folder, request, request_id, report, fields, page)
    facts = {
        "k": request.k,
        "quasi_identifiers": [],
        "node": [],
        "rung": None,
        "n_persons": n,
        "data_as_of": as_of.isoformat(),
    }
    return Built(persons, report, folder, facts)


def _lay_counted(con: duckdb.DuckDBPyConnection) -> None:
    """Lay each person once, with the group of each table."""
    groups = ", ".join(f"{sql} as {table}" for table, sql in _GROUPS.items())
    con.execute(
        f"""
        create or replace table counted as
        select
            people.uid,
            year(people.index_on)::varchar as period,
            coalesce(people.state, 'missing') as place,
            {groups}
        from people
        left join (
            select distinct on (episode_uid) *
            from held.outcome
            order by episode_uid, instrument
        ) as outcomes on people.index_episode = outcomes.episode_uid
        """
    )


def _cells(
    con: duckdb.DuckDBPyConnection, tables: Sequence[str]
) -> tuple[list[cells.Key], list[int]]:
    """Return one system over all tables: (period, place, a group a table)."""
    found: dict[cells.Key, int] = {}
    for place, table in enumerate(tables):
        rows = con.execute(
            f"select period, place, {table}, count(*) from counted group by all"
            " order by all"
        ).fetchall()
        counts: dict[cells.Key, int] = {
            (str(a), str(b), str(c)): int(n) for a, b, c, n in rows
        }
        values = [sorted({key[i] for key in counts}) for i in range(3)]
        for (period, state, group), n in cells.with_margins(counts, values).items():
            groups = [cells.TOTAL] * len(tables)
            groups[place] = group
            found[(period, state, *groups)] = n
    return list(found), list(found.values())


def _own(table: str, tables: Sequence[str], key: cells.Key) -> bool:
    """Tell whether a cell of the system stands in a table."""
    return all(
        group == cells.TOTAL
        for other, group in zip(tables, key[2:], strict=True)
        if other != table
    )


def _row_counts(tables: Sequence[str], keys: Sequence[cells.Key]) -> dict[str, int]:
    return {table: sum(_own(table, tables, key) for key in keys) for table in tables}


def _hidden_in(
    tables: Sequence[str], keys: Sequence[cells.Key], hidden: frozenset[int]
) -> dict[str, int]:
    return {
        f"{table}.n_persons": sum(_own(table, tables, keys[place]) for place in hidden)
        for table in tables
    }


def _everyone(con: duckdb.DuckDBPyConnection) -> frozenset[str]:
    return frozenset(
        row[0] for row in con.execute("select uid from counted").fetchall()
    )


def _persons_by_cell(
    con: duckdb.DuckDBPyConnection,
    tables: Sequence[str],
    keys: Sequence[cells.Key],
    hidden: frozenset[int],
) -> dict[str, frozenset[str]]:
    """Return who stands behind each shown cell, so that releases can be compared."""
    people = con.execute(
        f"select uid, period, place, {', '.join(tables)} from counted"
    ).fetchall()
    found: dict[str, set[str]] = {}
    shown = {key for place, key in enumerate(keys) if place not in hidden}
    for uid, period, state, *groups in people:
        for when in (period, cells.TOTAL):
            for where in (state, cells.TOTAL):
                for table, group in zip(tables, groups, strict=True):
                    for what in (group, cells.TOTAL):
                        own = tuple(what if t == table else cells.TOTAL for t in tables)
                        if (when, where, *own) in shown:
                            name = f"{table}|{when}|{where}|{what}"
                            found.setdefault(name, set()).add(uid)
    return {name: frozenset(uids) for name, uids in found.items()}


def _lay_table(
    con: duckdb.DuckDBPyConnection,
    table: str,
    tables: Sequence[str],
    keys: Sequence[cells.Key],
    counts: Sequence[int],
    hidden: frozenset[int],
    k: int,
) -> None:
    shown: dict[cells.Key, int | None] = {
        key: None if place in hidden else n
        for place, (key, n) in enumerate(zip(keys, counts, strict=True))
    }
    rows = []
    for key, n in shown.items():
        if not _own(table, tables, key):
            continue
        whole = shown[(*key[:2], *([cells.TOTAL] * len(tables)))]
        group = key[2 + list(tables).index(table)]
        rows.append((key[0], key[1], group, n, _share(n, whole, k)))
    group_name = PUBLIC[table][2].name
    con.register(
        "frame",
        pd.DataFrame(
            rows, columns=["period", "place", group_name, "n_persons", "share"]
        ).astype({"n_persons": "Int64", "share": "float64"}),
    )
    con.execute(
        f"create or replace table data.{table} as select period, place, {group_name},"
        " n_persons::integer as n_persons,"
        " case when isnan(share) then null else share end as share"
        f" from frame order by period, place, {group_name}"
    )
    con.unregister("frame")


def _share(n: int | None, whole: int | None, k: int) -> float | None:
    """Return a share that gives nothing away: not of few, nor of all but few (C6)."""
    if n is None or not whole:
        return None
    if 0 < n < k or 0 < whole - n < k:
        return None
    if n in (0, whole) and whole < SURE_SHARE_N:
        return None
    return round(n / whole, 4)


def _read_cells(
    con: duckdb.DuckDBPyConnection, tables: Sequence[str]
) -> dict[cells.Key, int | None]:
    found: dict[cells.Key, int | None] = {}
    for place, table in enumerate(tables):
        group = PUBLIC[table][2].name
        for period, state, what, n in con.execute(
            f"select period, place, {group}, n_persons from data.{table}"
        ).fetchall():
            groups = [cells.TOTAL] * len(tables)
            groups[place] = what
            found[(period, state, *groups)] = n
    return found


def _audit_written(
    folder: Path,
    tables: Sequence[str],
    keys: Sequence[cells.Key],
    counts: Sequence[int],
    k: int,
    small: Sequence[int],
) -> list[int]:
    """Attack the written rows: no small cell's interval may be too narrow."""
    with in_memory() as con:
        package.read_tables(con, folder / "data")
        read = _read_cells(con, tables)
    system = cells.system_of(read)
    place = {key: n for n, key in enumerate(system.keys)}
    shown = {place[key]: n for key, n in read.items() if n is not None}
    hidden = sorted(place[key] for key, n in read.items() if n is None)
    attacker = cells.Attacker(system, shown, hidden)
    widths = []
    for cell in small:
        found = attacker.interval(place[keys[cell]])
        if not found.hides(k) or not found.low <= counts[cell] <= found.high:
            raise ExtractRefused(
                "a hidden cell can be worked out from those shown",
                reason="extract_cells",
            )
        widths.append(int(min(found.high - found.low, 10**6)))
    return widths


def audit_tables(
    con: duckdb.DuckDBPyConnection, tables: Sequence[str], k: int
) -> list[tuple[bool, str]]:
    """Attack published rows alone, as ``extract verify`` does; one line a verdict."""
    own = [table for table in tables if table in PUBLIC]
    read = _read_cells(con, own)
    small = sum(1 for n in read.values() if n is not None and 0 < n < k)
    if small:
        return [(False, f"k: {small} cells show fewer than {k} persons")]
    told = sum(_n_telling_shares(con, table, k) for table in own)
    if told:
        return [(False, f"cells: {told} shares tell what a hidden count is")]
    system = cells.system_of(read)
    place = {key: n for n, key in enumerate(system.keys)}
    shown = {place[key]: n for key, n in read.items() if n is not None}
    hidden = sorted(place[key] for key, n in read.items() if n is None)
    sure = 0
    attacker = cells.Attacker(system, shown, hidden)
    for cell in hidden:
        found = attacker.interval(cell)
        # Which hidden cell is small is not known here: none may be sure to be.
        if found.high < k or found.low == found.high:
            sure += 1
    if sure:
        return [(False, f"cells: {sure} hidden cells can be worked out")]
    return [(True, f"cells: {len(shown)} shown, {len(hidden)} hidden, none worked out")]


def _n_telling_shares(con: duckdb.DuckDBPyConnection, table: str, k: int) -> int:
    """Count shares of hidden counts, of few, of all but few, or sure ones of few."""
    group = PUBLIC[table][2].name
    rows = con.execute(
        f"select part.n_persons, whole.n_persons, part.share from data.{table} as part"
        f" left join data.{table} as whole on part.period = whole.period"
        f" and part.place = whole.place and whole.{group} = '{cells.TOTAL}'"
        " where part.share is not null"
    ).fetchall()
    return sum(share != _share(n, whole, k) for n, whole, share in rows)
