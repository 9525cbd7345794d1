-- Signal `rupture_unrepaired`: from the score that ended a rupture's repair window without
-- a repair, whatever closed `rupture`, to its late repair or until the pair has parted.
-- Rule: measurement.md I
with

ruptures as (
    select * from {{ ref('int_signal__rupture_course') }}
    where escalated_session_number is not null
),

changes as (
    select * from {{ ref('int_signal__therapist_change') }}
),

judged as (
    select
        ruptures.*,
        changes.changed_on,
        case
            when
                changes.changed_session_number is not null
                and (
                    ruptures.repair_session_number is null
                    or changes.changed_session_number < ruptures.repair_session_number
                )
                then 'therapist_changed'
            when ruptures.repair_session_number is not null then 'repaired'
        end as closed_reason
    from ruptures
    left join changes
        on
            ruptures.episode_key = changes.episode_key
            and ruptures.series_therapist = changes.series_therapist
            and ruptures.escalated_session_number = changes.session_number
),

final as (
    select
        'rupture_unrepaired' as signal,
        instrument,
        episode_key,
        escalated_on as opened_on,
        onset_session_number as opened_order,
        case closed_reason
            when 'therapist_changed' then changed_on
            when 'repaired' then repair_date
        end as closed_on,
        closed_reason,
        onset_session_key,
        series_therapist_key,
        {{ json_object([
            ['method', 'text', "'default_rc3'"],
            ['onset_session', 'whole', 'onset_session_number'],
            ['opened_session', 'whole', 'escalated_session_number'],
            ['drop_ratio', 'ratio', 'drop_ratio'],
        ]) }} as evidence
    from judged
)

select * from final
