-- Each signal that was ever published, as it was last published by tonight's dates: a past
-- night that is built again sees the log as it stood then. When it was first detected is
-- never rewritten, whichever nights are built again.
-- Rule: measurement.md I, "As known on"
with

entries as (
    select * from {{ source('control', 'signal_log') }}
),

tonight as (
    select * from {{ source('control', 'run') }}
),

ranked as (
    select
        entries.*,
        min(entries.first_detected_at) over (
            partition by entries.signal_key
        ) as ever_first_detected_at,
        entries.as_of <= least(tonight.as_of, coalesce(tonight.known_on, tonight.as_of))
            as is_by_tonight,
        row_number() over (
            partition by entries.signal_key
            order by
                case
                    when
                        entries.as_of
                        <= least(tonight.as_of, coalesce(tonight.known_on, tonight.as_of))
                        then 0
                    else 1
                end,
                entries.as_of desc,
                entries.run_id desc
        ) as choice
    from entries
    cross join tonight
),

final as (
    select
        signal_key,
        signal,
        instrument,
        episode_key,
        client_key,
        therapist_key,
        clinic_key,
        opened_on,
        ever_first_detected_at as first_detected_at,
        closed_on,
        closed_reason,
        evidence,
        is_by_tonight
    from ranked
    where choice = 1
)

select * from final
