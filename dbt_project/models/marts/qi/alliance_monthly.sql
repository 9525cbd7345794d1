-- The alliance as it was filled in each month, by clinic, instrument, rater and component.
-- Instruments are never pooled. Small groups are hidden.
-- Rule: quality_improvement.md 2, alliance_monthly
{% set scores = [] -%}
{% for rater in ['client', 'therapist'] -%}
{% for component in ['total', 'goal', 'task', 'bond'] -%}
{% do scores.append({'rater': rater, 'component': component, 'name': rater ~ '_' ~ component}) -%}
{% endfor -%}
{% endfor -%}
{% set wholes = {'client_key': 'clients', 'episode_key': 'episodes'} -%}
with recursive

months as (
    select * from {{ ref('int_qi__month') }} {{ where_moved('alliance_monthly', 'month') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

alliance as (
    select * from {{ ref('fct_alliance_session') }} {{ where_moved('alliance_monthly', month_of('session_date')) }}
),

sessions as (
    select * from {{ ref('fct_session') }} where status = 'attended'
),

tonight as (
    select * from {{ source('control', 'run') }}
),

scored as (
    select
        alliance.*,
        sessions.client_key,
        coalesce(sessions.clinic_key, 'unknown') as own_clinic,
        {{ month_of('sessions.session_date') }} as month
    from alliance
    inner join sessions on alliance.session_key = sessions.session_key
    cross join tonight
    where
        sessions.session_date <= tonight.as_of
        {{ where_moved('alliance_monthly', month_of('sessions.session_date'), 'and') }}
),

facts as (
    {% for score in scores -%}
    select
        month,
        own_clinic,
        instrument,
        '{{ score.rater }}' as rater,
        '{{ score.component }}' as component,
        {{ score.name }} as score,
        {% if score.name == 'client_total' -%}
        band,
        in_open_rupture
        {%- else -%}
        cast(null as string) as band,
        cast(null as boolean) as in_open_rupture
        {%- endif %}
    from scored
    where {{ score.name }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

everywhere as (
    {{ at_clinic_and_all('facts') }}
),

grouped as (
    select
        month,
        clinic_key,
        instrument,
        rater,
        component,
        {{ counted() }} as n_sessions,
        {{ mean_of_many('score') }} as mean_score,
        {{ median_of('score') }} as median_score,
        {{ sd_of_many('score') }} as sd_score,
        {{ counted("band = 'weak'") }} as n_weak,
        {{ counted("band = 'moderate'") }} as n_moderate,
        {{ counted("band = 'strong'") }} as n_strong,
        {{ counted('in_open_rupture') }} as n_in_open_rupture
    from everywhere
    group by month, clinic_key, instrument, rater, component
),

-- Clients and episodes are told apart once a month and instrument, with which scores each
-- has; to count them distinct for every score cost four times as much.
{% for key, whole in wholes.items() -%}
{{ whole }}_of_clinic as (
    select
        month,
        own_clinic,
        instrument,
        {{ key }},
        {% for score in scores -%}
        max(case when {{ score.name }} is not null then 1 else 0 end) as {{ score.name }}{{ ',' if not loop.last }}
        {% endfor %}
    from scored
    where {{ key }} is not null
    group by month, own_clinic, instrument, {{ key }}
),

{{ whole }}_of_all as (
    select
        month,
        instrument,
        {% for score in scores -%}
        max({{ score.name }}) as {{ score.name }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ whole }}_of_clinic
    group by month, instrument, {{ key }}
),

{{ whole }}_counted as (
    select
        month,
        own_clinic as clinic_key,
        instrument,
        {% for score in scores -%}
        sum({{ score.name }}) as {{ score.name }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ whole }}_of_clinic
    group by month, own_clinic, instrument
    union all
    select
        month,
        'all' as clinic_key,
        instrument,
        {% for score in scores -%}
        sum({{ score.name }}) as {{ score.name }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ whole }}_of_all
    group by month, instrument
),

{{ whole }} as (
    {% for score in scores -%}
    select
        month,
        clinic_key,
        instrument,
        '{{ score.rater }}' as rater,
        '{{ score.component }}' as component,
        cast({{ score.name }} as integer) as n
    from {{ whole }}_counted
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

{% endfor -%}
instruments as (
    select distinct instrument from alliance
),

raters as (
    select 'client' as rater
    union all
    select 'therapist' as rater
),

components as (
    select 'total' as component
    union all
    select 'goal' as component
    union all
    select 'task' as component
    union all
    select 'bond' as component
),

spine as (
    select
        months.month,
        months.is_partial,
        clinics.clinic_key,
        instruments.instrument,
        raters.rater,
        components.component
    from months
    cross join clinics
    cross join instruments
    cross join raters
    cross join components
),

counted as (
    select
        spine.*,
        coalesce(clients.n, 0) as n_clients,
        coalesce(grouped.n_sessions, 0) as n_sessions,
        coalesce(episodes.n, 0) as n_episodes,
        grouped.mean_score,
        grouped.median_score,
        grouped.sd_score,
        coalesce(grouped.n_weak, 0) as n_weak,
        coalesce(grouped.n_moderate, 0) as n_moderate,
        coalesce(grouped.n_strong, 0) as n_strong,
        coalesce(grouped.n_in_open_rupture, 0) as n_in_open_rupture,
        spine.rater = 'client' and spine.component = 'total' as has_bands
    from spine
    left join grouped
        on
            spine.month = grouped.month
            and spine.clinic_key = grouped.clinic_key
            and spine.instrument = grouped.instrument
            and spine.rater = grouped.rater
            and spine.component = grouped.component
    {% for whole in wholes.values() -%}
    left join {{ whole }}
        on
            spine.month = {{ whole }}.month
            and spine.clinic_key = {{ whole }}.clinic_key
            and spine.instrument = {{ whole }}.instrument
            and spine.rater = {{ whole }}.rater
            and spine.component = {{ whole }}.component
    {% endfor %}
),

{% set keys = ['month', 'clinic_key', 'instrument', 'rater', 'component'] %}
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
        instrument,
        rater,
        component,
        is_partial,
        case when is_shown then n_clients end as n_clients,
        case when is_shown then n_sessions end as n_sessions,
        case when is_shown then n_episodes end as n_episodes,
        case when is_shown then mean_score end as mean_score,
        case when is_shown then median_score end as median_score,
        case when is_shown then sd_score end as sd_score,
        case when is_shown and has_bands then n_weak end as n_weak,
        case when is_shown and has_bands then n_moderate end as n_moderate,
        case when is_shown and has_bands then n_strong end as n_strong,
        case when is_shown and has_bands then n_in_open_rupture end as n_in_open_rupture,
        not is_shown as suppressed,
        false as partly_suppressed
    from shown
)

select * from final
