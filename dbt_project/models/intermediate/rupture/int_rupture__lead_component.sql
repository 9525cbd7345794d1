-- The component that dropped most at onset, in units of its reliable change, from its
-- mean over the reference sessions; a tie goes to goal, task, bond in that order.
-- Rule: measurement.md D1
with

ruptures as (
    select * from {{ ref('int_rupture__onset') }}
),

series as (
    select * from {{ ref('int_alliance__series') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

-- Rounded far below any difference that counts: the order of the sessions leaves no trace.
reference_means as (
    select
        ruptures.method,
        ruptures.episode_key,
        ruptures.instrument,
        ruptures.series_therapist,
        ruptures.onset_number,
        {% for part in ['goal', 'task', 'bond'] -%}
        round(avg(series.client_{{ part }}), 9) as reference_{{ part }}{{ ',' if not loop.last }}
        {% endfor %}
    from ruptures
    inner join series
        on
            ruptures.episode_key = series.episode_key
            and ruptures.instrument = series.instrument
            and ruptures.series_therapist = series.series_therapist
            and {{ is_in_list('series.score_number', 'ruptures.reference_numbers') }}
    group by
        ruptures.method,
        ruptures.episode_key,
        ruptures.instrument,
        ruptures.series_therapist,
        ruptures.onset_number
),

drops as (
    select
        reference_means.method,
        reference_means.episode_key,
        reference_means.instrument,
        reference_means.series_therapist,
        reference_means.onset_number,
        {% for part in ['goal', 'task', 'bond'] -%}
        coalesce(
            (reference_means.reference_{{ part }} - onset.client_{{ part }})
            / parameters.rc_subscale, -1e9
        ) as {{ part }}_drop{{ ',' if not loop.last }}
        {% endfor %}
    from reference_means
    inner join series as onset
        on
            reference_means.episode_key = onset.episode_key
            and reference_means.instrument = onset.instrument
            and reference_means.series_therapist = onset.series_therapist
            and reference_means.onset_number = onset.score_number
    inner join parameters on reference_means.instrument = parameters.instrument
),

final as (
    select
        method,
        episode_key,
        instrument,
        series_therapist,
        onset_number,
        case
            when
                {{ gt('goal_drop', 0) }}
                and {{ ge('goal_drop', 'greatest(task_drop, bond_drop)') }}
                then 'goal'
            when {{ gt('task_drop', 0) }} and {{ ge('task_drop', 'bond_drop') }} then 'task'
            when {{ gt('bond_drop', 0) }} then 'bond'
            else 'none'
        end as lead_component
    from drops
)

select * from final
