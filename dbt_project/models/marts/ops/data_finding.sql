-- What the build saw and did not count, as numbers: rows held out until their parent
-- arrives, times that came twice or never were, answers that are none, forms that are
-- published and feed nothing.
-- Rule: design.md (the door), measurement.md A, A3, A4, B1, B2, B10, F2
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
        ('int_goal__current', 'goals'),
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

registry as (
    select
        instrument,
        item,
        max(case when subscale in ('total', 'form') then 1 else 0 end) = 1 as is_scored
    from {{ ref('int_registry__item') }}
    group by instrument, item
),

read_items as (
    select
        items.value_kind,
        registry.item is not null as is_known,
        answered.value is null and form_answers.item is null as is_not_answered,
        registry.is_scored
    from {{ ref('int_administration__timed') }} as forms
    inner join {{ ref('int_measure_item__current') }} as items
        on forms.administration_key = items.administration_key
    left join registry
        on forms.instrument = registry.instrument and items.item = registry.item
    left join {{ ref('int_item__answered') }} as answered
        on
            forms.administration_key = answered.administration_key
            and items.item = answered.item
            and answered.subscale = 'total'
    left join {{ ref('int_form__read') }} as form_answers
        on
            forms.administration_key = form_answers.administration_key
            and items.item = form_answers.item
    where forms.is_known_instrument and forms.is_right_rater
),

not_answered as (
    select
        case
            when not is_known then 'item_unknown'
            when value_kind = 'empty' then 'item_empty'
            when value_kind = 'text' then 'item_not_a_number'
            when value_kind = 'conflict' then 'item_with_two_values'
            else 'item_out_of_range'
        end as finding,
        'measure_items' as table_name,
        count(*) as n_rows
    from read_items
    where not is_known or (is_scored and is_not_answered)
    group by finding
),

clocks as (
    select
        case clock_finding when 'twice' then 'time_came_twice' else 'time_never_was' end
            as finding,
        table_name,
        count(*) as n_rows
    from (
        select
            'sessions' as table_name,
            clock_finding
        from {{ ref('int_session__timed') }}
        union all
        select
            'measures' as table_name,
            clock_finding
        from {{ ref('int_administration__timed') }}
    ) as moments
    where clock_finding is not null
    group by finding, table_name
),

first_attended as (
    select
        client_key,
        min(session_date) as first_session_date
    from {{ ref('int_session__numbered') }}
    where session_number is not null
    group by client_key
),

loose_forms as (
    select
        linked.administration_key,
        linked.is_other_version,
        linked.domain = 'form' and not linked.is_right_rater as is_form_of_wrong_rater,
        linked.session_key is null
        and linked.administered_on < first_attended.first_session_date as is_before_first,
        sessions.session_key is not null
        and sessions.client_key <> linked.client_key as is_anothers_session,
        linked.session_key is not null
        and linked.is_known_instrument
        and linked.is_right_rater
        and used.administration_key is null as is_not_used
    from {{ ref('int_administration__linked') }} as linked
    left join {{ ref('int_session__current') }} as sessions
        on linked.named_session_key = sessions.session_key
    left join {{ ref('int_administration__used') }} as used
        on linked.administration_key = used.administration_key
    left join first_attended on linked.client_key = first_attended.client_key
),

forms as (
    {% for finding, condition in [
        ('form_of_another_version', 'is_other_version'),
        ('session_form_wrong_rater', 'is_form_of_wrong_rater'),
        ('form_before_first_session', 'is_before_first'),
        ('form_names_anothers_session', 'is_anothers_session'),
        ('form_beside_the_used_one', 'is_not_used'),
    ] -%}
    select
        '{{ finding }}' as finding,
        'measures' as table_name,
        count(*) as n_rows
    from loose_forms
    where {{ condition }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

goals as (
    select
        'goal_wrong_rater' as finding,
        'goals' as table_name,
        count(*) as n_rows
    from {{ ref('int_goal__current') }}
    where rater not in ('client', 'therapist')
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
    inner join {{ ref('int_registry__instrument') }} as instruments
        on forms.instrument = instruments.instrument
    where
        least(
            abs(forms.total_reported - scores.score),
            abs(
                forms.total_reported / coalesce(instruments.sum_divisor, 1) - scores.score
            )
        ) > 0.05 + {{ eps() }}
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
    select * from clocks
    union all
    select * from forms
    union all
    select * from goals
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
