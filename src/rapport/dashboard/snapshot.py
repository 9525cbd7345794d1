"""What the pages read: one published snapshot, with the notice from the control state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

import duckdb

from rapport.dashboard import queries
from rapport.dashboard.words import Row, isolated, verdict
from rapport.settings import Settings


@dataclass(frozen=True)
class Notice:
    """What waits for a person: from the control state, not from the snapshot.

    Attributes:
        lines: sentences for the front page.
        n_quarantined: deliveries with rows or files in quarantine.
        n_extracts: extracts that wait for an approval.
        refused: the as-of date of a night that the gate has just refused.
    """

    lines: tuple[str, ...] = ()
    n_quarantined: int = 0
    n_extracts: int = 0
    refused: date | None = None


@dataclass(frozen=True)
class Clinic:
    """A clinic as the pages name it; ``place`` counts from 1 in name order, 0 is all."""

    key: str
    name: str
    place: int


@dataclass(frozen=True)
class Series:
    """One chart over time of one clinic: its segments, its months, and what it says."""

    chart_id: str
    clinic_key: str
    segments: tuple[Row, ...]
    points: tuple[Row, ...]
    verdict: str
    corrected_on: date | None

    @property
    def last(self) -> Row:
        """The row of the last segment."""
        return self.segments[-1]

    @property
    def month(self) -> Row | None:
        """The last complete month; the newest when none is complete."""
        return latest(self.points)


def latest(rows: Sequence[Row]) -> Row | None:
    """Return the last row that is complete; the newest when none is; None when none."""
    complete = [row for row in rows if not row["is_partial"]]
    return (complete or rows)[-1] if rows else None


class Snapshot:
    """One open snapshot; every query is in ``queries``."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, settings: Settings, notice: Notice
    ) -> None:
        self._con = con
        self.qi = settings.qi
        self.project_root = settings.project_root
        self.dropout_rule = settings.dropout.rule
        self.notice = notice
        run = self.rows(queries.LAST_RUN)[0]
        self.run_id: str = run["run_id"]
        self.as_of: date = run["as_of"]
        self.started_at: datetime = run["started_at"]

    def rows(self, sql: str, **named: object) -> list[dict[str, Any]]:
        """Return the rows of a query by column name."""
        answer = self._con.execute(sql, named or None)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    @cached_property
    def through(self) -> date | None:
        """The date of the last attended session."""
        day: date | None = self.rows(queries.THROUGH)[0]["through"]
        return day

    @cached_property
    def clinics(self) -> tuple[Clinic, ...]:
        """The clinics in name order, `unknown` last."""
        found = self.rows(queries.CLINICS)
        names = [isolated(row["clinic_name"]) for row in found]
        clinics = []
        for place, (row, name) in enumerate(zip(found, names, strict=True), 1):
            nth = names[:place].count(name)
            twice = f" ({nth})" if names.count(name) > 1 else ""
            clinics.append(Clinic(row["clinic_key"], name + twice, place))
        return tuple(clinics)

    @cached_property
    def whole(self) -> Clinic:
        """All clinics together."""
        return Clinic("all", "Whole service", 0)

    @cached_property
    def cohort_months(self) -> int:
        """Months in a cohort's period: what the snapshot shows, else the setting."""
        found = self.rows(queries.COHORT_MONTHS)[0]["months"]
        return int(found or self.qi.cohort_months)

    @cached_property
    def series(self) -> dict[tuple[str, str], Series]:
        """Every chart over time that a page draws, by chart and clinic."""
        points: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows(queries.CHART_POINTS):
            points.setdefault((row["chart_id"], row["clinic_key"]), []).append(row)
        segments: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows(queries.CHART_SERIES):
            segments.setdefault((row["chart_id"], row["clinic_key"]), []).append(row)
        corrected = self._corrected()
        return {
            key: Series(
                *key,
                tuple(found),
                tuple(points.get(key, ())),
                verdict(
                    found[-1],
                    points.get(key, ()),
                    found[-1]["longest_side"],
                    self.qi.trend_points,
                    self.qi.shift_points,
                ),
                corrected.get(key),
            )
            for key, found in segments.items()
        }

    def _corrected(self) -> dict[tuple[str, str], date]:
        """Return the charts whose frozen baseline moved; an older snapshot can't say."""
        if not self.rows(queries.HAS_BASELINE_CORRECTIONS):
            return {}
        return {
            (row["chart_id"], row["clinic_key"]): row["corrected_on"]
            for row in self.rows(queries.BASELINE_CORRECTIONS)
        }

    def of_service(self, prefix: str) -> list[Series]:
        """Return the whole service's charts whose id begins so, in order of their id."""
        return [
            series
            for (chart, clinic), series in sorted(self.series.items())
            if clinic == "all" and chart.startswith(prefix)
        ]
