-- The attended session of each form: the one it names, else one of the same local date,
-- else the nearest date within the window. Alliance scales and forms look only back.
-- Rule: measurement.md B8
with

forms as (
    select * from {{ ref('int_administration__timed') }}
),

attended as (
    select * from {{ ref('int_session__numbered') }} where session_number is not null
),

candidates as (
    select
        forms.administration_key,
        attended.session_key,
        row_number() over (
            partition by forms.administration_key
            order by
                case
                    when forms.named_session_key = attended.session_key then 0 else 1
                end,
                abs({{ days_between('forms.administered_on', 'attended.session_date') }}),
                attended.session_date,
                case
                    when forms.therapist_key = attended.therapist_key then 0 else 1
                end,
                abs({{ seconds_between('forms.administered_at', 'attended.started_at') }}),
                attended.started_at,
                attended.session_key
        ) as choice
    from forms
    inner join attended on forms.client_key = attended.client_key
    where
        forms.named_session_key = attended.session_key
        or attended.session_date = forms.administered_on
        or (
            abs({{ days_between('forms.administered_on', 'attended.session_date') }})
            <= {{ setting('link.window_days') }}
            and (
                attended.session_date < forms.administered_on
                or coalesce(forms.domain = 'outcome', false)
            )
        )
),

final as (
    select
        administration_key,
        session_key
    from candidates
    where choice = 1
)

select * from final
