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
        -- The moment as an id: in UTC where an offset is written, else by the wall clock.
        case
            when recorded_at_offset_minutes is null then recorded_at_wall
            else {{ minutes_before('recorded_at_wall', 'recorded_at_offset_minutes') }}
        end as recorded_at_moment,
        recorded_at_offset_minutes is not null as has_recorded_at_offset,
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
