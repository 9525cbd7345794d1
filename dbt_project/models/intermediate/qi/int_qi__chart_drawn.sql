-- What each chart over time draws, month by month. Only published numbers are drawn.
-- Rule: quality_improvement.md 2 (chart ids), 3
with

completion as (
    select * from {{ ref('completion_monthly') }}
),

alliance as (
    select * from {{ ref('alliance_monthly') }}
),

ruptures as (
    select * from {{ ref('rupture_repair_monthly') }}
),

outcomes as (
    select * from {{ ref('outcome_monthly') }}
),

endings as (
    select * from {{ ref('endings') }}
),

drawn as (
    select
        'completion.' || form as chart_id,
        'completion' as indicator,
        cast(null as string) as instrument,
        'p_prime' as kind,
        'up' as direction,
        clinic_key,
        month,
        is_partial,
        completion as value,
        n_complete as numerator,
        n_sessions as denominator,
        true as is_complete
    from completion
    where true
    union all
    select
        'alliance.' || instrument || '.' || rater || '.' || component as chart_id,
        'alliance' as indicator,
        instrument,
        'xmr' as kind,
        'up' as direction,
        clinic_key,
        month,
        is_partial,
        mean_score as value,
        cast(null as integer) as numerator,
        cast(null as integer) as denominator,
        true as is_complete
    from alliance
    where rater = 'client'
    union all
    select
        'alliance.' || instrument || '.' || rater || '.' || component as chart_id,
        'alliance' as indicator,
        instrument,
        'xmr' as kind,
        'neutral' as direction,
        clinic_key,
        month,
        is_partial,
        mean_score as value,
        cast(null as integer) as numerator,
        cast(null as integer) as denominator,
        true as is_complete
    from alliance
    where rater = 'therapist'
    union all
    select
        'rupture_rate.' || method || '.' || instrument as chart_id,
        'rupture_rate' as indicator,
        instrument,
        'u_prime' as kind,
        'neutral' as direction,
        clinic_key,
        month,
        is_partial,
        {{ share_of('n_ruptures', 'n_scored_sessions') }} as value,
        n_ruptures as numerator,
        n_scored_sessions as denominator,
        true as is_complete
    from ruptures
    where lead_component = 'all'
    union all
    select
        'repaired.' || method || '.' || instrument as chart_id,
        'repaired' as indicator,
        instrument,
        'p_prime' as kind,
        'up' as direction,
        clinic_key,
        month,
        is_partial,
        repaired_share as value,
        n_resolved + n_late_repair as numerator,
        n_settled as denominator,
        n_pending = 0 as is_complete
    from ruptures
    where lead_component = 'all'
    union all
    select
        'improved.' || instrument as chart_id,
        'improved' as indicator,
        instrument,
        'p_prime' as kind,
        'up' as direction,
        clinic_key,
        month,
        is_partial,
        improved_share as value,
        n_improved as numerator,
        n_paired as denominator,
        true as is_complete
    from outcomes
    where true
    union all
    select
        'deteriorated.' || instrument as chart_id,
        'deteriorated' as indicator,
        instrument,
        'p_prime' as kind,
        'down' as direction,
        clinic_key,
        month,
        is_partial,
        deteriorated_share as value,
        n_deteriorated as numerator,
        n_paired as denominator,
        true as is_complete
    from outcomes
    where true
    union all
    select
        'recovered.' || instrument as chart_id,
        'recovered' as indicator,
        instrument,
        'p_prime' as kind,
        'up' as direction,
        clinic_key,
        month,
        is_partial,
        recovered_share as value,
        n_recovered as numerator,
        n_at_risk as denominator,
        true as is_complete
    from outcomes
    where true
    union all
    select
        'paired.' || instrument as chart_id,
        'paired' as indicator,
        instrument,
        'p_prime' as kind,
        'up' as direction,
        clinic_key,
        month,
        is_partial,
        paired_share as value,
        n_paired as numerator,
        n_closed as denominator,
        true as is_complete
    from outcomes
    where true
    union all
    select
        'dropout' as chart_id,
        'dropout' as indicator,
        cast(null as string) as instrument,
        'p_prime' as kind,
        'down' as direction,
        clinic_key,
        month,
        is_partial,
        dropout_share as value,
        n_dropout as numerator,
        n_dropout_known as denominator,
        true as is_complete
    from endings
    where pattern = 'all'
),

final as (
    select
        chart_id,
        indicator,
        instrument,
        kind,
        direction,
        clinic_key,
        month,
        cast(value as double) as value,
        cast(case when value is not null then numerator end as integer) as numerator,
        cast(case when value is not null then denominator end as integer) as denominator,
        case when value is not null then is_complete and not is_partial end as used
    from drawn
)

select * from final
