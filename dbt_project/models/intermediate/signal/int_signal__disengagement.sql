-- Signal `disengagement`: between two attended sessions, from a row of missed sessions or
-- from the first day of silence, whichever comes first, to the next attended session.
-- Rule: measurement.md I
with

missed as (
    select * from {{ ref('int_signal__missed_in_row') }}
),

silences as (
    select * from {{ ref('int_signal__silence') }}
),

attended as (
    select * from {{ ref('int_session__numbered') }} where session_number is not null
),

openings as (
    select
        episode_key,
        after_session_number,
        opened_on,
        'missed_in_row' as method,
        n_missed,
        cast(null as integer) as n_days
    from missed
    union all
    select
        episode_key,
        after_session_number,
        opened_on,
        'silence' as method,
        cast(null as integer) as n_missed,
        n_days
    from silences
),

ranked as (
    select
        *,
        row_number() over (
            partition by episode_key, after_session_number
            order by opened_on, method
        ) as choice
    from openings
),

final as (
    select
        'disengagement' as signal,
        cast(null as string) as instrument,
        ranked.episode_key,
        ranked.opened_on,
        ranked.after_session_number as opened_order,
        attended.session_date as closed_on,
        case when attended.session_key is not null then 'attended' end as closed_reason,
        cast(null as string) as onset_session_key,
        cast(null as string) as series_therapist_key,
        {{ json_object([
            ['method', 'text', 'ranked.method'],
            ['after_session', 'whole', 'ranked.after_session_number'],
            ['n_missed', 'whole', 'ranked.n_missed'],
            ['n_days', 'whole', 'ranked.n_days'],
        ]) }} as evidence
    from ranked
    left join attended
        on
            ranked.episode_key = attended.episode_key
            and ranked.after_session_number + 1 = attended.session_number
    where ranked.choice = 1
)

select * from final
