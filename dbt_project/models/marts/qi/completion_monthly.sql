-- Whether forms are filled in: attended individual sessions of each month with a valid
-- form of each kind. Small groups are hidden.
-- Rule: quality_improvement.md 2, completion_monthly
with recursive

months as (
    select * from {{ ref('int_qi__month') }} {{ where_moved('completion_monthly', 'month') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

{% set forms = ['alliance_client', 'alliance_therapist', 'outcome_client'] -%}
facts as (
    select
        {{ month_of('due.session_date') }} as month,
        coalesce(due.clinic_key, 'unknown') as own_clinic,
        due.client_key,
        {% for form in forms -%}
        due.{{ form }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('int_qi__form_due') }} as due
    cross join tonight
    where
        due.session_date <= tonight.as_of
        {{ where_moved('completion_monthly', month_of('due.session_date'), 'and') }}
),

everywhere as (
    {{ at_clinic_and_all('facts') }}
),

grouped as (
    select
        month,
        clinic_key,
        {% for form in forms -%}
        {% for state in ['complete', 'invalid', 'none'] -%}
        {{ counted(form ~ " = '" ~ state ~ "'") }} as {{ form }}_{{ state }},
        {% endfor -%}
        {% endfor -%}
        count(distinct client_key) as n_clients,
        {{ counted() }} as n_sessions
    from everywhere
    group by month, clinic_key
),

by_form as (
    {% for form in forms -%}
    select
        month,
        clinic_key,
        '{{ form }}' as form,
        n_clients,
        n_sessions,
        {{ form }}_complete as n_complete,
        {{ form }}_invalid as n_invalid,
        {{ form }}_none as n_none
    from grouped
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

forms as (
    {% for form in forms -%}
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
        coalesce(by_form.n_clients, 0) as n_clients,
        coalesce(by_form.n_sessions, 0) as n_sessions,
        coalesce(by_form.n_complete, 0) as n_complete,
        coalesce(by_form.n_invalid, 0) as n_invalid,
        coalesce(by_form.n_none, 0) as n_none
    from spine
    left join by_form
        on
            spine.month = by_form.month
            and spine.clinic_key = by_form.clinic_key
            and spine.form = by_form.form
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
