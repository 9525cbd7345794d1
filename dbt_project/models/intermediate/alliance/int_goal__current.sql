-- Rows of goals' histories as they stand tonight, under the last id of a merged client. A
-- goal, its rater and the time of recording together identify a row.
-- Rule: measurement.md B1, F2, K1
{{ current_version('stg_goal', 'goals', ['goal_key', 'rater', 'recorded_at_moment', 'has_recorded_at_offset'], touched='client') }},

client_merges as (
    select * from {{ ref('int_client_merge__last') }}
),

final as (
    select
        version.goal_key,
        coalesce(client_merges.client_key, version.client_key) as client_key,
        version.episode_key,
        version.rater,
        version.recorded_at_wall,
        version.recorded_at_offset_minutes,
        version.recorded_at_is_date,
        version.domain,
        version.status,
        version.source
    from current_version as version
    left join client_merges on version.client_key = client_merges.old_client_key
)

select * from final
