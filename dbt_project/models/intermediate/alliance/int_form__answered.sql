-- The answered items of the session forms that are used: one form a session and rater.
-- Rule: measurement.md A3, B10
with

answers as (
    select * from {{ ref('int_form__read') }}
),

used as (
    select * from {{ ref('int_administration__used') }} where domain = 'form'
),

final as (
    select
        used.session_key,
        answers.administration_key,
        answers.instrument,
        answers.rater,
        answers.item,
        answers.value
    from answers
    inner join used on answers.administration_key = used.administration_key
)

select * from final
