-- What the build saw and did not count, as numbers: rows held out until their parent
-- arrives, times that came twice, answers that are none.
-- Rule: design.md (the door), measurement.md A4, B1, B2
with

clients as (
    select * from {{ ref('int_client__current') }}
),

held as (
    {% for model, table in [
        ('int_session__current', 'sessions'),
        ('int_measure__current', 'measures'),
        ('int_episode__current', 'episodes'),
        ('int_diagnosis__current', 'diagnoses'),
    ] -%}
    select
        'held_until_client_arrives' as finding,
        '{{ table }}' as table_name,
        count(*) as n_rows
    from {{ ref(model) }} as waiting
    left join clients on waiting.client_key = clients.client_key
    where clients.client_key is null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

held_items as (
    select
        'held_until_administration_arrives' as finding,
        'measure_items' as table_name,
        count(*) as n_rows
    from {{ ref('int_measure_item__current') }} as items
    left join {{ ref('int_measure__current') }} as measures
        on items.administration_key = measures.administration_key
    where measures.administration_key is null
),

not_answered as (
    select
        case items.value_kind
            when 'empty' then 'item_empty'
            when 'text' then 'item_not_a_number'
            when 'conflict' then 'item_with_two_values'
            else 'item_out_of_range'
        end as finding,
        'measure_items' as table_name,
        count(distinct items.administration_key || '|' || items.item) as n_rows
    from {{ ref('int_item__answered') }} as answered
    inner join {{ ref('int_measure_item__current') }} as items
        on
            answered.administration_key = items.administration_key
            and answered.item = items.item
    where answered.value is null
    group by 1
),

totals as (
    select
        'total_disagrees_with_items' as finding,
        'measures' as table_name,
        count(*) as n_rows
    from {{ ref('int_administration__timed') }} as forms
    inner join {{ ref('int_score__scored') }} as scores
        on
            forms.administration_key = scores.administration_key
            and scores.subscale = 'total'
    inner join {{ ref('instrument') }} as instruments
        on forms.instrument = instruments.instrument
    where
        least(
            abs(forms.total_reported - scores.score),
            abs(
                forms.total_reported / coalesce(instruments.sum_divisor, 1) - scores.score
            )
        ) > 0.05
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

invalid as (
    select
        'form_' || invalid_reason as finding,
        'measures' as table_name,
        count(*) as n_rows
    from {{ ref('int_score__all') }}
    where subscale = 'total' and invalid_reason is not null
    group by invalid_reason
),

every_finding as (
    select * from held
    union all
    select * from held_items
    union all
    select * from not_answered
    union all
    select * from totals
    union all
    select * from cycles
    union all
    select * from invalid
),

final as (
    select
        finding,
        table_name,
        cast(n_rows as bigint) as n_rows
    from every_finding
)

select * from final
