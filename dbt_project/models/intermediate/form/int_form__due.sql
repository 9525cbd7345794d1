-- The forms that each attended individual session asks for, and whether they were filled in.
-- Kept from night to night: who completes what is counted from here, not from every score.
-- Rule: quality_improvement.md 2, completion_monthly
with

sessions as (
    select * from {{ ref('int_session__numbered') }}
),

scores as (
    select * from {{ ref('int_score__all') }} where subscale = 'total'
),

administrations as (
    select * from {{ ref('int_administration__linked') }} where session_key is not null
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
        administrations.session_key,
        {% for form, (domain, rater) in forms.items() -%}
        max(case
            when domains.domain = '{{ domain }}' and administrations.rater = '{{ rater }}'
                then case when scores.score is not null then 1 else 0 end
        end) as {{ form }}{{ ',' if not loop.last }}
        {% endfor %}
    from administrations
    inner join scores on administrations.administration_key = scores.administration_key
    inner join domains on administrations.instrument = domains.instrument
    group by administrations.session_key
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
