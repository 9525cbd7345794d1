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

facts as (
    select * from {{ ref('int_qi__form_due') }}
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

forms as (
    {% for form in ['alliance_client', 'alliance_therapist', 'outcome_client'] -%}
    select '{{ form }}' as form
    {{ 'union all' if not loop.last }}
    {% endfor %}
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
