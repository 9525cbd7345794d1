"""Build a package for one request in a private folder, measure it, or refuse it.

Nothing is written outside the folder that is handed in, but what the vault keeps (study
key, uids, frozen months). Numbers in the report are measured on the files, read back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from rapport.errors import ExtractRefused
from rapport.extracts import frames, package, words
from rapport.extracts.difference import WHOLE, Difference, Persons, differences
from rapport.extracts.frozen import last_closed, lay_frozen_months
from rapport.extracts.gate import gate_problems
from rapport.extracts.generalise import (
    MIN_DISTINCT,
    Flags,
    Node,
    anonymised,
    encoded,
    is_exempt,
    remask,
)
from rapport.extracts.levels import TOP
from rapport.extracts.request import Request, require_closed
from rapport.extracts.risk import (
    MAX_MEAN_RISK,
    Classes,
    Trajectory,
    is_course_safe,
    measure_classes,
    measure_trajectory,
)
from rapport.extracts.triples import KNOWN_POINTS
from rapport.privacy.studies import study_key
from rapport.settings import Settings
from rapport.warehouse import in_memory, scratch_over_published

_KEYS = re.compile(r"\b(?:cl|th|cn|ep|se|ad|go)_[a-z2-7]{26}\b|\b[0-9a-f]{32}\b")
_MAX_ROUNDS = 25
_CHARS_AT_ONCE = 1 << 22
_SIZE_EDGES = (1, 11, 20, 50, 100, 200, 500, 1_000)
_RISK_EDGES = (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
# What leaves when no rung of the course does (C5.7).
BEYOND_RUNGS = ("clients", "episodes")


@dataclass(frozen=True)
class Built:
    """A built package: who is in it, what is told of it.

    Attributes:
        persons: uids of the persons in it; by cell where it holds aggregates.
        report: ``risk_report.json``.
        folder: where it lies.
        facts: what the release's manifest repeats.
    """

    persons: Persons
    report: dict[str, Any]
    folder: Path
    facts: dict[str, Any]


@dataclass
class _Hidden:
    """What the de-identification hid, counted as it goes."""

    is_kept: Flags
    shown: dict[str, list[str]]
    suppressed: dict[str, int]
    trimmed: dict[str, int]


def snapshot_as_of(con: duckdb.DuckDBPyConnection) -> date:
    """Return the as-of date of the published snapshot."""
    row = con.execute("select max(as_of) from pub.ops.run where outcome = 'published'").fetchone()  # fmt: skip
    if row is None or row[0] is None:
        raise ExtractRefused("the snapshot names no published night")
    day: date = row[0]
    return day


def build_package(
    settings: Settings,
    request: Request,
    request_id: str,
    folder: Path,
    earlier: Mapping[str, Persons],
    today: date,
    *,
    may_create_key: bool = True,
) -> Built:
    """Build and measure a microdata package.

    Args:
        settings: the settings.
        request: what was asked for.
        request_id: its id.
        folder: an empty folder of mode 0700.
        earlier: the persons of each release that is still out.
        today: no period may end later than 45 days before it.
        may_create_key: whether a study without a key gets one.

    Raises:
        RequestInvalid: the period is not closed (exit 2).
        ExtractRefused: the disclosure gate refused, with the reason (exit 3).
    """
    with scratch_over_published(settings) as con:
        as_of = snapshot_as_of(con)
        require_closed(request, min(as_of, today))
        key = study_key(settings.home, request.study, may_create=may_create_key)
        frames.lay_subjects(con, settings.home)
        n_changed = lay_frozen_months(
            con,
            settings.home,
            request.period.from_,
            request.period.to,
            last_closed(min(as_of, today)),
        )
        if not frames.lay_pseudonyms(con, request.study, key):
            raise ExtractRefused(
                "two subjects share a pseudonym: report it; the study needs a new name",
                reason="extract_pseudonym_collision",
            )
        n = frames.lay_cohort(con, request)
        require_enough(n, request.k)
        frames.lay_base(con, request)
        outside = frames.outside_their_list(con, request.tables)
        if outside:
            raise ExtractRefused("\n".join(["words outside their lists:", *outside]))
        if request.profile == "expert":
            frames.lay_clinic_groups(con, request.k)
        cut_off = frames.cut_off(con, request)
        values = frames.client_values(con, settings.extracts.zip3_withheld)
        planted = identifiers(con)
        if request.profile == "limited":
            node: Node | None = None
            hidden = _nothing_hidden(request, values, n)
            exempt: tuple[str, ...] = ()
        else:
            node, hidden, exempt = _hide(con, request, values, n)
        persons = _persons(con)
        found = differences(persons, earlier)
        _refuse_differences(found, request.k)
        rung, tables = _choose_rung(con, request, hidden)
        levels = (
            dict(zip(request.lattice_columns, node.levels, strict=True)) if node else {}
        )
        fields = package.fields_of(con, tables, levels, hidden.suppressed)
        package.stop_on_formula(con, list(tables))
        package.write_tables(con, folder / "data", fields, request.formats, as_of)
    qis = [name for name in request.lattice_columns if name in tables["clients"]]
    classes, trajectory, n_rows = _read_back(folder, request, qis)
    released = tuple(qis)
    report = {
        "v": 1,
        "request_id": request_id,
        "request_digest": request.digest(),
        "study": request.study,
        "profile": request.profile,
        "n_requested": n,
        "n_released": classes.n_persons,
        "n_masked": classes.n_masked,
        "n_dropped": n - classes.n_persons,
        "k_required": request.k,
        "k_min": classes.k_min,
        "classes": len(classes.sizes),
        "l_required": MIN_DISTINCT,
        "l_min": classes.l_min,
        "exempt": sorted({*exempt, *classes.exempt}),
        "quasi_identifiers": list(released),
        "node": list(node.levels) if node else [],
        "levels": levels,
        "loss": node.loss if node else 0,
        "rung": _rung_of(rung),
        "trajectory": {
            "p": KNOWN_POINTS,
            "mean": trajectory.mean,
            "max": trajectory.max,
            "share_over_0_2": trajectory.share_over_0_2,
        },
        "trajectory_limit": MAX_MEAN_RISK,
        "joint": {"mean": trajectory.joint_mean, "max": trajectory.joint_max},
        "joint_limit": request.joint_mean_max,
        "reidentification": classes.reidentification(),
        "rows": n_rows,
        "columns": {table: list(names) for table, names in sorted(tables.items())},
        "cut_off": cut_off,
        "tables_withheld": [t for t in request.tables if t not in tables],
        "rows_trimmed": hidden.trimmed,
        "values_suppressed": hidden.suppressed,
        "changed_since_frozen": n_changed,
        "differencing": [
            {"release_id": d.release_id, "new": d.new, "gone": d.gone} for d in found
        ],
        "canaries": {"planted": len(planted), "hits": hits(folder, planted)},
        "data_as_of": as_of.isoformat(),
        "gates": "report only" if request.profile == "limited" else "all",
        "request": asked_words(request),
        "distributions": {
            "class_size": words.distribution(classes.sizes, _SIZE_EDGES),
            "trajectory_risk": words.distribution(trajectory.risks, _RISK_EDGES),
        },
    }
    _gate(request, report)
    page = words.risk_page(request, report)
    write_words(folder, request, request_id, report, fields, page)
    facts = {
        "k": request.k,
        "quasi_identifiers": list(released),
        "node": report["node"],
        "rung": report["rung"],
        "n_persons": classes.n_persons,
        "data_as_of": as_of.isoformat(),
    }
    return Built(persons, report, folder, facts)


def asked_words(request: Request) -> dict[str, Any]:
    """Return what was asked for, as a report repeats it: no address."""
    said = request.model_dump(mode="json", by_alias=True)
    said["requester"].pop("email")
    return said


def require_enough(n: int, k: int) -> None:
    """Stop a cohort that is empty, or too small to hide anyone in.

    Raises:
        ExtractRefused: with what to change (exit 3).
    """
    if n == 0:
        raise ExtractRefused(
            "the cohort is empty: no episode of a frozen month meets every predicate",
            next_step="widen period or cohort",
            reason="extract_cohort_empty",
        )
    if n < k:
        raise ExtractRefused(
            f"the cohort has fewer than {k} persons: too few to hide among",
            next_step="widen period or cohort",
            reason="extract_cohort_small",
        )


def _nothing_hidden(
    request: Request, values: Mapping[str, list[str]], n: int
) -> _Hidden:
    """A limited data set leaves as it is, under its agreement (164.514(e))."""
    shown = {name: list(values[name]) for name in request.lattice_columns}
    return _Hidden(np.ones(n, dtype=bool), shown, {}, {})


def _hide(
    con: duckdb.DuckDBPyConnection,
    request: Request,
    values: Mapping[str, list[str]],
    n: int,
) -> tuple[Node, _Hidden, tuple[str, ...]]:
    """Recode, generalise, mask, drop and trim until nothing changes any more (C5.2-6)."""
    k, tables = request.k, request.tables
    suppressed = frames.recode_rare(con, tables, k)
    sensitive = _sensitive(con, request, n)
    exempt = tuple(name for name, codes in sensitive.items() if is_exempt(codes))
    counted = [codes for name, codes in sensitive.items() if name not in exempt]
    columns = request.lattice_columns
    own = {name: values[name] for name in columns}
    if not own:
        own = {"state": ["missing"] * n}
    names = tuple(own)
    found = anonymised(names, own, counted, k, request.weights)
    if found is None:
        raise ExtractRefused(
            f"no generalisation hides everyone among {k}: the cohort is too small or "
            "too uniform",
            next_step="ask for fewer quasi_identifiers, a longer period or a wider cohort",
            reason="extract_not_anonymous",
        )
    levels = tuple(level for level in found.node.levels) if columns else ()
    hidden = _Hidden(np.ones(n, dtype=bool), dict(found.values), suppressed, {})
    if not columns:
        hidden.shown = {}
    _leave(con, hidden, found.is_dropped)
    for _ in range(_MAX_ROUNDS):
        changed = _count(hidden.trimmed, frames.trim_rows(con, tables, k))
        changed += _count(suppressed, frames.recode_rare(con, tables, k))
        sensitive = _sensitive(con, request, n)
        counted = [codes for name, codes in sensitive.items() if name not in exempt]
        again, dropped = remask(hidden.shown, hidden.is_kept, counted, k)
        changed += sum(again[name] != hidden.shown[name] for name in again)
        hidden.shown = again
        changed += int(dropped.any())
        _leave(con, hidden, dropped)
        if not changed:
            break
    node = Node(levels, found.node.loss if columns else 0)
    for name, level in zip(columns, levels, strict=True):
        if level < TOP[name]:
            shown = np.array(hidden.shown[name])[hidden.is_kept]
            suppressed[f"clients.{name}"] = int((shown == "masked").sum())
    return node, hidden, exempt


def _count(into: dict[str, int], new: Mapping[str, int]) -> int:
    for name, n in new.items():
        into[name] = into.get(name, 0) + n
    return len(new)


def _leave(con: duckdb.DuckDBPyConnection, hidden: _Hidden, is_dropped: Flags) -> None:
    if is_dropped.any():
        hidden.is_kept &= ~is_dropped
        frames.drop_persons(con, [int(p) for p in np.flatnonzero(is_dropped)])


def _sensitive(
    con: duckdb.DuckDBPyConnection, request: Request, n: int
) -> dict[str, Any]:
    """Return codes of the released sensitive attributes, persons by ``p`` (all n)."""
    sql = {
        "pattern": "select p, pattern from base.episodes where episode_no = 1",
        "dropout": "select p, dropout::varchar from base.episodes where episode_no = 1",
        "clinical_class": (
            "select episodes.p, arg_min_null(outcomes.clinical_class, outcomes.instrument)"
            " from base.episodes as episodes inner join base.outcomes as outcomes"
            " on episodes.e = outcomes.e where episodes.episode_no = 1 group by episodes.p"
        ),
    }
    found = {}
    for name, statement in sql.items():
        table = "outcomes" if name == "clinical_class" else "episodes"
        if table not in request.tables or "episodes" not in request.tables:
            continue
        if name not in request.released_columns(table):
            continue
        values: list[str | None] = [None] * n
        for person, value in con.execute(statement).fetchall():
            values[person] = value
        found[name] = encoded(values)
    return found


def _persons(con: duckdb.DuckDBPyConnection) -> Persons:
    rows = con.execute(
        "select people.uid from people inner join base.clients as clients"
        " on people.p = clients.p order by 1"
    ).fetchall()
    return {WHOLE: frozenset(row[0] for row in rows)}


def _refuse_differences(found: Sequence[Difference], k: int) -> None:
    wrong = [difference.words(k) for difference in found if difference.is_too_small(k)]
    if wrong:
        raise ExtractRefused("\n".join(wrong), reason="extract_differencing")


def _choose_rung(
    con: duckdb.DuckDBPyConnection, request: Request, hidden: _Hidden
) -> tuple[frames.Rung | None, dict[str, tuple[str, ...]]]:
    """Take the first rung at which three remembered points name nobody (C5.7).

    Past the last one only clients and episodes leave, without weeks: the rung is None.
    """
    for rung in frames.RUNGS:
        tables = frames.lay_data(con, request, rung, hidden.shown)
        if request.profile == "limited":
            return rung, tables
        qis = [name for name in hidden.shown if name in tables["clients"]]
        if is_course_safe(con, request.digest(), qis, request.joint_mean_max):
            return rung, tables
    kept = tuple(table for table in request.tables if table in BEYOND_RUNGS)
    for table in request.tables:
        con.execute(f"drop table data.{table}")
    only = request.model_copy(update={"tables": kept})
    tables = frames.lay_data(con, only, frames.RUNGS[-1], hidden.shown)
    qis = [name for name in hidden.shown if name in tables["clients"]]
    joint_mean = measure_trajectory(con, request.digest(), qis).joint_mean
    if request.joint_mean_max is not None and joint_mean > request.joint_mean_max:
        raise ExtractRefused(
            f"joint risk: mean {joint_mean:.3f}, limit {request.joint_mean_max}",
            next_step="ask for fewer quasi_identifiers or a larger cohort",
            reason="extract_joint_risk",
        )
    return None, tables


def _rung_of(rung: frames.Rung | None) -> dict[str, int | None] | None:
    if rung is None:
        return None
    return {"weeks": rung.weeks, "score_bins": rung.score_bins}


def _read_back(
    folder: Path, request: Request, qis: Sequence[str]
) -> tuple[Classes, Trajectory, dict[str, int]]:
    with in_memory() as con:
        tables = package.read_tables(con, folder / "data")
        wrong = [
            f"{table}: CSV and Parquet differ in {n} rows"
            for table in tables
            if (
                n := package.csv_differences(
                    con, table, folder / "data" / f"{table}.csv"
                )
            )
        ]
        if wrong:
            raise ExtractRefused("\n".join(wrong))
        rows = {}
        for table in tables:
            row = con.execute(f"select count(*) from data.{table}").fetchone()
            rows[table] = int(row[0]) if row else 0
        classes = measure_classes(con, qis)
        trajectory = measure_trajectory(con, request.digest(), qis)
    return classes, trajectory, rows


def _gate(request: Request, report: Mapping[str, Any]) -> None:
    """Judge the figures that were read back; a limited data set is only reported."""
    wrong = []
    if report["canaries"]["hits"]:
        wrong.append(
            f"identifiers of the warehouse: {report['canaries']['hits']} found"
        )
    if request.profile != "limited":
        wrong += gate_problems(report)
    joint, limit = report["joint"]["mean"], report["joint_limit"]
    if limit is not None and joint > limit:
        wrong.append(f"joint risk: mean {joint:.3f}, limit {limit}")
    if wrong:
        raise ExtractRefused("\n".join(["the package is not safe:", *wrong]))


def identifiers(con: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Every key and uid of the cohort: none may be in a file."""
    rows = con.execute(
        "select uid from people union select episode_uid from qualifying"
        " union select clinic_uid from qualifying"
        " union select therapist_uid from qualifying"
        " union select client_key from client_subject inner join people using (uid)"
        " union select episode_key from episode_subject as subjects"
        " inner join qualifying on subjects.uid = qualifying.episode_uid"
        " union select clinic_key from clinic_subject"
        " union select therapist_key from therapist_subject"
    ).fetchall()
    return frozenset(row[0] for row in rows if row[0] is not None)


