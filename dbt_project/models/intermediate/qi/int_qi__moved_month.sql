-- The months that a monthly table counts anew tonight: in which something that it counts
-- differs for a touched client from the night that tonight builds on; which are shown or
-- settled anew; and all of them when a clinic, an instrument or a method came or went. A
-- build of all counts every month.
-- Rule: ADR 70; quality_improvement.md 1.4, 1.5
{% set marts = [
    'alliance_monthly', 'completion_monthly', 'endings', 'outcome_monthly',
    'rupture_repair_monthly',
] -%}
{% set tables = {
    'fct_session': ['session_key', 'client_key', 'clinic_key', 'status', 'session_date'],
    'fct_episode': ['*'],
    'fct_rupture': ['*'],
    'fct_alliance_session': ['*'],
    'fct_episode_outcome': ['*'],
    'rupture_cohort': ['episode_key', 'method', 'pattern'],
    'int_qi__form_due': [
        'client_key', 'clinic_key', 'session_date', 'alliance_client', 'alliance_therapist',
        'outcome_client',
    ],
} -%}
{% set of_client = ['fct_session', 'fct_episode', 'fct_rupture', 'int_qi__form_due'] -%}
with

months as (
    select * from {{ ref('int_qi__month') }}
),

{% for table in ['int_qi__clinic'] + tables | list -%}
{{ table }}_all as (
    select * from {{ ref(table) }}
),

{% endfor -%}
marts as (
    {% for mart in marts -%}
    select '{{ mart }}' as mart
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

{% if not is_increment() -%}
final as (
    select
        marts.mart,
        months.month
    from marts
    cross join months
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

{% for table, columns in tables.items() -%}
{% set kept = columns | join(', ') -%}
{% set is_due = table == 'int_qi__form_due' -%}
{% set of = 'client' if table in of_client else 'episode' -%}
{% for night in ['before', 'now'] -%}
{{ table }}_{{ night }} as (
    select
        {{ kept }}
        {%- if is_due %},
        count(*) as n_rows
        {%- endif %}
    {% if night == 'before' -%}
    from {{ source('control', 'before_' ~ table) }}
    {%- else -%}
    from {{ table }}_all
    where {{ of }}_key in (select {{ of }}_key from touched_{{ of }})
    {%- endif %}
    {%- if is_due %}
    group by {{ kept }}
    {%- endif %}
),

{% endfor -%}
{{ table }}_changed as (
    {{ rows_apart(table ~ '_before', table ~ '_now') }}
),

{% endfor -%}
-- Whose an episode is: another client's or clinic's, it moves all that is counted by it.
{% for night in ['before', 'now'] -%}
owner_{{ night }} as (
    select
        episode_key,
        client_key,
        clinic_key
    from fct_episode_{{ night }}
),

closing_{{ night }} as (
    select
        episode_key,
        client_key,
        clinic_key,
        closed_on
    from fct_episode_{{ night }}
),

{% endfor -%}
owner_changed as (
    {{ rows_apart('owner_before', 'owner_now') }}
),

closing_changed as (
    {{ rows_apart('closing_before', 'closing_now') }}
),

counted as (
    select
        'alliance_monthly' as mart,
        session_date as day
    from fct_session_changed
    union all
    select
        'alliance_monthly' as mart,
        session_date as day
    from fct_alliance_session_changed
    union all
    select
        'completion_monthly' as mart,
        session_date as day
    from int_qi__form_due_changed
    union all
    select
        'endings' as mart,
        closed_on as day
    from fct_episode_changed
    union all
    select
        'outcome_monthly' as mart,
        closed_on as day
    from closing_changed
    union all
    select
        'rupture_repair_monthly' as mart,
        session_date as day
    from fct_alliance_session_changed
    union all
    select
        'rupture_repair_monthly' as mart,
        onset_date as day
    from fct_rupture_changed
    {% for night in ['before', 'now'] -%}
    union all
    select
        'endings' as mart,
        closed_on as day
    from fct_episode_{{ night }}
    where episode_key in (select episode_key from rupture_cohort_changed)
    union all
    select
        'outcome_monthly' as mart,
        closed_on as day
    from fct_episode_{{ night }}
    where episode_key in (select episode_key from fct_episode_outcome_changed)
    union all
    select
        'rupture_repair_monthly' as mart,
        session_date as day
    from fct_alliance_session_{{ night }}
    where episode_key in (select episode_key from owner_changed)
    union all
    select
        'rupture_repair_monthly' as mart,
        onset_date as day
    from fct_rupture_{{ night }}
    where episode_key in (select episode_key from owner_changed)
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

-- What each table has a row for in every month.
groups_before as (
    select
        mart,
        name
    from {{ source('control', 'before_group') }}
),

groups_now as (
    select
        marts.mart,
        int_qi__clinic_all.clinic_key as name
    from marts
    cross join int_qi__clinic_all
    union
    select
        'alliance_monthly' as mart,
        instrument as name
    from fct_alliance_session_all
    union
    select
        'outcome_monthly' as mart,
        instrument as name
    from fct_episode_outcome_all
    union
    select
        'rupture_repair_monthly' as mart,
        method || ' ' || instrument as name
    from rupture_cohort_all
    where instrument is not null
    union
    select
        'rupture_repair_monthly' as mart,
        method || ' ' || instrument as name
    from fct_rupture_all
    where rater = 'client'
),

groups_changed as (
    {{ rows_apart('groups_before', 'groups_now') }}
),

final as (
    select
        mart,
        {{ month_of('day') }} as month
    from counted
    where day is not null
    union
    select
        marts.mart,
        months_changed.month
    from marts
    cross join months_changed
    union
    -- A row may have been dated after the last night's as-of date.
    select
        marts.mart,
        months.month
    from marts
    cross join months
    cross join {{ source('control', 'before_run') }} as before_run
    where months.month >= {{ month_of('before_run.as_of') }}
    union
    select
        groups_changed.mart,
        months.month
    from groups_changed
    cross join months
    union
    select
        groups_changed.mart,
        months_before.month
    from groups_changed
    cross join months_before
)
{%- endif %}

select * from final
