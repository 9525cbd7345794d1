-- What the build saw and did not count, as numbers over all clients. A finding that is
-- looked for row by row is named where there is none, too.
-- Rule: design.md (the door), measurement.md A, A3, A4, B1, B2, B10, F2
with

findings as (
    select * from {{ ref('int_finding__client') }}
),

always_named as (
    {% for finding, table in [
        ('held_until_client_arrives', 'sessions'),
        ('held_until_client_arrives', 'measures'),
        ('held_until_client_arrives', 'episodes'),
        ('held_until_client_arrives', 'diagnoses'),
        ('held_until_client_arrives', 'goals'),
        ('held_until_administration_arrives', 'measure_items'),
        ('total_disagrees_with_items', 'measures'),
        ('form_of_another_version', 'measures'),
        ('session_form_wrong_rater', 'measures'),
        ('form_before_first_session', 'measures'),
        ('form_names_anothers_session', 'measures'),
        ('form_beside_the_used_one', 'measures'),
        ('goal_wrong_rater', 'goals'),
    ] -%}
    select
        '{{ finding }}' as finding,
        '{{ table }}' as table_name,
        0 as n_rows
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

cycles as (
    select
        'merge_cycle' as finding,
        'client_merges' as table_name,
        count(*) as n_rows
    from {{ ref('int_client_merge__current') }} as client_merges
    left join {{ ref('int_client_merge__last') }} as last_ids
        on client_merges.old_client_key = last_ids.old_client_key
    where last_ids.old_client_key is null
),

every_finding as (
    select
        finding,
        table_name,
        n_rows
    from findings
    union all
    select * from always_named
    union all
    select * from cycles
),

final as (
    select
        finding,
        table_name,
        cast(sum(n_rows) as bigint) as n_rows
    from every_finding
    group by finding, table_name
)

select * from final
