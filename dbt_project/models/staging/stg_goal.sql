-- Every delivered version of a goal; blank codes read as the interface says.
-- Rule: contract §3
with

delivered as (
    select * from {{ source('bronze', 'goals') }}
),

final as (
    select
        goal_key,
        client_key,
        episode_key,
        recorded_at_wall,
        coalesce(recorded_at_offset_minutes, 0) as recorded_at_offset_key,
        recorded_at_offset_minutes,
        recorded_at_is_date,
        rater,
        rater_raw,
        domain,
        domain_raw,
        priority,
        status,
        status_raw,
        source,
        batch_id,
        file_no,
        row_no
    from delivered
)

select * from final
