-- Whether forms are filled in: attended individual sessions of each month with a valid
-- form of each kind. Small groups are hidden.
-- Rule: quality_improvement.md 2, completion_monthly
with recursive

months as (
    select * from {{ ref('int_qi__month') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

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

facts as (
    select
        due.month,
        due.own_clinic,
        due.client_key,
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
),

everywhere as (
    {{ at_clinic_and_all('facts') }}
),

grouped as (
    select
        month,
        clinic_key,
        form,
        count(distinct client_key) as n_clients,
        {{ counted() }} as n_sessions,
        {{ counted("state = 'complete'") }} as n_complete,
        {{ counted("state = 'invalid'") }} as n_invalid,
        {{ counted("state = 'none'") }} as n_none
    from everywhere
    group by month, clinic_key, form
),

spine as (
    select
        months.month,
        months.is_partial,
        clinics.clinic_key,
        forms.form
    from months
    cross join clinics
    cross join forms
),

counted as (
    select
        spine.*,
        coalesce(grouped.n_clients, 0) as n_clients,
        coalesce(grouped.n_sessions, 0) as n_sessions,
        coalesce(grouped.n_complete, 0) as n_complete,
        coalesce(grouped.n_invalid, 0) as n_invalid,
        coalesce(grouped.n_none, 0) as n_none
    from spine
    left join grouped
        on
            spine.month = grouped.month
            and spine.clinic_key = grouped.clinic_key
            and spine.form = grouped.form
),

{% set keys = ['month', 'clinic_key', 'form'] %}
{{ suppressed_cells('counted', keys, [{'column': 'clinic_key', 'total': 'all'}]) }},

shown as (
    select
        counted.*,
        not cells.hide_row as is_shown
    from counted
    inner join cells on {{ same('counted', 'cells', keys) }}
),

final as (
    select
        month,
        clinic_key,
        form,
        is_partial,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then n_sessions end as n_sessions,
        case when is_shown then n_complete end as n_complete,
        case when is_shown then n_invalid end as n_invalid,
        case when is_shown then n_none end as n_none,
        case when is_shown then {{ share_of('n_complete', 'n_sessions') }} end
            as completion,
        not is_shown as suppressed,
        false as partly_suppressed
    from shown
)

select * from final
