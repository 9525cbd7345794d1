-- What was weakest in the alliance when recovery stalled: of the last session by then
-- with all three components, the one lowest within its own range.
-- Rule: measurement.md G3
with

spells as (
    select * from {{ ref('int_stall__spell') }}
),

sessions as (
    select * from {{ ref('int_alliance__session_score') }}
    where
        client_goal is not null
        and client_task is not null
        and client_bond is not null
),

primary_instruments as (
    select * from {{ ref('int_alliance__primary_instrument') }}
),

scales as (
    select * from {{ ref('int_registry__scale') }}
),

ranges as (
    select
        instrument,
        {% for part in ['goal', 'task', 'bond'] -%}
        max(case when subscale = '{{ part }}' then scale_min end) as {{ part }}_min,
        max(case when subscale = '{{ part }}' then scale_max end) as {{ part }}_max
        {{- ',' if not loop.last }}
        {% endfor %}
    from scales
    group by instrument
),

shares as (
    select
        spells.episode_key,
        spells.instrument,
        spells.stall_number,
        {% for part in ['goal', 'task', 'bond'] -%}
        (sessions.client_{{ part }} - ranges.{{ part }}_min)
        / (ranges.{{ part }}_max - ranges.{{ part }}_min) as {{ part }}_share,
        {% endfor -%}
        row_number() over (
            partition by spells.episode_key, spells.instrument, spells.stall_number
            order by sessions.session_number desc
        ) as choice
    from spells
    inner join primary_instruments on spells.episode_key = primary_instruments.episode_key
    inner join sessions
        on
            primary_instruments.episode_key = sessions.episode_key
            and primary_instruments.instrument = sessions.instrument
            and spells.stall_session_number >= sessions.session_number
            and spells.stall_session_number - {{ setting('stall.alliance_lookback') }}
            <= sessions.session_number
    inner join ranges on sessions.instrument = ranges.instrument
),

final as (
    select
        episode_key,
        instrument,
        stall_number,
        case
            when
                {{ le('goal_share', 'task_share') }} and {{ le('goal_share', 'bond_share') }}
                then 'goal'
            when {{ le('task_share', 'bond_share') }} then 'task'
            else 'bond'
        end as weak_component
    from shares
    where choice = 1
)

select * from final
