"""Facts of clinics that the pages must show well: large, small, empty, closing, odd.

Each row follows from a hash of its key, so a clinic is the same every time. The numbers
are made to fill pages, not to resemble people.
"""

from dataclasses import dataclass
from datetime import date

import duckdb

from lib.laid_snapshots import Fill

# Right-to-left, markup, a quotation mark that ends an attribute, an emoji, a long word.
ODD_NAMES = (
    "مركز النخيل للعلاج",
    '<script>alert("x")</script> & Söhne',
    "O'Neill \"North\" Practice' onload='x",
    "מרפאת הגליל (2)",
    "Donaudampfschifffahrtsgesellschaftskapitänsversorgungsstelle",
)


@dataclass(frozen=True)
class Clinic:
    """One clinic of a service."""

    name: str
    share: float = 1.0  # its part of the people, beside the others'
    lift: float = 0.0  # added to how often forms are filled in, and to good endings
    closed_after: date | None = None


@dataclass(frozen=True)
class Service:
    """How much of what a service holds.

    Attributes:
        clinics: its clinics.
        n_clients: people, each with one episode.
        first: the earliest first session.
        as_of: the night's date; nothing attended lies after it.
        fills: share of sessions with a form.
        without: a month, by its first day, in which nothing happened.
        n_sessions: the most sessions that are planned for one person.
    """

    clinics: tuple[Clinic, ...]
    n_clients: int
    first: date
    as_of: date
    fills: float = 0.8
    without: date | None = None
    n_sessions: int = 24


