"""A made-up service for the pages: thirty months, three clinics, numbers chosen by hand.

One clinic's name holds markup, one is written from right to left.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from lib.page_snapshots import AS_OF, RUN_ID, hidden, month

Row = dict[str, Any]

MONTHS = range(30)
LAST = 28  # the last complete month: May 2026
MARKUP = '<b onclick="x()">North & South</b>'
ARABIC = "عيادة السلام"
CLINICS = [
    {"clinic_key": "cn_north", "clinic_name": MARKUP, "state": "NY", "timezone": "UTC"},
    {"clinic_key": "cn_salam", "clinic_name": ARABIC, "state": "NY", "timezone": "UTC"},
    {"clinic_key": "cn_small", "clinic_name": "Small Practice", "state": "NY",
     "timezone": "UTC"},
]  # fmt: skip
EVERY_CLINIC = ("all", "cn_north", "cn_salam", "cn_small")
PERIODS = [date(2025, 10, 1), date(2026, 1, 1), date(2026, 4, 1)]
METHODS = ("default_rc3", "gumz_decline")


def points(
    chart_id: str,
    clinic: str,
    values: list[tuple[float | None, int | None, int | None]],
    kind: str,
    direction: str = "up",
    limits: str = "fixed",
    instrument: str | None = None,
    **last: Any,
) -> tuple[Row, list[Row]]:
    """Return the rows of a chart: limits around 0.5 of its middle, all common cause.

    ``last`` overrides what the last complete month says, ``rule`` and ``side`` say.
    """
    there = [v for v, _, _ in values if v is not None]
    middle = sum(there) / len(there) if there else None
    drawn = limits != "none" and middle is not None
    at = {"cl": middle, "lcl": middle * 0.5, "ucl": middle * 1.5,
          "lo2": middle * 0.6, "hi2": middle * 1.4} if drawn and middle else {}  # fmt: skip
    rows: list[Row] = []
    for n, (value, x, of) in enumerate(values):
        is_used = value is not None and n <= LAST
        row = {
            "chart_id": chart_id, "clinic_key": clinic, "month": month(n), "value": value,
            "numerator": x, "denominator": of, "segment": 0, "limits": "none",
            "used": is_used if value is not None else None,
        }  # fmt: skip
        if is_used and drawn:
            row |= {**at, "limits": limits, "rule": "none", "icon": "common_cause"}
        if n == LAST:
            row |= last
        rows.append(row)
    n_points = sum(row["used"] is True for row in rows)
    said = {"common_cause": "common_cause", None: "run_common_cause"}
    icon = rows[LAST].get("icon")
    series = {
        "chart_id": chart_id, "clinic_key": clinic, "segment": 0,
        "indicator": chart_id.split(".")[0], "instrument": instrument, "kind": kind,
        "direction": direction, "start_month": month(0), "n_points": n_points,
        "limits": limits if drawn else "none",
        "reason": None if drawn else "too_few_points",
        "baseline_points": 24 if drawn else 0, "cl": at.get("cl"),
        "run_median": middle, "run_n_useful": n_points, "run_longest": 4,
        "run_longest_max": 8, "run_crossings": 11, "run_crossings_min": 10,
        "run_signal": False if n_points >= 12 else None,
        "variation": said.get(icon, icon) if n_points >= 12 else (
            "too_little_data" if n_points else "no_data"),
    }  # fmt: skip
    return series, rows


class Service:
    """The rows of the service by table; ``hide`` leaves only keys."""

    def __init__(self, is_hidden: bool = False) -> None:
        self.is_hidden = is_hidden
        self.rows: dict[str, list[Row]] = {"core.dim_clinic": CLINICS}
        self._completion()
        self._alliance()
        self._ruptures()
        self._outcomes()
        self._endings()
        self._cohorts()
        self._windows()
        self._operations()

    def add(self, table: str, keys: tuple[str, ...], row: Row) -> Row:
        """Add a row, without its numbers when the service is hidden."""
        kept = hidden(row, keys) if self.is_hidden else row
        self.rows.setdefault(table, []).append(kept)
        return row

    def chart(self, *arguments: Any, **named: Any) -> None:
        """Add a chart, without a value when the service is hidden."""
        if self.is_hidden:
            chart_id, clinic, values, *rest = arguments
            arguments = (chart_id, clinic, [(None, None, None)] * len(values), *rest)
            named = {k: v for k, v in named.items() if k == "instrument"}
        series, rows = points(*arguments, **named)
        self.rows.setdefault("qi.spc_series", []).append(series)
        self.rows.setdefault("qi.spc_point", []).extend(rows)

    def get(self, table: str, **where: Any) -> Row:
        """Return the one row with these values."""
        (row,) = (
            r for r in self.rows[table] if all(r.get(k) == v for k, v in where.items())
        )
        return row

    def _completion(self) -> None:
        keys = ("month", "clinic_key", "form")
        for form in ("alliance_client", "alliance_therapist", "outcome_client"):
            for place, clinic in enumerate(EVERY_CLINIC):
                values: list[tuple[float | None, int | None, int | None]] = []
                for n in MONTHS:
                    of = 200 - 40 * place + n
                    x = of - 30 - (n % 5)
                    row = {
                        "month": month(n), "clinic_key": clinic, "form": form,
                        "is_partial": n > LAST, "n_clients": of // 3, "n_sessions": of,
                        "n_complete": x, "n_invalid": 1, "n_none": of - x - 1,
                        "completion": x / of,
                    }  # fmt: skip
                    if clinic == "cn_small":
                        self.rows.setdefault("qi.completion_monthly", []).append(
                            hidden(row, keys)
                        )
                        values.append((None, None, None))
                    else:
                        self.add("qi.completion_monthly", keys, row)
                        values.append((x / of, x, of))
                outside = {"rule": "outside", "side": "down", "icon": "concern_low"}
                is_low = clinic == "all" and form == "alliance_therapist"
                self.chart(
                    f"completion.{form}", clinic, values, "p_prime",
                    **(outside if is_low else {}),
                )  # fmt: skip

    def _alliance(self) -> None:
        keys = ("month", "clinic_key", "instrument", "rater", "component")
        for rater in ("client", "therapist"):
            for place, component in enumerate(("total", "goal", "task", "bond")):
                values: list[tuple[float | None, int | None, int | None]] = []
                for n in MONTHS:
                    mean = 3.75 + 0.05 * place + 0.01 * (n % 7)
                    self.add("qi.alliance_monthly", keys, {
                        "month": month(n), "clinic_key": "all", "instrument": "WAI-SR",
                        "rater": rater, "component": component, "is_partial": n > LAST,
                        "n_clients": 40, "n_sessions": 90 + n, "n_episodes": 41,
                        "mean_score": mean, "median_score": 3.8, "sd_score": 0.55,
                        "n_weak": 5, "n_moderate": 60, "n_strong": 25 + n,
                        "n_in_open_rupture": 7,
                    })  # fmt: skip
                    values.append((mean, None, None))
                is_client = rater == "client"
                self.chart(
                    f"alliance.WAI-SR.{rater}.{component}", "all", values, "xmr",
                    "up" if is_client else "neutral", "trial" if place else "fixed",
                    instrument="WAI-SR",
                )  # fmt: skip

    def _ruptures(self) -> None:
        keys = ("month", "clinic_key", "method", "instrument", "lead_component")
        for method in METHODS:
            self.rows.setdefault("alliance.dim_rupture_method", []).append({
                "method": method, "is_retrospective": method == "gumz_decline",
                "rule": "A drop.", "source": "after Gumz et al. 2012",
            })  # fmt: skip
            rate: list[tuple[float | None, int | None, int | None]] = []
            share: list[tuple[float | None, int | None, int | None]] = []
            for n in MONTHS:
                n_ruptures, of = 14 + n % 4, 210 + n
                settled = n_ruptures - 1
                for lead in ("all", "goal", "task", "bond", "none"):
                    self.add("qi.rupture_repair_monthly", keys, {
                        "month": month(n), "clinic_key": "all", "method": method,
                        "instrument": "WAI-SR", "lead_component": lead,
                        "is_partial": n > LAST, "n_clients": 70, "n_scored_sessions": of,
                        "n_ruptures": n_ruptures, "n_likely": 6,
                        "ruptures_per_100": 100 * n_ruptures / of, "n_settled": settled,
                        "n_pending": 1, "n_resolved": settled - 5, "n_late_repair": 2,
                        "n_unresolved": 2, "n_unresolved_at_close": 1,
                        "repaired_share": (settled - 3) / settled,
                        "median_sessions_to_repair": 2.5,
                    })  # fmt: skip
                rate.append((n_ruptures / of, n_ruptures, of))
                share.append(((settled - 3) / settled, settled - 3, settled))
            name = f"{method}.WAI-SR"
            self.chart(f"rupture_rate.{name}", "all", rate, "u_prime", "neutral",
                       instrument="WAI-SR", rule="shift", side="up",
                       icon="neutral_high")  # fmt: skip
            self.chart(f"repaired.{name}", "all", share, "p_prime",
                       instrument="WAI-SR", rule="trend", side="up",
                       icon="improvement_high")  # fmt: skip
        self.add("qi.method_comparison", ("method_a", "method_b"), {
            "method_a": "default_rc3", "method_b": "gumz_decline", "n_clients": 80,
            "n_episodes": 90, "n_both": 20, "n_a_only": 10, "n_b_only": 15,
            "n_neither": 45, "agreement": 65 / 90, "kappa": 0.4135,
        })  # fmt: skip
        for n in range(12 if not self.is_hidden else 2):
            status = ("resolved", "late_repair", "pending", "unresolved")[n % 4]
            self.rows.setdefault("core.fct_episode", []).append({
                "episode_key": f"ep_{n}", "client_key": f"cl_{n}",
                "dropout_rule": "coded",
            })  # fmt: skip
            for k in range(2):
                self.rows.setdefault("alliance.fct_rupture", []).append({
                    "rupture_key": f"ru_{n}_{k}", "episode_key": f"ep_{n}",
                    "method": "default_rc3", "instrument": "WAI-SR", "rater": "client",
                    "status": status, "onset_date": date(2025, 9, 1 + n),
                })  # fmt: skip

    def _outcomes(self) -> None:
        keys = ("month", "clinic_key", "instrument")
        shares: dict[str, list[tuple[float | None, int | None, int | None]]] = {
            name: [] for name in ("improved", "deteriorated", "recovered", "paired")
        }
        for n in MONTHS:
            closed, paired, better, worse = 40 + n % 3, 30 + n % 3, 17, 2
            self.add("qi.outcome_monthly", keys, {
                "month": month(n), "clinic_key": "all", "instrument": "PCL-5",
                "is_partial": n > LAST, "n_clients": closed, "n_closed": closed,
                "n_paired": paired, "paired_share": paired / closed, "n_improved": better,
                "n_deteriorated": worse, "n_no_change": paired - better - worse,
                "improved_share": better / paired, "deteriorated_share": worse / paired,
                "mean_change": -12.25, "sd_change": 9.5, "n_at_risk": paired - 4,
                "n_recovered": 11, "recovered_share": 11 / (paired - 4),
            })  # fmt: skip
            shares["improved"].append((better / paired, better, paired))
            shares["deteriorated"].append((worse / paired, worse, paired))
            shares["recovered"].append((11 / (paired - 4), 11, paired - 4))
            shares["paired"].append((paired / closed, paired, closed))
        for name, values in shares.items():
            near = {"rule": "two_of_three", "side": "down", "icon": "improvement_low"}
            is_worse = name == "deteriorated"
            self.chart(f"{name}.PCL-5", "all", values, "p_prime",
                       "down" if is_worse else "up", instrument="PCL-5",
                       **(near if is_worse else {}))  # fmt: skip

    def _endings(self) -> None:
        keys = ("month", "clinic_key", "pattern")
        values: list[tuple[float | None, int | None, int | None]] = []
        for n in MONTHS:
            for place, pattern in enumerate(
                (
                    "all",
                    "no_rupture",
                    "repaired",
                    "pending",
                    "unrepaired",
                    "insufficient",
                )
            ):
                closed, known = 40 - place, 36 - place
                drops = 9 + n % 4
                self.add("qi.endings", keys, {
                    "month": month(n), "clinic_key": "all", "pattern": pattern,
                    "is_partial": n > LAST, "n_clients": closed, "n_closed": closed,
                    "n_completed": 20, "n_dropped_out": drops, "n_referred": 2,
                    "n_transferred": 1, "n_declined": 0, "n_deceased": 0, "n_other": 3,
                    "n_unknown": closed - 26 - drops, "n_dropout_known": known,
                    "n_dropout": drops, "dropout_share": drops / known,
                    "median_attended": 12.5,
                })  # fmt: skip
                if pattern == "all":
                    values.append((drops / known, drops, known))
        # Too few months for limits, so this chart is a run chart.
        recent = [(None, None, None)] * 16 + values[16:]
        self.chart("dropout", "all", recent, "p_prime", "down", "none")

    def _cohorts(self) -> None:
        for start in PERIODS:
            is_partial = start == PERIODS[-1]
            for place, band in enumerate(("all", "weak", "moderate", "strong", "none")):
                n = (60, 15, 25, 18, 2)[place]
                row: Row = {
                    "period_start": start, "clinic_key": "all", "band": band,
                    "is_partial": is_partial, "n_clients": n, "n_episodes": n,
                    "n_ended": n - 1, "n_dropout": n // 4, "dropout_share": (n // 4) / (n - 1),
                    "n_outcome": n - 1, "n_improved": n // 2,
                    "improved_share": (n // 2) / (n - 1),
                }  # fmt: skip
                if band == "all":
                    row |= {"n_banded": 58, "n_weak": 15, "weak_share": 15 / 58}
                self.add(
                    "qi.early_alliance", ("period_start", "clinic_key", "band"), row
                )
            for place, part in enumerate(("all", "goal", "task", "bond", "none")):
                n = (44, 12, 16, 13, 3)[place]
                self.add(
                    "qi.stall_by_component",
                    ("period_start", "clinic_key", "instrument", "component"),
                    {
                        "period_start": start, "clinic_key": "all", "instrument": "PCL-5",
                        "component": part, "is_partial": is_partial, "n_clients": n,
                        "n_spells": n, "n_reviewed": n - 2, "n_open": 1, "n_settled": n - 1,
                        "n_resumed": n // 2, "resumed_share": (n // 2) / (n - 1),
                        "median_sessions_to_resume": 3.5, "n_reviewed_settled": n // 2,
                        "n_reviewed_resumed": n // 3,
                        "reviewed_resumed_share": (n // 3) / (n // 2),
                        "n_unreviewed_settled": n // 2, "n_unreviewed_resumed": n // 5,
                        "unreviewed_resumed_share": (n // 5) / (n // 2),
                    },
                )  # fmt: skip
            for place, work in enumerate(
                ("all", "any", "destigmatize", "compassion", "co_create", "none")
            ):
                n = (40, 24, 14, 12, 13, 16)[place]
                self.add(
                    "qi.strengthening_after_rupture",
                    ("period_start", "clinic_key", "work"),
                    {
                        "period_start": start, "clinic_key": "all", "work": work,
                        "is_partial": is_partial, "n_clients": n, "n_ruptures": n,
                        "n_settled": n, "n_repaired": n // 2 + place,
                        "repaired_share": (n // 2 + place) / n,
                        "median_sessions_to_repair": 2.0,
                    },
                )  # fmt: skip

    def _windows(self) -> None:
        window = {"window_start": date(2025, 6, 1), "window_end": date(2026, 5, 31)}
        for indicator in ("completion_alliance", "repair", "weak_early_alliance",
                          "reliable_improvement", "dropout"):  # fmt: skip
            for place, clinic in enumerate(EVERY_CLINIC[1:]):
                of = 300 - 80 * place
                x = of // (2 + place)
                high = place == 0 and indicator == "repair"
                wide = indicator == "repair"
                row: Row = {
                    "indicator": indicator, "clinic_key": clinic, **window,
                    "n_clients": of // 2, "numerator": x, "denominator": of, "value": x / of,
                    "target": 0.4, "n_clinics": 3, "ll95": 0.3, "ul95": 0.5,
                    "ll998": 0.25, "ul998": 0.55, "phi": 2.345 if wide else None,
                    "tau2": 0.01 if wide else None, "adjusted": wide,
                    "od_ll95": 0.28 if wide else None, "od_ul95": 0.52 if wide else None,
                    "od_ll998": 0.2 if wide else None, "od_ul998": 0.6 if wide else None,
                    "position": "high" if high else "inside",
                }  # fmt: skip
                self.add("qi.clinic_funnel", ("indicator", "clinic_key"), row)
                if self.is_hidden:
                    self.rows["qi.clinic_funnel"][-1] |= {**window, "n_clinics": 0}
            for dimension, groups in {
                "race_group": ("black", "white", "unknown"),
                "sex": ("female", "male"),
                "age_band": ("18-24", "65+"),
                "state": ("NY", "unknown"),
                "trauma_focused": ("false", "true"),
            }.items():
                for place, group in enumerate(groups):
                    of = 120 - 30 * place
                    x = of // (2 + place)
                    self.add("qi.equity", ("dimension", "group_value", "indicator"), {
                        "dimension": dimension, "group_value": group,
                        "indicator": indicator, **window, "n_clients": of // 2,
                        "numerator": x, "denominator": of, "value": x / of,
                        "ci_low": x / of - 0.085, "ci_high": x / of + 0.095,
                        "overall_value": 0.455, "difference": x / of - 0.455,
                    })  # fmt: skip

    def _operations(self) -> None:
        check = {"run_id": RUN_ID, "layer": "marts", "table_name": "core.fct_session",
                 "expected": "each attended session has a duration"}  # fmt: skip
        self.rows |= {
            "core.fct_session": [
                {"session_key": "se_1", "session_number": 1, "session_date": date(2026, 6, 12)},
                {"session_key": "se_2", "session_number": 2, "session_date": date(2026, 7, 1)},
            ],
            "core.fct_measure_score": [
                {"administration_key": f"ad_{n}", "client_key": f"cl_{n}", "rater": "client",
                 "instrument": "PCL-5", "subscale": "total"} for n in range(13)
            ] + [
                {"administration_key": "ad_x", "client_key": "cl_1", "rater": "client",
                 "instrument": "WAI-SR", "subscale": "total"},
            ],
            "core.dim_instrument": [
                {"instrument": "PCL-5", "version": "1", "rater": "client",
                 "subscale": "total", "domain": "outcome", "citation": "Weathers 2013"},
                {"instrument": "WAI-SR", "version": "1", "rater": "client",
                 "subscale": "total", "domain": "alliance", "citation": "Hatcher 2006"},
            ],
            "ops.check_result": [
                {**check, "check_name": "a_passing_check", "severity": "critical",
                 "status": "pass", "passed": True},
                {**check, "check_name": "items_are_answers", "severity": "warning",
                 "status": "fail", "passed": False, "observed": 17.0},
            ],
            "ops.delivery": [
                {"delivery_id": "b_secret", "source": "north", "n_files": 2,
                 "received_at": "2026-06-13 02:00:00", "outcome": "loaded"},
            ],
            "ops.row_ledger": [
                {"delivery_id": "b_secret", "source": "north", "file": "s-1",
                 "table_name": "sessions", "rows_in": 1206, "rows_loaded": 1200,
                 "rows_quarantined": 2, "rows_filtered": 3, "rows_footer": 1,
                 "rows_blank": 0},
            ],
            "ops.change_log": [
                {"run_id": RUN_ID, "table_name": "qi.endings", "change": "changed",
                 "month": month(n), "is_past_month": True, "n_rows": 2} for n in (3, 4, 4)
            ],
            "ops.data_finding": [
                {"finding": "item_empty", "table_name": "measure_items", "n_rows": 4653},
            ],
            "ops.baseline_correction": [
                {"chart_id": "completion.alliance_client", "clinic_key": "all",
                 "segment": 0, "corrected_on": AS_OF},
            ],
            "outcomes.fct_care_signal": [
                {"signal_key": "sg_1", "signal": "rupture", "client_key": "cl_1",
                 "episode_key": "ep_1", "opened_on": date(2026, 6, 1)},
                {"signal_key": "sg_2", "signal": "rupture", "client_key": "cl_2",
                 "episode_key": "ep_2", "opened_on": date(2026, 5, 1),
                 "closed_on": date(2026, 6, 2), "closed_reason": "resolved"},
            ],
        }  # fmt: skip
