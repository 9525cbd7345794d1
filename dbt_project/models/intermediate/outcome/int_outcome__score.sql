-- One valid outcome total a day for each episode and instrument, in order.
-- Rule: measurement.md B10, G1
with

forms as (
    select * from {{ ref('int_administration__linked') }}
    where
        domain = 'outcome'
        and is_right_rater
        and episode_key is not null
),

totals as (
    select * from {{ ref('int_score__all') }}
    where subscale = 'total' and score is not null
),

ranked as (
    select
        forms.episode_key,
        forms.client_key,
        forms.instrument,
        forms.administered_on,
        forms.administered_at,
        forms.administration_key,
        forms.session_number,
        totals.score,
        row_number() over (
            partition by forms.episode_key, forms.instrument, forms.administered_on
            order by
                forms.administered_at desc,
                forms.updated_at desc nulls last,
                forms.administration_key desc
        ) as choice
    from forms
    inner join totals on forms.administration_key = totals.administration_key
),

final as (
    select
        *,
        cast(row_number() over (
            partition by episode_key, instrument
            order by administered_on, administered_at, administration_key
        ) as integer) as score_number,
        cast(count(*) over (
            partition by episode_key, instrument
        ) as integer) as n_scores
    from ranked
    where choice = 1
)

select * from final
