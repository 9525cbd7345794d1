-- The forms that each attended individual session asks for, and whether they were filled in.
-- Kept from night to night, for the touched clients to be computed anew: to join all scores
-- to all sessions each night cost more than what is counted from it.
-- Rule: quality_improvement.md 2, completion_monthly
with

sessions as (
    select * from {{ ref('fct_session') }} {{ where_touched('client_key') }}
),

scores as (
    select * from {{ ref('fct_measure_score') }} {{ where_touched('client_key') }}
),

domains as (
    select distinct
        instrument,
        domain
    from {{ ref('dim_instrument') }}
    where domain in ('alliance', 'outcome')
),

{% set forms = {
    'alliance_client': ('alliance', 'client'),
    'alliance_therapist': ('alliance', 'therapist'),
    'outcome_client': ('outcome', 'client'),
} -%}
filled as (
    select
        scores.session_key,
        {% for form, (domain, rater) in forms.items() -%}
        max(case
            when domains.domain = '{{ domain }}' and scores.rater = '{{ rater }}'
                then case when scores.is_valid then 1 else 0 end
        end) as {{ form }}{{ ',' if not loop.last }}
        {% endfor %}
    from scores
    inner join domains on scores.instrument = domains.instrument
    where scores.subscale = 'total' and scores.session_key is not null
    group by scores.session_key
),

final as (
    select
        sessions.client_key,
        sessions.clinic_key,
        sessions.session_date,
        {% for form in forms -%}
        case filled.{{ form }}
            when 1 then 'complete'
            when 0 then 'invalid'
            else 'none'
        end as {{ form }}{{ ',' if not loop.last }}
        {% endfor %}
    from sessions
    left join filled on sessions.session_key = filled.session_key
    where
        sessions.status = 'attended'
        and (sessions.modality = 'individual' or sessions.modality is null)
)

select * from final
