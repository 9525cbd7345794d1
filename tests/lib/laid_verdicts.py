"""A service whose charts say each verdict that a chart can say (quality_improvement.md 4.2).

The base swings by 0.2 about 4.1, so its limits are 4.1 ± 0.532 and two thirds of that;
what a chart is to say is written into its last months.
"""

from datetime import date

import duckdb

from lib.laid_snapshots import Laid

AS_OF = date(2026, 7, 10)  # June is over and settled
N_MONTHS = 36
MONTHS = [date(2023 + (6 + m) // 12, (6 + m) % 12 + 1, 1) for m in range(N_MONTHS)]
N_PEOPLE = 40
N_SCORED = 12  # enough people a month to be shown


def _ending(*last: float, n: int = N_MONTHS) -> list[float | None]:
    """Return months of a swing that end on given values; the months before n are empty."""
    swing = [4.0, 4.2] * N_MONTHS
    values = [*swing[: n - len(last)], *last]
    return [None] * (N_MONTHS - n) + values


# (instrument, rater, component) -> the mean of each month.
ALLIANCE: dict[tuple[str, str, str], list[float | None]] = {
    ("WAI-SR", "client", "total"): _ending(),
    ("WAI-SR", "client", "goal"): _ending(4.8),
    ("WAI-SR", "client", "task"): _ending(3.4),
    ("WAI-SR", "client", "bond"): _ending(4.02, 4.05, 4.08, 4.11, 4.15, 4.2),
    ("WAI-SR", "therapist", "total"): _ending(4.2, 4.15, 4.11, 4.08, 4.05, 4.02),
    ("WAI-SR", "therapist", "goal"): _ending(4.5, 4.2, 4.5),
    ("WAI-SR", "therapist", "task"): _ending(3.7, 4.0, 3.7),
    ("WAI-SR", "therapist", "bond"): _ending(*[4.15, 4.18] * 4),
    ("WAI-S", "client", "total"): _ending(*[4.05, 4.02] * 4),
    ("WAI-S", "client", "goal"): _ending(4.8),
    ("SRS", "client", "total"): _ending(n=15),
    ("SRS", "client", "goal"): _ending(5.2, n=18),
    ("SRS", "client", "task"): _ending(n=11),
    ("SRS", "client", "bond"): _ending(n=6),
}
# form -> how many of the month's forty sessions have it.
COMPLETION = {
    "alliance_client": [30 + m % 2 * 2 for m in range(N_MONTHS - 1)] + [12],
    "alliance_therapist": [20 + m % 2 * 2 for m in range(N_MONTHS - 1)] + [39],
    "outcome_client": [25 + m % 2 * 2 for m in range(N_MONTHS)],
}
# instrument -> (paired episodes of a month, those reliably worse)
WORSE = {
    "PCL-5": (40, [4 + m % 2 * 2 for m in range(N_MONTHS)]),
    "PHQ-9": (12, [1 if m < N_MONTHS // 2 else 2 for m in range(N_MONTHS)]),
    "GAD-7": (12, [1 + m // 6 % 2 for m in range(N_MONTHS)]),
    "CORE-10": (12, [1 + m % 2 for m in range(N_MONTHS)]),
}


def laid_verdicts() -> Laid:
    """Return the service, its night and one recorded process change."""
    return Laid(
        AS_OF,
        _fill,
        '[[qi.process_change]]\nchart = "alliance.WAI-S.client.goal"\n'
        'from = "2026-04-01"\nnote = "forms on tablets"\n',
    )


def _fill(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("insert into core.dim_clinic values ('cn_only', 'The Only Clinic', 'NY',"
                " 'America/New_York')")  # fmt: skip
    con.execute("insert into core.dim_client by name select 'cl_' || i as client_key,"
                f" 1980 as birth_year, 'female' as sex from range({N_PEOPLE}) as t(i)")  # fmt: skip
    sessions, scores, alliance, outcomes = [], [], [], []
    for m, month in enumerate(MONTHS):
        day = month.replace(day=12)
        for i in range(N_PEOPLE):
            place = f"{m}_{i}"
            sessions.append((place, i, day))
            scores += [
                (f"{form}_{place}", place, i, day, *_FORM[form])
                for form, n in COMPLETION.items()
                if i < n[m]
            ]
            for instrument, (n_paired, n_worse) in WORSE.items():
                if i < n_paired:
                    kind = "deteriorated" if i < n_worse[m] else "improved"
                    outcomes.append((place, instrument, kind))
        for instrument in ("WAI-SR", "WAI-S", "SRS"):
            said = [
                ALLIANCE.get((instrument, rater, component), [None] * N_MONTHS)[m]
                for rater in ("client", "therapist")
                for component in ("total", "goal", "task", "bond")
            ]
            if any(value is not None for value in said):
                alliance += [
                    (f"{m}_{i}", day, instrument, *said) for i in range(N_SCORED)
                ]
    _insert(con, sessions, """
        insert into core.fct_session by name
        select 'se_' || c0 as session_key, 'cl_' || c1 as client_key, 'cn_only' as clinic_key,
            'ep_' || c0 as episode_key, 3 as session_number, c2::date as session_date,
            'attended' as status, 'individual' as modality from given""")  # fmt: skip
    con.execute(
        """
        insert into core.fct_episode by name
        select episode_key, client_key, clinic_key, session_date - 14 as opened_on,
            session_date + 3 as closed_on,
            case when hash(episode_key) % 4 = 0 then 'dropped_out' else 'completed' end
                as closure_reason,
            'closed' as episode_status, 5 as n_attended, 0 as n_missed,
            closure_reason = 'dropped_out' as dropout, 'coded' as dropout_rule
        from core.fct_session
        """
    )
    _insert(con, scores, """
        insert into core.fct_measure_score by name
        select 'ad_' || c0 as administration_key, 'se_' || c1 as session_key, 'cl_' || c2 as
            client_key, c3::date as administered_on, c4 as instrument, c5 as rater,
            'total' as subscale, 30e0 as score, true as is_valid from given""")  # fmt: skip
    _insert(con, alliance, """
        insert into alliance.fct_alliance_session by name
        select 'ep_' || c0 as episode_key, 'se_' || c0 as session_key, 3 as session_number,
            c1::date as session_date, c2 as instrument, c3::double as client_total,
            c4::double as client_goal, c5::double as client_task, c6::double as client_bond,
            c7::double as therapist_total, c8::double as therapist_goal,
            c9::double as therapist_task, c10::double as therapist_bond,
            case when c3 is not null then 'strong' end as band from given""")  # fmt: skip
    _insert(con, outcomes, """
        insert into outcomes.fct_episode_outcome by name
        select 'ep_' || c0 as episode_key, c1 as instrument, c2 as reliable_change,
            case c2 when 'improved' then 'recovered' else c2 end as clinical_class,
            5 as n_scores, 'strong' as early_alliance_band from given""")  # fmt: skip


_FORM = {
    "alliance_client": ("WAI-SR", "client"),
    "alliance_therapist": ("WAI-SR", "therapist"),
    "outcome_client": ("PCL-5", "client"),
}


def _insert(con: duckdb.DuckDBPyConnection, rows: list[tuple], query: str) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    lists = ", ".join(f"unnest(?) as c{n}" for n in range(len(columns)))
    con.execute(f"create or replace table work.given as select {lists}", columns)
    con.execute(query)
