"""How well each rupture method finds what was planted, and how they agree.

A planted rupture is *detectable* by a method when a session from its onset on, before its
repair, is scored, with at least two scored ones before it (none for the methods that read
a single form). It is *found* when a rupture of the method begins within one scored session
of that one; by the methods of few forms (PSQ, SRS), anywhere before its repair. A PSQ is
looked for at every attended session, since the snapshot does not say where one was filled
in. A *false alarm* is a rupture in an episode whose planted alliance never moves: it comes
from the error of measurement alone. Two methods *agree* on an episode that both could
assess when both find a rupture there, or neither.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

from rapport.privacy import KeyRing
from rapport.settings import Settings
from rapport.warehouse import open_published, scratch

# What one query asks of the snapshot, by the name it has in the queries below.
_TABLES = {
    "sessions": """
        select session_key, episode_key, session_number as n
        from core.fct_session where session_number is not null
    """,
    "scored": """
        select instrument, episode_key, session_number as n
        from alliance.fct_alliance_session where client_total is not null
        union all
        select 'PSQ', episode_key, session_number
        from core.fct_session where session_number is not null
    """,
    "ruptures": """
        select method, instrument, episode_key, onset_session_number as n
        from alliance.fct_rupture
    """,
    "cohort": """
        select episode_key, method, pattern, n_ruptures, n_scores
        from alliance.rupture_cohort
    """,
}

_METHODS = """
create table methods as
select
    method,
    case method
        when 'psq_direct' then 'PSQ' when 'srs_concern' then 'SRS' else 'WAI-SR'
    end as instrument,
    method in ('psq_direct', 'srs_concern') as is_of_few_forms
from (select distinct method from cohort)
"""

_FINDINGS = """
with planted as (
    select truth.onset_session_id as id, onset.episode_key, onset.n, repair.n as repair_n
    from read_csv(?, all_varchar = true) as truth
    join sessions as onset on onset.session_key = session_key_of(truth.onset_session_id)
    left join sessions as repair
        on repair.session_key = session_key_of(truth.repair_session_id)
),
places as (
    select
        *,
        row_number() over (partition by instrument, episode_key order by n) as k
    from scored
),
-- The scored sessions of each planted rupture: the first, and the last before the repair.
spans as (
    select
        methods.method, methods.is_of_few_forms, planted.id, planted.episode_key,
        min(places.k) as first_k, max(places.k) as last_k
    from methods
    cross join planted
    join places
        on places.episode_key = planted.episode_key
        and places.instrument = methods.instrument
        and places.n >= planted.n
        and (planted.repair_n is null or places.n < planted.repair_n)
    group by all
),
detectable as (select * from spans where is_of_few_forms or first_k >= 3),
shown as (
    select ruptures.method, ruptures.episode_key, places.k
    from ruptures
    join methods
        on methods.method = ruptures.method and methods.instrument = ruptures.instrument
    join places
        on places.instrument = ruptures.instrument
        and places.episode_key = ruptures.episode_key and places.n = ruptures.n
),
matched as (
    select shown.method, detectable.id, shown.episode_key, shown.k
    from detectable
    join shown
        on shown.method = detectable.method
        and shown.episode_key = detectable.episode_key
        and shown.k between detectable.first_k - 1 and case
            when is_of_few_forms then greatest(first_k + 1, last_k) else first_k + 1
        end
),
stable as (
    select cohort.*
    from read_csv(?, all_varchar = true) as truth
    join sessions on sessions.session_key = session_key_of(truth.first_session_id)
    join cohort on cohort.episode_key = sessions.episode_key
    where cohort.pattern <> 'insufficient'
)
select
    methods.method,
    (select count(*) from planted),
    (select count(*) from detectable where method = methods.method),
    (select count(distinct id) from matched where method = methods.method),
    (select count(*) from shown where method = methods.method),
    (select count(distinct (episode_key, k)) from matched where method = methods.method),
    (select count(*) from stable where method = methods.method),
    (select count(*) from stable where method = methods.method and n_ruptures > 0)
from methods
order by method
"""
_FINDING_NAMES = (
    "method", "n_planted", "n_detectable", "n_found", "n_published", "n_true", "n_stable",
    "n_stable_with_rupture",
)  # fmt: skip

_AGREEMENT = """
select
    count(*),
    count(*) filter (where a.n_ruptures > 0 and b.n_ruptures > 0),
    count(*) filter (where a.n_ruptures > 0 and b.n_ruptures = 0),
    count(*) filter (where a.n_ruptures = 0 and b.n_ruptures > 0)
from cohort as a
join cohort as b on a.episode_key = b.episode_key and a.method = ? and b.method = ?
where a.pattern <> 'insufficient' and b.pattern <> 'insufficient'
"""


def score_snapshot(
    settings: Settings, truth: Path, keys: KeyRing, source: str = "canonical"
) -> dict[str, Any]:
    """Hold the published snapshot against a generated clinic's truth.

    Returns:
        ``methods``, one entry each with n_planted, n_detectable, n_found, n_published,
        n_true, n_stable, n_stable_with_rupture, recall, precision, false_alarm_share
        (null where there is nothing to divide by); and ``agreement``, one entry a pair of
        methods with n_episodes, n_both, n_a_only, n_b_only, agreement, kappa.
    """
    with open_published(settings) as con:
        tables = {name: con.execute(sql).df() for name, sql in _TABLES.items()}
    with scratch(settings) as work:
        work.create_function(
            "session_key_of",
            lambda id_: keys.row_key("session", source, id_),
            ["VARCHAR"],
            "VARCHAR",
        )
        for name, frame in tables.items():
            work.register(f"{name}_frame", frame)
            work.execute(f"create table {name} as select * from {name}_frame")
        work.execute(_METHODS)
        paths = [str(truth / "ruptures.csv"), str(truth / "stable.csv")]
        methods = [
            dict(zip(_FINDING_NAMES, row, strict=True))
            for row in work.execute(_FINDINGS, paths).fetchall()
        ]
        names = [method["method"] for method in methods]
        agreement = []
        for a, b in combinations(names, 2):
            row = work.execute(_AGREEMENT, [a, b]).fetchone()
            assert row is not None
            agreement.append({"method_a": a, "method_b": b, **agree(*row)})
    for method in methods:
        method["recall"] = _share(method["n_found"], method["n_detectable"])
        method["precision"] = _share(method["n_true"], method["n_published"])
        method["false_alarm_share"] = _share(
            method["n_stable_with_rupture"], method["n_stable"]
        )
    return {"methods": methods, "agreement": agreement}


def agree(n: int, n_both: int, n_a_only: int, n_b_only: int) -> dict[str, Any]:
    """Return the agreement of two methods over n episodes, and Cohen's kappa.

    Source: Cohen 1960, Educ Psychol Meas 20:37. Kappa is null without an episode, or when
    agreement by chance is certain.
    """
    found: dict[str, Any] = {
        "n_episodes": n,
        "n_both": n_both,
        "n_a_only": n_a_only,
        "n_b_only": n_b_only,
        "agreement": None,
        "kappa": None,
    }
    if n == 0:
        return found
    a, b = (n_both + n_a_only) / n, (n_both + n_b_only) / n
    observed = (n - n_a_only - n_b_only) / n
    by_chance = a * b + (1 - a) * (1 - b)
    found["agreement"] = observed
    if by_chance < 1:
        found["kappa"] = (observed - by_chance) / (1 - by_chance)
    return found


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