def facts_of(service: Service) -> Fill:
    """Return what fills the tables of facts with a service."""

    def fill(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(
            "create or replace macro u(what, of) as"
            " (hash(what || '/' || of) % 1000003) / 1000003e0"
        )
        con.execute(
            "create or replace macro key_of(kind, of) as"
            " kind || '_' || left(md5(kind || of), 26)"
        )
        _lay_clinics(con, service)
        said = {
            "n_clients": service.n_clients,
            "first": service.first,
            "as_of": service.as_of,
            "fills": service.fills,
            "without": service.without or date(1900, 1, 1),
            "n_sessions": service.n_sessions,
        }
        con.execute("create or replace table work.said as select " + ", ".join(
            f"${name} as {name}" for name in said), said)  # fmt: skip
        for statement in _STATEMENTS.split(";"):
            if statement.strip():
                con.execute(statement)
        _lay_deliveries(con, service.as_of)

    return fill


def _lay_clinics(con: duckdb.DuckDBPyConnection, service: Service) -> None:
    con.execute("create or replace table work.clinic (clinic_key varchar, clinic_name"
                " varchar, low double, high double, lift double, closed_after date)")  # fmt: skip
    whole = sum(clinic.share for clinic in service.clinics)
    below = 0.0
    for clinic in service.clinics:
        above = below + clinic.share / whole
        con.execute(
            "insert into work.clinic values (key_of('cn', ?), ?, ?, ?, ?, ?)",
            [clinic.name, clinic.name, below, above, clinic.lift, clinic.closed_after],
        )
        below = above


def _lay_deliveries(con: duckdb.DuckDBPyConnection, as_of: date) -> None:
    con.execute(
        """
        insert into ops.delivery
        select key_of('b', i::varchar), if(i % 3 = 0, 'north_clinic', 'canonical'),
            $as_of::date::timestamp - to_days(i::integer) - interval 5 hour,
            $as_of::date::timestamp - to_days(i::integer) - interval 4 hour,
            if(i = 2, 'partly_loaded', 'loaded'), 4
        from range(4) as t(i)
        """,
        {"as_of": as_of},
    )
    con.execute(
        """
        insert into ops.row_ledger
        select delivery_id, source, of || '-1', of, 900, 880, 12, 5, 1, 2, 'utf-8'
        from ops.delivery cross join (values ('sessions'), ('measures')) as t(of)
        """
    )
    con.execute("insert into ops.data_finding values ('item_empty', 'measure_items', 46),"
                " ('time_came_twice', 'sessions', 0)")  # fmt: skip


_STATEMENTS = """
insert into core.dim_clinic by name
select clinic_key, clinic_name, 'NY' as state, 'America/New_York' as timezone from work.clinic;

create or replace table work.person as
select
    i::varchar as person,
    clinic.clinic_key,
    clinic.lift,
    clinic.closed_after,
    first + cast(floor(u('start', i::varchar) * (as_of - first + 1)) as integer) as started,
    1 + cast(floor(pow(u('n', i::varchar), 1.5) * n_sessions) as integer) as n_planned,
    2 * (u('q1', i::varchar) + u('q2', i::varchar)) - 2 as quality
from work.said
cross join range((select n_clients from work.said)) as t(i)
inner join work.clinic on u('clinic', i::varchar) >= low and u('clinic', i::varchar) < high
where started <= coalesce(clinic.closed_after, as_of);

insert into core.dim_client by name
select
    key_of('cl', person) as client_key,
    'canonical' as source,
    1940 + cast(floor(u('born', person) * 70) as integer) as birth_year,
    case when u('sex', person) < 0.55 then 'female' when u('sex', person) < 0.95 then 'male' end as sex,
    case
        when u('race', person) < 0.5 then 'white'
        when u('race', person) < 0.7 then 'black'
        when u('race', person) < 0.85 then 'hispanic'
        when u('race', person) < 0.9 then 'asian'
    end as race_group,
    case when u('state', person) < 0.8 then 'NY' else 'NJ' end as state,
    started as first_session_date,
    u('trauma', person) < 0.5 as trauma_focused
from work.person;

create or replace table work.planned as
select
    person,
    -- A few sessions and their episodes name no clinic.
    case when u('noclinic', person) > 0.03 then clinic_key end as clinic_key,
    lift,
    quality,
    k,
    started + cast(7 * (k - 1) as integer) as session_date,
    person || '.' || k as place,
    k = 1 or u('here', person || '.' || k) < 0.88 as is_attended
from work.person
cross join work.said
cross join unnest(range(1, n_planned + 1)) as t(k)
where
    started + cast(7 * (k - 1) as integer) <= least(as_of, coalesce(closed_after, as_of))
    and date_trunc('month', started + cast(7 * (k - 1) as integer)) <> without;

insert into core.fct_session by name
select
    key_of('se', place) as session_key,
    key_of('cl', person) as client_key,
    key_of('th', left(md5(person), 1)) as therapist_key,
    clinic_key,
    key_of('ep', person) as episode_key,
    case when is_attended then row_number() over (partition by person, is_attended order by k) end
        as session_number,
    session_date,
    session_date::timestamp + interval 15 hour as started_at,
    50 as duration_minutes,
    case when is_attended then 'attended' else 'no_show' end as status,
    case when u('group', place) < 0.9 then 'individual' when u('group', place) < 0.97 then 'group' end
        as modality
from work.planned;

insert into core.fct_episode by name
select
    key_of('ep', person) as episode_key,
    key_of('cl', person) as client_key,
    key_of('th', left(md5(person), 1)) as therapist_key,
    any_value(clinic_key) as clinic_key,
    min(session_date) as opened_on,
    case when max(session_date) + 21 <= max(as_of) then max(session_date) + 7 end as closed_on,
    case when closed_on is not null then
        case
            when u('end', person) < 0.45 + max(lift) then 'completed'
            when u('end', person) < 0.75 then 'dropped_out'
            when u('end', person) < 0.80 then 'referred'
            when u('end', person) < 0.85 then 'transferred'
            when u('end', person) < 0.90 then 'declined'
            when u('end', person) < 0.91 then 'deceased'
            when u('end', person) < 0.95 then 'other'
        end
    end as closure_reason,
    case when closed_on is null then 'open' else 'closed' end as episode_status,
    'reported' as episode_origin,
    u('trauma', person) < 0.5 as trauma_focused,
    cast(count(*) filter (is_attended) as integer) as n_attended,
    cast(count(*) filter (not is_attended) as integer) as n_missed,
    case
        when closure_reason = 'dropped_out' then true
        when closure_reason in ('completed', 'referred', 'transferred', 'deceased') then false
    end as dropout,
    'coded' as dropout_rule,
    false as is_part2
from work.planned cross join work.said group by person;

create or replace table work.scored as
with said as (
    select
        planned.*,
        session.session_key,
        session.episode_key,
        session.client_key,
        session.session_number,
        5 - 2.2 * u('goal', place) + 0.4 * quality as goal,
        5 - 2.2 * u('task', place) + 0.4 * quality as task,
        5 - 2.0 * u('bond', place) + 0.4 * quality as bond
    from work.planned
    inner join core.fct_session as session on key_of('se', place) = session.session_key
    cross join work.said
    where is_attended and u('form', place) < fills + lift - if(u('race', person) >= 0.85, 0.3, 0)
)
select
    * exclude (goal, task, bond),
    least(5, greatest(1, round(4 * goal) / 4)) as goal,
    least(5, greatest(1, round(4 * task) / 4)) as task,
    least(5, greatest(1, round(4 * bond) / 4)) as bond
from said;

insert into alliance.fct_alliance_session by name
select
    episode_key,
    session_key,
    session_number,
    session_date,
    'WAI-SR' as instrument,
    (goal + task + bond) / 3 as client_total,
    goal as client_goal,
    task as client_task,
    bond as client_bond,
    case when u('th', place) < 0.6 then (goal + task + bond) / 3 - 0.25 end as therapist_total,
    case when u('th', place) < 0.6 then goal - 0.25 end as therapist_goal,
    case when u('th', place) < 0.6 then task - 0.25 end as therapist_task,
    case when u('th', place) < 0.6 then bond - 0.25 end as therapist_bond,
    case when client_total < 3 then 'weak' when client_total < 4 then 'moderate' else 'strong' end as band,
    u('open', place) < 0.1 as in_open_rupture
from work.scored
union all by name
select
    episode_key, session_key, session_number, session_date, 'SRS' as instrument,
    8 * (goal + task + bond) / 3 as client_total, 2 * goal as client_goal,
    2 * task as client_task, 2 * bond as client_bond, false as in_open_rupture
from work.scored where u('srs', place) < 0.25;

insert into core.fct_measure_score by name
select
    key_of('ad', instrument || rater || place) as administration_key,
    client_key, episode_key, session_key, session_number, instrument, rater, 'total' as subscale,
    case when u('valid', rater || place) < 0.97 then 30e0 end as score,
    'items' as score_origin,
    score is not null as is_valid,
    session_date as administered_on
from work.scored
cross join (
    values ('WAI-SR', 'client', 1.0), ('WAI-SR', 'therapist', 0.6), ('PCL-5', 'client', 0.5)
) as forms(instrument, rater, often)
where u(case when rater = 'therapist' then 'th' else instrument end, place) < often;

create or replace table work.fallen as
select
    scored.*,
    methods.method,
    methods.instrument,
    as_of,
    episode.closed_on,
    method || '/' || place as fall,
    u('how', place) as how
from work.scored
inner join core.fct_episode as episode on scored.episode_key = episode.episode_key
cross join work.said
cross join (
    values ('default_rc3', 'WAI-SR', 0.15), ('control_chart_l1', 'WAI-SR', 0.3),
        ('adjacent_rci', 'WAI-SR', 0.2), ('psq_direct', 'PSQ', 0.1)
) as methods(method, instrument, often)
where
    scored.session_number >= 3
    and u('fall' || if(method = 'psq_direct', 'psq', ''), place) < often;

insert into alliance.fct_rupture by name
select
    key_of('ru', fall) as rupture_key,
    method,
    '1' as method_version,
    episode_key,
    client_key,
    key_of('th', left(md5(person), 1)) as therapist_key,
    instrument,
    'client' as rater,
    session_number as onset_session_number,
    session_date as onset_date,
    3.8 as baseline,
    2.9 as onset_score,
    2.7 as trough_score,
    case when how < 0.4 then 'likely' else 'possible' end as strength,
    case when u('lead', place) < 0.3 then 'goal' when u('lead', place) < 0.6 then 'task'
        when u('lead', place) < 0.9 then 'bond' end as lead_component,
    case
        when as_of - session_date < 21 then 'pending'
        when how < 0.45 + lift then 'resolved'
        when how < 0.60 then 'late_repair'
        when how < 0.85 then 'unresolved'
        when closed_on is not null then 'unresolved_at_close'
        else 'unresolved'
    end as status,
    case when status in ('resolved', 'late_repair') then 1 + cast(floor(how * 8) as integer) end
        as sessions_to_repair,
    as_of::timestamp as first_seen_at
from work.fallen;

insert into alliance.rupture_cohort by name
with fallen as (
    select
        episode_key,
        method,
        count(*) as n,
        count(*) filter (status in ('resolved', 'late_repair')) as n_repaired,
        count(*) filter (status = 'pending') as n_pending
    from alliance.fct_rupture group by episode_key, method
),
scored as (
    select episode_key, count(*) as n_scores from work.scored group by episode_key
)
select
    episode.episode_key,
    methods.method,
    methods.instrument,
    case
        when coalesce(n_scores, 0) < 3 then 'insufficient'
        when n is null then 'no_rupture'
        when n_pending > 0 then 'pending'
        when n = n_repaired then 'repaired'
        else 'unrepaired'
    end as pattern,
    cast(coalesce(n, 0) as integer) as n_ruptures,
    cast(coalesce(n_repaired, 0) as integer) as n_repaired,
    cast(coalesce(n_scores, 0) as integer) as n_scores
from core.fct_episode as episode
cross join (
    values ('default_rc3', 'WAI-SR'), ('control_chart_l1', 'WAI-SR'), ('adjacent_rci', 'WAI-SR'),
        ('psq_direct', 'PSQ')
) as methods(method, instrument)
left join fallen on episode.episode_key = fallen.episode_key and methods.method = fallen.method
left join scored on episode.episode_key = scored.episode_key;

insert into alliance.fct_strengthening by name
select
    episode_key,
    session_key,
    session_number + 1 as session_number,
    session_date + 7 as session_date,
    u('des', place) < 0.5 as destigmatize,
    u('com', place) < 0.6 as compassion,
    u('coc', place) < 0.4 as co_create,
    key_of('ru', fall) as after_rupture,
    how < 0.6 as repaired_after
from work.fallen where method = 'default_rc3' and u('work', place) < 0.55;

insert into outcomes.fct_episode_outcome by name
with early as (
    select
        episode_key,
        max_by(band, -session_number) as band
    from alliance.fct_alliance_session
    where instrument = 'WAI-SR' and session_number between 2 and 5
    group by episode_key
),
drawn as (
    select
        episode.episode_key,
        instrument,
        4 + place as n_scores,
        early.band as early_alliance_band,
        u('out' || instrument, episode.episode_key)
        - if(person.lift > 0, person.lift, 0) + if(early.band = 'weak', 0.1, 0) as how
    from core.fct_episode as episode
    inner join work.person as person on episode.client_key = key_of('cl', person.person)
    left join early on episode.episode_key = early.episode_key
    cross join (values ('PCL-5', 2), ('PHQ-9', 1)) as measured(instrument, place)
)
select
    episode_key,
    instrument,
    50e0 as first_score,
    case when how < 0.45 then 20e0 when how < 0.9 then 47e0 else 65e0 end as last_score,
    case when how < 0.45 then -30e0 when how < 0.9 then -3e0 else 15e0 end as change,
    case when how >= 0.97 then null when how < 0.45 then 'improved' when how < 0.9 then 'no_change'
        else 'deteriorated' end as reliable_change,
    case when how >= 0.97 then 'insufficient' when how < 0.3 then 'recovered' when how < 0.45 then 'improved'
        when how < 0.5 then 'not_at_risk' when how < 0.9 then 'unchanged' else 'deteriorated' end
        as clinical_class,
    cast(n_scores as integer) as n_scores,
    early_alliance_band
from drawn
where exists (select 1 from work.scored where scored.episode_key = drawn.episode_key);

insert into outcomes.fct_stall by name
select
    episode_key,
    'PCL-5' as instrument,
    session_number as stall_session_number,
    session_date as stall_date,
    case when as_of - session_date < 28 then 'open' when u('res', place) < 0.6 then 'resumed' else 'closed' end
        as status,
    case when u('weak', place) < 0.4 then 'goal' when u('weak', place) < 0.6 then 'task'
        when u('weak', place) < 0.9 then 'bond' end as weak_component,
    case when u('rev', place) < 0.55 then true when u('rev', place) < 0.95 then false end as alliance_reviewed,
    case when status = 'resumed' then session_number + 1 + cast(floor(u('when', place) * 6) as integer) end
        as resumed_session_number
from work.scored cross join work.said
where session_number >= 6 and u('stall', place) < 0.15;

insert into outcomes.fct_care_signal by name
with kinds as (select signal, row_number() over (order by position) as n from outcomes.dim_care_signal)
select
    key_of('si', place) as signal_key,
    signal,
    'WAI-SR' as instrument,
    episode_key,
    client_key,
    key_of('th', left(md5(person), 1)) as therapist_key,
    clinic_key,
    session_date as opened_on,
    as_of::timestamp as first_detected_at,
    case when as_of - session_date > 60 then session_date + 30 end as closed_on,
    case when as_of - session_date > 60 then 'episode_closed' end as closed_reason,
    case when as_of - session_date > 60 then 'closed' else 'open' end as status,
    '{"n_scores":4,"session_number":' || session_number || '}' as evidence
from work.scored
cross join work.said
inner join kinds on kinds.n = 1 + hash('kind' || place) % 8
where u('signal', place) < 0.05;

insert into alliance.trajectory_by_session by name
select
    trauma::varchar as trauma_focused, 'WAI-SR' as instrument, component, n::integer as session_number,
    40 as n_episodes, 3.5 + n / 50e0 as mean_score, 0.5 as sd_score, 3.5 + n / 50e0 as median_score,
    false as suppressed
from (values (true), (false)) as a(trauma)
cross join (values ('total'), ('goal'), ('task'), ('bond')) as b(component)
cross join range(1, 13) as c(n)
where (select count(*) from work.scored) > 100
"""
