-- The forms that each attended individual session asks for, and whether they were filled in.
-- Rule: quality_improvement.md 2, completion_monthly
with

sessions as (
    select * from {{ ref('fct_session') }}
),

scores as (
    select * from {{ ref('fct_measure_score') }} where subscale = 'total'
),

domains as (
    select distinct
        instrument,
        domain
    from {{ ref('dim_instrument') }}
    where domain in ('alliance', 'outcome')
),

tonight as (
    select * from {{ source('control', 'run') }}
),

forms as (
    select
        'alliance_client' as form,
        'alliance' as domain,
        'client' as rater
    union all
    select
        'alliance_therapist' as form,
        'alliance' as domain,
        'therapist' as rater
    union all
    select
        'outcome_client' as form,
        'outcome' as domain,
        'client' as rater
),

due as (
    select
        sessions.session_key,
        sessions.client_key,
        coalesce(sessions.clinic_key, 'unknown') as own_clinic,
        sessions.session_date,
        {{ month_of('sessions.session_date') }} as month
    from sessions
    cross join tonight
    where
        sessions.status = 'attended'
        and (sessions.modality = 'individual' or sessions.modality is null)
        and sessions.session_date <= tonight.as_of
),

filled as (
    select
        scores.session_key,
        forms.form,
        max(case when scores.is_valid then 1 else 0 end) as has_valid
    from scores
    inner join domains on scores.instrument = domains.instrument
    inner join forms on domains.domain = forms.domain and scores.rater = forms.rater
    where scores.session_key is not null
    group by scores.session_key, forms.form
),

final as (
    select
        due.month,
        due.session_date,
        due.own_clinic,
        due.client_key,
        due.session_key,
        forms.form,
        case
            when filled.has_valid = 1 then 'complete'
            when filled.has_valid = 0 then 'invalid'
            else 'none'
        end as state
    from due
    cross join forms
    left join filled
        on due.session_key = filled.session_key and forms.form = filled.form
)

select * from final
