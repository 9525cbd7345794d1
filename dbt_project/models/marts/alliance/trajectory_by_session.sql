-- Goal, task, bond and total by session number, for trauma-focused and other episodes:
-- so that a slow start in trust can be seen as what is to be expected. Small cells hidden.
-- Rule: measurement.md H
with

sessions as (
    select * from {{ ref('fct_alliance_session') }} where session_number <= 26
),

episodes as (
    select * from {{ ref('fct_episode') }}
),

scores as (
    {% for part in ['total', 'goal', 'task', 'bond'] -%}
    select
        sessions.episode_key,
        sessions.instrument,
        '{{ part }}' as component,
        sessions.session_number,
        sessions.client_{{ part }} as score
    from sessions
    where sessions.client_{{ part }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

cells as (
    select
        case
            when episodes.trauma_focused then 'true'
            when not episodes.trauma_focused then 'false'
            else 'unknown'
        end as focus,
        scores.instrument,
        scores.component,
        scores.session_number,
        count(distinct scores.episode_key) as n_episodes,
        count(distinct episodes.client_key) as n_clients,
        {{ mean_of_many('scores.score') }} as mean_score,
        {{ sd_of_many('scores.score') }} as sd_score,
        {{ median_of('scores.score') }} as median_score
    from scores
    inner join episodes on scores.episode_key = episodes.episode_key
    group by focus, scores.instrument, scores.component, scores.session_number
),

judged as (
    select
        *,
        least(n_episodes, n_clients) < {{ setting('qi.small_cell_min') }} as suppressed
    from cells
),

final as (
    select
        focus as trauma_focused,
        instrument,
        component,
        session_number,
        case when not suppressed then cast(n_episodes as integer) end as n_episodes,
        case when not suppressed then mean_score end as mean_score,
        case when not suppressed then sd_score end as sd_score,
        case when not suppressed then median_score end as median_score,
        suppressed
    from judged
)

select * from final
