-- One row a session and alliance instrument: the eight valid scores of the used forms of
-- client and therapist, or null.
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
        series_therapist_key,
        instrument,
        {% for rater in ['client', 'therapist'] -%}
            {% for part in ['total', 'goal', 'task', 'bond'] -%}
        max(case when rater = '{{ rater }}' and subscale = '{{ part }}' then score end)
            as {{ rater }}_{{ part }}{{ ',' if not (loop.last and rater == 'therapist') }}
            {% endfor -%}
        {% endfor %}
    from scores
    group by
        episode_key,
        session_key,
        session_number,
        session_date,
        client_key,
        series_therapist_key,
        instrument
)

select * from final
