-- One score of one filled-in form: each subscale and the total, valid or with the reason
-- why not.
-- Rule: measurement.md A4
with

scores as (
    select * from {{ ref('int_score__all') }}
),

forms as (
    select * from {{ ref('int_administration__linked') }}
),

final as (
    select
        forms.administration_key,
        forms.client_key,
        forms.episode_key,
        forms.session_key,
        forms.session_number,
        forms.instrument,
        forms.version,
        forms.rater,
        scores.subscale,
        scores.score,
        scores.n_answered,
        scores.n_items,
        scores.score_origin,
        scores.score is not null as is_valid,
        scores.invalid_reason,
        forms.administered_on
    from scores
    inner join forms on scores.administration_key = forms.administration_key
)

select * from final
