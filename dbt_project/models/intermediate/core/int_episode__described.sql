-- Each episode's counts, therapist, clinic, approach and trauma focus, reported or from
-- its attended sessions: the commonest; a tie goes to the one met first.
-- Rule: measurement.md B3, B7
with

spans as (
    select * from {{ ref('int_episode__span') }}
),

sessions as (
    select * from {{ ref('int_session__numbered') }}
),

approaches as (
    select * from {{ ref('trauma_focused_approach') }}
),

attended as (
    select * from sessions where session_number is not null
),

therapists as (
    {{ commonest_of_attended('therapist_key') }}
),

clinics as (
    {{ commonest_of_attended('clinic_key') }}
),

commonest_approaches as (
    {{ commonest_of_attended('treatment_approach') }}
),

counts as (
    select
        sessions.episode_key,
        cast(count(*) filter (where sessions.is_attended) as integer) as n_attended,
        cast(count(*) filter (where sessions.is_missed) as integer) as n_missed,
        cast(count(*) filter (
            where sessions.is_attended and approaches.treatment_approach is not null
        ) as integer) as n_trauma_focused
    from sessions
    left join approaches on sessions.treatment_approach = approaches.treatment_approach
    where sessions.episode_key is not null
    group by sessions.episode_key
),

final as (
    select
        spans.episode_key,
        spans.client_key,
        spans.source,
        spans.episode_origin,
        coalesce(spans.reported_therapist_key, therapists.therapist_key) as therapist_key,
        coalesce(spans.reported_clinic_key, clinics.clinic_key) as clinic_key,
        spans.opened_on,
        spans.closed_on,
        spans.is_closed,
        spans.closure_reason,
        coalesce(
            spans.trauma_focused,
            case when counts.n_trauma_focused > 0 then true end
        ) as trauma_focused,
        coalesce(
            spans.treatment_approach, commonest_approaches.treatment_approach
        ) as treatment_approach,
        coalesce(counts.n_attended, 0) as n_attended,
        coalesce(counts.n_missed, 0) as n_missed
    from spans
    left join counts on spans.episode_key = counts.episode_key
    left join therapists
        on spans.episode_key = therapists.episode_key and therapists.choice = 1
    left join clinics
        on spans.episode_key = clinics.episode_key and clinics.choice = 1
    left join commonest_approaches
        on
            spans.episode_key = commonest_approaches.episode_key
            and commonest_approaches.choice = 1
)

select * from final
