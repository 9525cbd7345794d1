-- Whether each episode ended as a dropout, by the rule that is set; null where the rule
-- says nothing of it.
-- Rule: measurement.md G4
with

episodes as (
    select * from {{ ref('int_episode__described') }}
),

sessions as (
    select * from {{ ref('int_session__numbered') }} where episode_key is not null
),

improvements as (
    select * from {{ ref('int_outcome__most_scored') }}
),

last_sessions as (
    select
        episode_key,
        status,
        row_number() over (
            partition by episode_key
            order by session_date desc, started_at desc, session_key desc
        ) as choice
    from sessions
    where is_attended or is_missed
),

contacts as (
    select
        episode_key,
        max(case when is_attended then session_date end) as last_attended_on,
        count(*) filter (
            where status = 'scheduled' and session_date > {{ as_of() }}
        ) as n_booked
    from sessions
    group by episode_key
),

judged as (
    select
        episodes.episode_key,
        {{ setting_text('dropout.rule') }} as dropout_rule,
        episodes.is_closed,
        episodes.closure_reason,
        coalesce(
            episodes.closure_reason
            in ('completed', 'referred', 'transferred', 'deceased'), false
        ) as is_agreed_end,
        last_sessions.status in ('no_show', 'late_cancelled') as is_last_missed,
        improvements.has_improved,
        improvements.episode_key is not null as has_outcome,
        coalesce(
            {{ days_between(as_of(), 'contacts.last_attended_on') }}
            > {{ setting('dropout.inactive_days') }}
            and contacts.n_booked = 0, false
        ) as is_inactive
    from episodes
    left join last_sessions
        on episodes.episode_key = last_sessions.episode_key and last_sessions.choice = 1
    left join contacts on episodes.episode_key = contacts.episode_key
    left join improvements on episodes.episode_key = improvements.episode_key
),

final as (
    select
        episode_key,
        dropout_rule,
        case
            when dropout_rule = 'inactivity'
                then case
                    when is_agreed_end then false
                    when closure_reason = 'dropped_out' then true
                    when is_inactive then true
                    when is_closed then false
                end
            when not is_closed then null
            when is_agreed_end then false
            when dropout_rule = 'coded'
                then case when closure_reason = 'dropped_out' then true end
            when dropout_rule = 'no_show_last' then coalesce(is_last_missed, false)
            when dropout_rule = 'unilateral_no_gain' and has_outcome
                then not has_improved
        end as dropout
    from judged
)

select * from final
