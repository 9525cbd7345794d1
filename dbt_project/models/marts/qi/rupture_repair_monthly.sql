-- Ruptures by the month of their onset, method, instrument and lead component, and how many
-- were repaired. Methods are never mixed and instruments never added. Small groups hidden.
-- Rule: quality_improvement.md 2, rupture_repair_monthly
with recursive

counted as (
    select * from {{ ref('int_qi__rupture_month') }} {{ where_moved('rupture_repair_monthly', 'month') }}
),

{% set keys = ['month', 'clinic_key', 'method', 'instrument', 'lead_component'] %}
{{ suppressed_cells(
    'counted',
    keys,
    [
        {'column': 'lead_component', 'total': 'all', 'of': 'share'},
        {'column': 'clinic_key', 'total': 'all'},
    ],
    {'settled': 'n_settled'}
) }},

shown as (
    select
        counted.*,
        not cells.hide_row as is_shown,
        not cells.hide_settled as is_settled_shown
    from counted
    inner join cells on {{ same('counted', 'cells', keys) }}
),

final as (
    select
        month,
        clinic_key,
        method,
        instrument,
        lead_component,
        is_partial,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then n_scored_sessions end as n_scored_sessions,
        case when is_shown then n_ruptures end as n_ruptures,
        case when is_shown then n_likely end as n_likely,
        case when is_shown then 100 * {{ share_of('n_ruptures', 'n_scored_sessions') }} end
            as ruptures_per_100,
        case when is_settled_shown then n_settled end as n_settled,
        case when is_settled_shown then n_pending end as n_pending,
        case when is_settled_shown then n_resolved end as n_resolved,
        case when is_settled_shown then n_late_repair end as n_late_repair,
        case when is_settled_shown then n_unresolved end as n_unresolved,
        case when is_settled_shown then n_unresolved_at_close end
            as n_unresolved_at_close,
        case
            when is_settled_shown
                then {{ share_of('(n_resolved + n_late_repair)', 'n_settled') }}
        end as repaired_share,
        case when is_settled_shown then cast(median_sessions_to_repair as double) end
            as median_sessions_to_repair,
        not is_shown as suppressed,
        is_shown and not is_settled_shown as partly_suppressed
    from shown
)

select * from final