def hits(folder: Path, planted: frozenset[str]) -> int:
    """Count the keys and uids that a written file holds."""
    found = 0
    for path in sorted((folder / "data").glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            # Whole lines, some megabytes at a time: no key is cut in two.
            while lines := file.readlines(_CHARS_AT_ONCE):
                found += sum(said in planted for said in _KEYS.findall("".join(lines)))
    return found


def write_words(
    folder: Path,
    request: Request,
    request_id: str,
    report: dict[str, Any],
    fields: Sequence[package.Field],
    risk_page: str,
) -> None:
    """Write what a package says of itself: codebook, risk report, README, licence."""
    (folder / "codebook.csv").write_text(package.codebook_csv(fields), "utf-8")
    (folder / "codebook.html").write_text(words.codebook_page(request, fields), "utf-8")
    (folder / "risk_report.json").write_text(package.written_json(report), "utf-8")
    (folder / "risk_report.html").write_text(risk_page, "utf-8")
    (folder / "README.md").write_text(
        words.readme(request, request_id, report, fields), "utf-8"
    )
    name, text = words.licence(request)
    (folder / name).write_text(text, "utf-8")
    said = package.descriptor(request.study, request.title, fields, folder)
    (folder / "datapackage.json").write_text(package.written_json(said), "utf-8")
