-- One row a session and alliance instrument: the valid scores of the used forms of client
-- and therapist, or null, and whose series the session belongs to: the session's
-- therapist, else the client's form's (the therapist's, without one), else the episode's.
-- Rule: measurement.md C
with

scores as (
    select * from {{ ref('int_score__used') }} where is_valid
),

final as (
    select
        episode_key,
        session_key,
        session_number,
        session_date,
        client_key,
        coalesce(
            max(case when rater = 'client' then series_therapist_key end),
            max(series_therapist_key)
        ) as series_therapist_key,
        instrument,
        {% for rater in ['client', 'therapist'] -%}
            {% for part in ['total', 'goal', 'task', 'bond'] -%}
        max(case when rater = '{{ rater }}' and subscale = '{{ part }}' then score end)
            as {{ rater }}_{{ part }},
            {% endfor -%}
        {% endfor -%}
        max(case when rater = 'client' and subscale = 'overall' then score end)
            as client_overall
    from scores
    group by
        episode_key,
        session_key,
        session_number,
        session_date,
        client_key,
        instrument
)

select * from final
