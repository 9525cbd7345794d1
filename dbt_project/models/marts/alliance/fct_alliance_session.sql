-- Client's and therapist's view of the alliance at each session, side by side, with the
-- band of the client's total and where it stands against its baseline.
-- Rule: measurement.md C
with

scores as (
    select * from {{ ref('int_alliance__session_score') }}
),

steps as (
    select * from {{ ref('int_rupture__step') }} where method = 'default_rc3'
),

series as (
    select * from {{ ref('int_rupture__score') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

compared as (
    select
        series.session_key,
        series.instrument,
        steps.compared_with as baseline,
        steps.step
    from steps
    inner join series
        on steps.series_no = series.series_no and steps.score_number = series.score_number
),

-- The last onset and the last repair of the row's own series, up to its session; a repair
-- is never an onset itself.
placed as (
    select
        scores.*,
        compared.baseline,
        {% for step in ['onset', 'repair'] -%}
        max(case when compared.step = '{{ step }}' then scores.session_number end) over (
            partition by
                scores.episode_key, scores.instrument, scores.series_therapist_key
            order by scores.session_number
            rows between unbounded preceding and current row
        ) as last_{{ step }}{{ ',' if not loop.last }}
        {% endfor %}
    from scores
    left join compared
        on
            scores.session_key = compared.session_key
            and scores.instrument = compared.instrument
),

final as (
    select
        scores.episode_key,
        scores.session_key,
        scores.session_number,
        scores.session_date,
        scores.instrument,
        scores.client_total,
        scores.client_goal,
        scores.client_task,
        scores.client_bond,
        scores.therapist_total,
        scores.therapist_goal,
        scores.therapist_task,
        scores.therapist_bond,
        scores.therapist_total - scores.client_total as gap_total,
        scores.therapist_goal - scores.client_goal as gap_goal,
        scores.therapist_task - scores.client_task as gap_task,
        scores.therapist_bond - scores.client_bond as gap_bond,
        {{ alliance_band('scores.client_total', 'scores.instrument', 'parameters') }}
            as band,
        scores.baseline,
        coalesce(scores.last_onset > coalesce(scores.last_repair, 0), false)
            as in_open_rupture
    from placed as scores
    inner join parameters on scores.instrument = parameters.instrument
)

select * from final
