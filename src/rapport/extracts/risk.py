"""What an attacker can do with the tables of a package, measured on the tables alone.

Runs on any connection whose schema ``data`` holds the package's tables as published: when
a rung is tried, when the written files are read back, and in ``extract verify``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from rapport.extracts.columns import MASKED, SCORES, SENSITIVE
from rapport.extracts.generalise import (
    classes_of,
    distinct_in_class,
    encoded,
    is_exempt,
)

KNOWN_POINTS = 3
MAX_TRIPLES = 50
MAX_MEAN_RISK = 0.05
# Sets are held against each other in pieces of a megabyte, which a cache can hold.
_WORDS_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class Classes:
    """How persons hide among each other by their quasi-identifiers.

    Attributes:
        n_persons: rows of ``clients``.
        n_masked: persons with a mask.
        k_min: persons in the smallest class; 0 without persons.
        sizes: persons of each class, smallest first.
        l_min: distinct values in the least diverse class, an attribute.
        exempt: attributes with one value or none in the whole package.
    """

    n_persons: int
    n_masked: int
    k_min: int
    sizes: tuple[int, ...]
    l_min: dict[str, int]
    exempt: tuple[str, ...]

    def reidentification(self) -> dict[str, float]:
        """Return the three usual risks: of one target, on average, at the worst.

        Source: El Emam & Dankar 2008: prosecutor (the worst and the mean of one over the
        class), journalist (the same here, as the whole package is what is searched) and
        marketer (the share of persons that one could expect to name).
        """
        if not self.sizes:
            return {"prosecutor": 0.0, "journalist": 0.0, "marketer": 0.0}
        share = len(self.sizes) / self.n_persons
        return {
            "prosecutor": round(1 / self.k_min, 6),
            "journalist": round(1 / self.k_min, 6),
            "marketer": round(share, 6),
        }


@dataclass(frozen=True)
class Trajectory:
    """The risk from three remembered points of a person's course (C5.7)."""

    p: int
    mean: float
    max: float
    share_over_0_2: float
    joint_mean: float
    joint_max: float
    risks: tuple[float, ...]


