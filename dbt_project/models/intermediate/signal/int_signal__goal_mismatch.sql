-- Signal `goal_mismatch`: from the second of two consecutive pairs of forms whose goal
-- ratings lie a unit or more apart in one direction, the client lower or the therapist's
-- own note of it at either session, to the next pair that is closer or the other way. A
-- run of such pairs opens at most once.
-- Rule: measurement.md I, F
with

pairs as (
    select
        *,
        therapist_goal - client_goal as gap
    from {{ ref('int_alliance__session_score') }}
    where client_goal is not null and therapist_goal is not null
),

primaries as (
    select * from {{ ref('int_alliance__primary_instrument') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

markers as (
    select * from {{ ref('int_form__therapist_marker') }}
),

apart as (
    select
        pairs.episode_key,
        pairs.instrument,
        pairs.session_number,
        pairs.session_date,
        pairs.gap,
        pairs.gap / parameters.unit as gap_ratio,
        case
            when {{ ge('pairs.gap', setting('congruence.goal_gap') ~ ' * parameters.unit') }}
                then 1
            when {{ ge('-pairs.gap', setting('congruence.goal_gap') ~ ' * parameters.unit') }}
                then -1
            else 0
        end as side,
        coalesce(
            markers.goals_inconsistent >= {{ setting('markers.item_high') }}, false
        ) as is_noted
    from pairs
    inner join primaries
        on
            pairs.episode_key = primaries.episode_key
            and pairs.instrument = primaries.instrument
    inner join parameters on pairs.instrument = parameters.instrument
    left join markers on pairs.session_key = markers.session_key
),

before as (
    select
        *,
        lag(side, 1, 0) over (
            partition by episode_key order by session_number
        ) as side_before,
        lag(is_noted, 1, false) over (
            partition by episode_key order by session_number
        ) as is_noted_before,
        lag(session_number) over (
            partition by episode_key order by session_number
        ) as session_number_before
    from apart
),

runs as (
    select
        *,
        sum(case when side <> 0 and side = side_before then 0 else 1 end) over (
            partition by episode_key
            order by session_number
            rows between unbounded preceding and current row
        ) as run_number
    from before
),

openings as (
    select
        *,
        row_number() over (
            partition by episode_key, run_number order by session_number
        ) as choice
    from runs
    where
        side <> 0
        and side = side_before
        and (side = 1 or is_noted or is_noted_before)
),

starts as (
    select
        episode_key,
        run_number,
        min(session_number) as session_number,
        min(session_date) as session_date
    from runs
    group by episode_key, run_number
),

final as (
    select
        'goal_mismatch' as signal,
        openings.instrument,
        openings.episode_key,
        openings.session_date as opened_on,
        openings.session_number as opened_order,
        starts.session_date as closed_on,
        case when starts.session_date is not null then 'settled' end as closed_reason,
        cast(null as string) as onset_session_key,
        cast(null as string) as series_therapist_key,
        {{ json_object([
            ['method', 'text', "'two_pairs'"],
            ['first_session', 'whole', 'openings.session_number_before'],
            ['opened_session', 'whole', 'openings.session_number'],
            ['gap_ratio', 'ratio', 'openings.gap_ratio'],
        ]) }} as evidence
    from openings
    left join starts
        on
            openings.episode_key = starts.episode_key
            and openings.run_number + 1 = starts.run_number
    where openings.choice = 1
)

select * from final
