-- The one form used for a session, instrument and rater: the last of those with a valid
-- total; if none has one, or for forms that are no scales, simply the last.
-- Rule: measurement.md B10
with

forms as (
    select * from {{ ref('int_administration__linked') }}
    where session_key is not null and is_known_instrument and is_right_rater
),

valid_totals as (
    select administration_key
    from {{ ref('int_score__all') }}
    where subscale = 'total' and score is not null
),

ranked as (
    select
        forms.*,
        row_number() over (
            partition by forms.session_key, forms.instrument, forms.rater
            order by
                case when valid_totals.administration_key is null then 1 else 0 end,
                forms.administered_at desc,
                forms.updated_at desc nulls last,
                forms.administration_key desc
        ) as choice
    from forms
    left join valid_totals on forms.administration_key = valid_totals.administration_key
),

final as (
    select * from ranked where choice = 1
)

select * from final