def tables_in(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """List the package's tables with their columns."""
    rows = con.execute(
        "select table_name, column_name from information_schema.columns"
        " where table_schema = 'data' order by table_name, ordinal_position"
    ).fetchall()
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


def class_codes(
    con: duckdb.DuckDBPyConnection, quasi_identifiers: Sequence[str]
) -> NDArray[np.int64]:
    """Return each person's class, persons by ``client_id``."""
    n = _number(con, "select count(*) from data.clients")
    codes = [
        encoded(_listed(con, f"select {name} from data.clients order by client_id"))
        for name in quasi_identifiers
    ]
    # NULL is no value of a quasi-identifier; where one occurs it is a value like any.
    return classes_of([c + 1 for c in codes], n)


def sensitive_values(
    con: duckdb.DuckDBPyConnection,
) -> dict[str, list[str | None]]:
    """Return the released sensitive attributes of each person's index episode."""
    tables = tables_in(con)
    found: dict[str, list[str | None]] = {}
    for name in SENSITIVE:
        table = "outcomes" if name == "clinical_class" else "episodes"
        if name not in tables.get(table, []) or "episodes" not in tables:
            continue
        first = (
            "(select episode_id, arg_min(clinical_class, instrument) as clinical_class"
            " from data.outcomes group by episode_id)"
            if name == "clinical_class"
            else "data.episodes"
        )
        found[name] = _listed(
            con,
            f"select cast(attribute.{name} as varchar) from data.clients as clients"
            " left join (select distinct on (client_id) client_id, episode_id"
            "   from data.episodes where episode_no = 1 order by client_id, episode_id)"
            "   as first on clients.client_id = first.client_id"
            f" left join {first} as attribute on first.episode_id = attribute.episode_id"
            " order by clients.client_id",
        )
    return found


def measure_classes(
    con: duckdb.DuckDBPyConnection, quasi_identifiers: Sequence[str]
) -> Classes:
    """Count persons a class, and distinct secrets a class."""
    classes = class_codes(con, quasi_identifiers)
    sizes = np.sort(np.bincount(classes)) if len(classes) else np.array([], dtype=int)
    l_min, exempt = {}, []
    for name, values in sensitive_values(con).items():
        codes = encoded(values)
        if is_exempt(codes):
            exempt.append(name)
        else:
            l_min[name] = int(distinct_in_class(classes, codes).min())
    masked = " or ".join(f"{name} = '{MASKED}'" for name in quasi_identifiers)
    n_masked = _number(
        con, f"select count(*) from data.clients where {masked or 'false'}"
    )
    return Classes(
        n_persons=len(classes),
        n_masked=n_masked,
        k_min=int(sizes[0]) if len(sizes) else 0,
        sizes=tuple(int(s) for s in sizes),
        l_min=l_min,
        exempt=tuple(exempt),
    )


def measure_trajectory(
    con: duckdb.DuckDBPyConnection,
    request_digest: str,
    quasi_identifiers: Sequence[str],
) -> Trajectory:
    """Return the mean risk of being singled out by three points of one's course.

    Source: El Emam et al. 2012 (p known events, .05); de Montjoye et al. 2013.
    """
    ids = _listed(con, "select client_id from data.clients order by client_id")
    n = len(ids)
    if n == 0:
        return Trajectory(KNOWN_POINTS, 0.0, 0.0, 0.0, 0.0, 0.0, ())
    starts, points, bits, n_holders = _points(con, n)
    owner, triples = _triples(request_digest, ids, starts, points)
    classes = class_codes(con, quasi_identifiers)
    members = _bits_of(classes, np.arange(n), int(classes.max()) + 1, n)
    # Who has no point at all hides among all, and among the own class.
    counts = np.full(len(owner), n, dtype=np.int64)
    joint = np.bincount(classes)[classes[owner]].astype(np.int64)
    if triples is not None:
        has = triples[:, 0] >= 0
        alone = has & (n_holders[np.maximum(triples, 0)].min(axis=1) == 1)
        counts[alone] = joint[alone] = 1
        shared = np.flatnonzero(has & ~alone)
        batch = max(16, _WORDS_AT_ONCE // bits.shape[1])
        for start in range(0, len(shared), batch):
            at = shared[start : start + batch]
            held = bits[triples[at, 0]] & bits[triples[at, 1]] & bits[triples[at, 2]]
            counts[at] = np.bitwise_count(held).sum(axis=1)
            held &= members[classes[owner[at]]]
            joint[at] = np.bitwise_count(held).sum(axis=1)
    n_each = np.bincount(owner, minlength=n)
    risks = np.bincount(owner, weights=1 / counts, minlength=n) / n_each
    joints = np.bincount(owner, weights=1 / joint, minlength=n) / n_each
    return Trajectory(
        p=KNOWN_POINTS,
        mean=round(float(risks.mean()), 6),
        max=round(float(risks.max()), 6),
        share_over_0_2=round(float((risks > 0.2).mean()), 6),
        joint_mean=round(float(joints.mean()), 6),
        joint_max=round(float(joints.max()), 6),
        risks=tuple(float(r) for r in risks),
    )


def _points(
    con: duckdb.DuckDBPyConnection, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Return where each person's points start, the points, who holds each, how many do."""
    selects = _point_selects(tables_in(con))
    if not selects:
        empty = np.array([], dtype=np.int64)
        nobody = np.zeros((1, 1), dtype=np.uint64)
        return np.zeros(n + 1, dtype=np.int64), empty, nobody, np.zeros(1, np.int64)
    con.execute(
        "create or replace temp table person as select client_id,"
        " row_number() over (order by client_id) - 1 as person from data.clients"
    )
    con.execute(
        "create or replace temp table course as select distinct person.person, said.point"
        f" from ({' union all '.join(selects)}) as said"
        " inner join person using (client_id) where said.point is not null"
    )
    con.execute(
        "create or replace temp table point as select point,"
        " row_number() over (order by point) - 1 as number"
        " from (select distinct point from course)"
    )
    found = con.execute(
        "select course.person, point.number from course"
        " inner join point using (point) order by 1, 2"
    ).fetchnumpy()
    for name in ("course", "point", "person"):
        con.execute(f"drop table {name}")
    person = np.asarray(found["person"], dtype=np.int64)
    points = np.asarray(found["number"], dtype=np.int64)
    n_points = int(points.max(initial=-1)) + 1
    n_holders = np.bincount(points, minlength=max(n_points, 1)).astype(np.int64)
    # A point that one person alone holds needs no set: its row stays empty.
    shared = n_holders[points] > 1
    bits = _bits_of(points[shared], person[shared], max(n_points, 1), n)
    starts = np.searchsorted(person, np.arange(n + 1)).astype(np.int64)
    return starts, points, bits, n_holders


def _point_selects(tables: Mapping[str, Sequence[str]]) -> list[str]:
    """SQL of every (table, instrument, place, column, value) an acquaintance may know."""

    def place(table: str, week: str, session: str) -> str | None:
        columns = tables.get(table, [])
        name = week if week in columns else session if session in columns else None
        return f"coalesce(cast({name} as varchar), '')" if name else None

    selects = []
    at = place("sessions", "week_index", "session_number")
    if at and "status" in tables["sessions"]:
        selects.append(
            f"select client_id, concat_ws('|', 's', {at}, status) as point"
            " from data.sessions where status is not null"
        )
    at = place("alliance", "week_index", "session_number")
    if at:
        for score in SCORES:
            if score in tables["alliance"]:
                selects.append(
                    f"select client_id, concat_ws('|', 'a', instrument, {at}, '{score}',"
                    f" cast({score} as varchar)) as point from data.alliance"
                    f" where {score} is not null"
                )
    at = place("ruptures", "onset_week", "onset_session_number")
    if at:
        selects.append(
            f"select client_id, concat_ws('|', 'r', method, {at}) as point"
            " from data.ruptures"
        )
        if "strength" in tables["ruptures"]:
            selects.append(
                f"select client_id, concat_ws('|', 'r', method, {at}, strength) as point"
                " from data.ruptures where strength is not null"
            )
    return selects


def _bits_of(
    rows: NDArray[np.int64], persons: NDArray[np.int64], n_rows: int, n: int
) -> NDArray[np.uint64]:
    """Return one set of persons a row, a bit a person."""
    bits = np.zeros((n_rows, (n + 63) // 64), dtype=np.uint64)
    np.bitwise_or.at(
        bits,
        (rows, persons // 64),
        np.left_shift(np.uint64(1), (persons % 64).astype(np.uint64)),
    )
    return bits


def _triples(
    digest: str,
    ids: Sequence[str],
    starts: NDArray[np.int64],
    points: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Draw each person's triples of points; fewer points are repeated, none is -1.

    Returns:
        whose each triple is, and the triple (n x 3); None where nobody has a point.
    """
    n_each = np.diff(starts)
    if len(points) == 0:
        return np.arange(len(ids), dtype=np.int64), None
    owners, firsts = [], []
    for person, n_points in enumerate(n_each.tolist()):
        if n_points <= KNOWN_POINTS:
            ranks = np.zeros(1, dtype=np.int64)
        else:
            total = comb(n_points, KNOWN_POINTS)
            if total <= MAX_TRIPLES:
                ranks = np.arange(total)
            else:
                seed = hashlib.sha256((digest + ids[person]).encode()).hexdigest()
                draw = np.random.Generator(np.random.PCG64(int(seed[:16], 16)))
                ranks = draw.choice(total, MAX_TRIPLES, replace=False)
        owners.append(np.full(len(ranks), person, dtype=np.int64))
        firsts.append(ranks.astype(np.int64))
    owner, rank = np.concatenate(owners), np.concatenate(firsts)
    # The rank of a < b < c among all triples is C(a,1) + C(b,2) + C(c,3).
    most = int(n_each.max()) + 1
    twos = np.array([comb(i, 2) for i in range(most)], dtype=np.int64)
    threes = np.array([comb(i, 3) for i in range(most)], dtype=np.int64)
    third = np.searchsorted(threes, rank, side="right") - 1
    rest = rank - threes[third]
    second = np.searchsorted(twos, rest, side="right") - 1
    first = rest - twos[second]
    of = np.stack([first, second, third], axis=1)
    few = n_each[owner]
    for column, place in enumerate((0, 1, 2)):
        of[:, column] = np.where(
            few < KNOWN_POINTS, np.minimum(place, np.maximum(few - 1, 0)), of[:, column]
        )
    at = np.minimum(starts[owner][:, None] + of, len(points) - 1)
    return owner, np.where(few[:, None] == 0, -1, points[at])


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def _listed(con: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    return [row[0] for row in con.execute(sql).fetchall()]
