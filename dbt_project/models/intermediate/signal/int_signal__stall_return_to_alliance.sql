-- Signal `stall_return_to_alliance`: from the date of a stall to the session at which the
-- alliance was reviewed or the form with which recovery resumed; both on one date: reviewed.
-- Rule: measurement.md I, G3
with

spells as (
    select * from {{ ref('int_stall__spell') }}
),

reviews as (
    select * from {{ ref('int_stall__review') }}
),

judged as (
    select
        spells.*,
        reviews.review_date,
        case
            when
                reviews.review_date is not null
                and (
                    spells.resumed_date is null
                    or reviews.review_date <= spells.resumed_date
                )
                then 'reviewed'
            when spells.resumed_date is not null then 'resumed'
        end as closed_reason
    from spells
    inner join reviews
        on
            spells.episode_key = reviews.episode_key
            and spells.instrument = reviews.instrument
            and spells.stall_number = reviews.stall_number
),

final as (
    select
        'stall_return_to_alliance' as signal,
        instrument,
        episode_key,
        stall_date as opened_on,
        stall_number as opened_order,
        case closed_reason
            when 'reviewed' then review_date
            when 'resumed' then resumed_date
        end as closed_on,
        closed_reason,
        cast(null as string) as onset_session_key,
        cast(null as string) as series_therapist_key,
        {{ json_object([
            ['method', 'text', "'stall'"],
            ['stall_session', 'whole', 'stall_session_number'],
        ]) }} as evidence
    from judged
)

select * from final
