-- The alliance as it was filled in each month, by clinic, instrument, rater and component.
-- Instruments are never pooled. Small groups are hidden.
-- Rule: quality_improvement.md 2, alliance_monthly
with recursive

months as (
    select * from {{ ref('int_qi__month') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

alliance as (
    select * from {{ ref('fct_alliance_session') }}
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
    where sessions.session_date <= tonight.as_of
),

facts as (
    {% for rater in ['client', 'therapist'] -%}
    {% set rater_loop = loop -%}
    {% for component in ['total', 'goal', 'task', 'bond'] -%}
    select
        month,
        own_clinic,
        instrument,
        '{{ rater }}' as rater,
        '{{ component }}' as component,
        client_key,
        episode_key,
        {{ rater }}_{{ component }} as score,
        {% if rater == 'client' and component == 'total' -%}
        band,
        in_open_rupture
        {%- else -%}
        cast(null as string) as band,
        cast(null as boolean) as in_open_rupture
        {%- endif %}
    from scored
    where {{ rater }}_{{ component }} is not null
    {{ 'union all' if not (loop.last and rater_loop.last) }}
    {% endfor -%}
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
        count(distinct client_key) as n_clients,
        {{ counted() }} as n_sessions,
        count(distinct episode_key) as n_episodes,
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
        coalesce(grouped.n_clients, 0) as n_clients,
        coalesce(grouped.n_sessions, 0) as n_sessions,
        coalesce(grouped.n_episodes, 0) as n_episodes,
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
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then n_sessions end as n_sessions,
        case when is_shown then cast(n_episodes as integer) end as n_episodes,
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
