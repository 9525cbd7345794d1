-- The signal log: what earlier nights published of each signal, and of tonight what is new
-- or has changed since. Rows are only ever added.
-- Rule: design.md (signal log), measurement.md I
with

entries as (
    select * from {{ source('control', 'signal_log') }}
),

signals as (
    select * from {{ ref('fct_care_signal') }}
),

logged as (
    select * from {{ ref('int_signal__logged') }} where is_by_tonight
),

tonight as (
    select * from {{ source('control', 'run') }}
),

news as (
    select
        tonight.run_id,
        tonight.as_of,
        signals.signal_key,
        signals.signal,
        signals.instrument,
        signals.episode_key,
        signals.client_key,
        signals.therapist_key,
        signals.clinic_key,
        signals.opened_on,
        signals.first_detected_at,
        signals.closed_on,
        signals.closed_reason,
        signals.evidence
    from signals
    cross join tonight
    left join logged on signals.signal_key = logged.signal_key
    where
        logged.signal_key is null
        {% for column in [
            'client_key',
            'therapist_key',
            'clinic_key',
            'closed_on',
            'closed_reason',
            'evidence',
        ] -%}
        or signals.{{ column }} is distinct from logged.{{ column }}
        {% endfor %}
),

united as (
    select * from entries
    union all
    select * from news
),

final as (
    select
        run_id,
        as_of,
        signal_key,
        signal,
        instrument,
        episode_key,
        client_key,
        therapist_key,
        clinic_key,
        opened_on,
        first_detected_at,
        closed_on,
        closed_reason,
        evidence
    from united
)

select * from final
