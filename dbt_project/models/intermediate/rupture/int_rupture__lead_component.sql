-- The component that dropped most at onset, in units of its reliable change, from its
-- mean over the reference sessions; a tie goes to goal, task, bond in that order.
-- Of srs_concern, which compares with no session, the lowest at onset.
-- Rule: measurement.md D1, D3
with

ruptures as (
    select * from {{ ref('int_rupture__onset') }}
),

steps as (
    select * from {{ ref('int_rupture__step') }}
),

scores as (
    select * from {{ ref('int_rupture__score') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

-- Scores inside an earlier rupture are in no baseline but the control chart's; a decline
-- is measured from its start alone.
-- Rounded far below any difference that counts: the order of the sessions leaves no trace.
reference_means as (
    select
        ruptures.walk_no,
        ruptures.onset_number,
        {% for part in ['goal', 'task', 'bond'] -%}
        {{ mean_of_many('scores.client_' ~ part) }} as reference_{{ part }}{{ ',' if not loop.last }}
        {% endfor %}
    from ruptures
    inner join steps
        on
            ruptures.walk_no = steps.walk_no
            and ruptures.reference_from <= steps.score_number
            and ruptures.onset_number > steps.score_number
    inner join scores
        on steps.series_no = scores.series_no and steps.score_number = scores.score_number
    where
        case
            when ruptures.method in ('default_rc3', 'prior_mean_z')
                then steps.step in ('outside', 'repair')
            when ruptures.method = 'gumz_decline'
                then steps.score_number = ruptures.reference_from
            else true
        end
    group by ruptures.walk_no, ruptures.onset_number
),

drops as (
    select
        ruptures.walk_no,
        ruptures.onset_number,
        {% for part in ['goal', 'task', 'bond'] -%}
        case
            when ruptures.method = 'srs_concern'
                then parameters.scale_max - onsets.client_{{ part }}
            else
                (reference_means.reference_{{ part }} - onsets.client_{{ part }})
                / parameters.rc_subscale
        end as {{ part }}_drop{{ ',' if not loop.last }}
        {% endfor %}
    from ruptures
    inner join scores as onsets
        on
            ruptures.series_no = onsets.series_no
            and ruptures.onset_number = onsets.score_number
    inner join parameters on ruptures.instrument = parameters.instrument
    left join reference_means
        on
            ruptures.walk_no = reference_means.walk_no
            and ruptures.onset_number = reference_means.onset_number
),

-- A gauge lies beyond any drop, so that a component without scores never leads.
gauged as (
    select
        walk_no,
        onset_number,
        {% for part in ['goal', 'task', 'bond'] -%}
        coalesce({{ part }}_drop, -1e9) as {{ part }}_drop{{ ',' if not loop.last }}
        {% endfor %}
    from drops
),

final as (
    select
        walk_no,
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
    from gauged
)

select * from final
