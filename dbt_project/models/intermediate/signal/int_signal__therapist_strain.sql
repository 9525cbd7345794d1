-- Signal `therapist_strain`: from a therapist form with persistent strain, none open, to
-- the second of two consecutive later forms without strain. Walked from one opening to the
-- next; the form that closes one opens none.
-- Rule: measurement.md I, E
with recursive

markers as (
    select * from {{ ref('int_form__therapist_marker') }}
),

sessions as (
    select * from {{ ref('int_session__numbered') }}
),

forms as (
    select
        markers.episode_key,
        markers.session_number,
        sessions.session_date,
        markers.is_strained,
        coalesce(markers.is_persistent, false) as is_persistent,
        cast(row_number() over (
            partition by markers.episode_key order by markers.session_number
        ) as integer) as form_number
    from markers
    inner join sessions on markers.session_key = sessions.session_key
),

rests as (
    select
        *,
        coalesce(not is_strained, false)
        and lag(coalesce(not is_strained, false), 1, false) over (
            partition by episode_key order by form_number
        ) as is_second_rest
    from forms
),

nexts as (
    select
        *,
        min(case when is_second_rest then form_number end) over (
            partition by episode_key
            order by form_number
            rows between 2 following and unbounded following
        ) as next_rest_number,
        min(case when is_persistent then form_number end) over (
            partition by episode_key
            order by form_number
            rows between 1 following and unbounded following
        ) as next_persistent_number
    from rests
),

walk as (
    select
        episode_key,
        min(form_number) as form_number
    from nexts
    where is_persistent
    group by episode_key
    union all
    select
        walk.episode_key,
        closings.next_persistent_number as form_number
    from walk
    inner join nexts as openings
        on
            walk.episode_key = openings.episode_key
            and walk.form_number = openings.form_number
    inner join nexts as closings
        on
            openings.episode_key = closings.episode_key
            and openings.next_rest_number = closings.form_number
    where closings.next_persistent_number is not null
),

final as (
    select
        'therapist_strain' as signal,
        cast(null as string) as instrument,
        openings.episode_key,
        openings.session_date as opened_on,
        openings.session_number as opened_order,
        closings.session_date as closed_on,
        case when closings.session_date is not null then 'settled' end as closed_reason,
        cast(null as string) as onset_session_key,
        cast(null as string) as series_therapist_key,
        {{ json_object([
            ['method', 'text', "'persistent_strain'"],
            ['opened_session', 'whole', 'openings.session_number'],
        ]) }} as evidence
    from walk
    inner join nexts as openings
        on
            walk.episode_key = openings.episode_key
            and walk.form_number = openings.form_number
    left join nexts as closings
        on
            openings.episode_key = closings.episode_key
            and openings.next_rest_number = closings.form_number
)

select * from final
