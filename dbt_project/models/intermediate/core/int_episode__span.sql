-- Every episode, reported or derived, with its span as far as it may be known tonight.
-- A closing date in the future, and its reason, are not yet published; it bounds dates.
-- Rule: measurement.md B4-B6
with

reported as (
    select * from {{ ref('int_episode__reported') }}
),

derived as (
    select * from {{ ref('int_episode__derived') }}
),

final as (
    select
        episode_key,
        client_key,
        source,
        'reported' as episode_origin,
        therapist_key as reported_therapist_key,
        clinic_key as reported_clinic_key,
        opened_on,
        closed_on as bound_on,
        cast(null as date) as last_attended_on,
        coalesce(closed_on <= {{ as_of() }}, false) as is_closed,
        case when closed_on <= {{ as_of() }} then closed_on end as closed_on,
        case when closed_on <= {{ as_of() }} then closure_reason end as closure_reason,
        trauma_focused,
        treatment_approach
    from reported
    union all
    select
        episode_key,
        client_key,
        source,
        'derived' as episode_origin,
        cast(null as string) as reported_therapist_key,
        cast(null as string) as reported_clinic_key,
        opened_on,
        cast(null as date) as bound_on,
        last_attended_on,
        is_closed,
        case when is_closed then last_attended_on end as closed_on,
        cast(null as string) as closure_reason,
        cast(null as boolean) as trauma_focused,
        cast(null as string) as treatment_approach
    from derived
)

select * from final
