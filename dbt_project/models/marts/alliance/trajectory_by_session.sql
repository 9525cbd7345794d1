-- Goal, task, bond and total by session number, for trauma-focused and other episodes:
-- so that a slow start in trust can be seen as what is to be expected. Small cells hidden.
-- Rule: measurement.md H
{% set parts = ['total', 'goal', 'task', 'bond'] -%}
with

sessions as (
    select * from {{ ref('fct_alliance_session') }} where session_number <= 26
),

episodes as (
    select
        episode_key,
        client_key,
        case
            when trauma_focused then 'true'
            when not trauma_focused then 'false'
            else 'unknown'
        end as focus,
        count(*) over (partition by client_key) = 1 as is_only
    from {{ ref('fct_episode') }}
),

scores as (
    select
        episodes.focus,
        episodes.is_only,
        sessions.instrument,
        sessions.session_number,
        {% for part in parts -%}
        sessions.client_{{ part }} as {{ part }},
        {% endfor -%}
        case when not episodes.is_only then episodes.client_key end as client_of_many
    from sessions
    inner join episodes on sessions.episode_key = episodes.episode_key
),

-- An episode has a session number once. A client of one episode is counted by it: to tell
-- all clients apart would cost more than the rest.
grouped as (
    select
        focus,
        instrument,
        session_number,
        {% for part in parts -%}
        count({{ part }}) as {{ part }}_episodes,
        count({{ part }}) filter (where is_only)
        + count(distinct case when {{ part }} is not null then client_of_many end)
            as {{ part }}_clients,
        {{ mean_of_many(part) }} as {{ part }}_mean,
        {{ sd_of_many(part) }} as {{ part }}_sd,
        {{ median_of(part) }} as {{ part }}_median{{ ',' if not loop.last }}
        {% endfor %}
    from scores
    group by focus, instrument, session_number
),

cells as (
    {% for part in parts -%}
    select
        focus,
        instrument,
        '{{ part }}' as component,
        session_number,
        {{ part }}_episodes as n_episodes,
        {{ part }}_clients as n_clients,
        {{ part }}_mean as mean_score,
        {{ part }}_sd as sd_score,
        {{ part }}_median as median_score
    from grouped
    where {{ part }}_episodes > 0
    {{ 'union all' if not loop.last }}
    {% endfor %}
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
