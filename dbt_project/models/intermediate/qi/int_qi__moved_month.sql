-- The months of which a monthly number may differ from the night that tonight builds on: one
-- in which a counted row of a touched client differs, one that is shown or settled anew, and
-- all of them when a clinic, an instrument or a method came or went. A build of all counts
-- every month.
-- Rule: ADR 70; quality_improvement.md 1.4, 1.5
{% set of_client = ['fct_session', 'fct_episode', 'fct_rupture'] -%}
{% set of_episode = ['fct_alliance_session', 'fct_episode_outcome', 'rupture_cohort'] -%}
{% set due = [
    'client_key', 'clinic_key', 'session_date', 'alliance_client', 'alliance_therapist',
    'outcome_client',
] -%}
{% set tables = of_client + of_episode + ['int_form__due'] -%}
with

months as (
    select * from {{ ref('int_qi__month') }}
),

clinics as (
    select * from {{ ref('int_qi__clinic') }}
),

{% for table in tables -%}
{{ table }}_all as (
    select * from {{ ref(table) }}
),

{% endfor -%}
{% if not is_increment() -%}
final as (
    select month from months
)
{%- else -%}
touched_client as (
    select client_key from {{ source('control', 'touched_client') }}
),

touched_episode as (
    select episode_key
    from fct_episode_all
    where client_key in (select client_key from touched_client)
),

{% for table in tables -%}
{{ table }}_before as (
    {% if table == 'int_form__due' -%}
    select
        {{ due | join(', ') }},
        count(*) as n_rows
    from {{ source('control', 'before_' ~ table) }}
    group by {{ due | join(', ') }}
    {%- else -%}
    select * from {{ source('control', 'before_' ~ table) }}
    {%- endif %}
),

{{ table }}_now as (
    {% if table == 'int_form__due' -%}
    select
        {{ due | join(', ') }},
        count(*) as n_rows
    from {{ table }}_all
    where client_key in (select client_key from touched_client)
    group by {{ due | join(', ') }}
    {%- elif table in of_client -%}
    select * from {{ table }}_all
    where client_key in (select client_key from touched_client)
    {%- else -%}
    select * from {{ table }}_all
    where episode_key in (select episode_key from touched_episode)
    {%- endif %}
),

{{ table }}_changed as (
    {{ rows_apart(table ~ '_before', table ~ '_now') }}
),

{% endfor -%}
-- An episode that came, went, or is another client's or clinic's moves all that it counts in.
placed_before as (
    select
        episode_key,
        client_key,
        clinic_key
    from fct_episode_before
),

placed_now as (
    select
        episode_key,
        client_key,
        clinic_key
    from fct_episode_now
),

placed_changed as (
    {{ rows_apart('placed_before', 'placed_now') }}
),

closed_changed as (
    select episode_key from fct_episode_changed
    union
    select episode_key from fct_episode_outcome_changed
    union
    select episode_key from rupture_cohort_changed
),

counted_days as (
    select session_date as day from fct_session_changed
    union all
    select session_date as day from int_form__due_changed
    union all
    select session_date as day from fct_alliance_session_changed
    union all
    select onset_date as day from fct_rupture_changed
    {% for night in ['before', 'now'] -%}
    union all
    select closed_on as day
    from fct_episode_{{ night }}
    where episode_key in (select episode_key from closed_changed)
    union all
    select session_date as day
    from fct_alliance_session_{{ night }}
    where episode_key in (select episode_key from placed_changed)
    union all
    select onset_date as day
    from fct_rupture_{{ night }}
    where episode_key in (select episode_key from placed_changed)
    {% endfor %}
),

months_before as (
    select
        month,
        is_partial
    from {{ source('control', 'before_month') }}
),

months_now as (
    select
        month,
        is_partial
    from months
),

months_changed as (
    {{ rows_apart('months_before', 'months_now') }}
),

groups_before as (
    select
        kind,
        name
    from {{ source('control', 'before_group') }}
),

groups_now as (
    select
        'clinic' as kind,
        clinic_key as name
    from clinics
    union
    select
        'alliance' as kind,
        instrument as name
    from fct_alliance_session_all
    union
    select
        'outcome' as kind,
        instrument as name
    from fct_episode_outcome_all
    union
    select
        'rupture' as kind,
        method || ' ' || instrument as name
    from rupture_cohort_all
    where instrument is not null
    union
    select
        'rupture' as kind,
        method || ' ' || instrument as name
    from fct_rupture_all
    where rater = 'client'
),

groups_changed as (
    {{ rows_apart('groups_before', 'groups_now') }}
),

final as (
    select {{ month_of('day') }} as month
    from counted_days
    where day is not null
    union
    select month from months_changed
    union
    -- A row may have been dated after the last night's as-of date.
    select months.month
    from months
    cross join {{ source('control', 'before_run') }} as before_run
    where months.month >= {{ month_of('before_run.as_of') }}
    union
    select months.month
    from months
    cross join groups_changed
    union
    select months_before.month
    from months_before
    cross join groups_changed
)
{%- endif %}

select * from final
