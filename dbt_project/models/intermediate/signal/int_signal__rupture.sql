-- Signal `rupture`: from the onset of a default rupture to its repair within the window,
-- to the score that ends the window, or until the pair has parted, whichever comes first.
-- Rule: measurement.md I
with

ruptures as (
    select * from {{ ref('int_signal__rupture_course') }}
),

changes as (
    select * from {{ ref('int_signal__therapist_change') }}
),

closings as (
    select
        ruptures.*,
        changes.changed_session_number,
        changes.changed_on,
        case
            when ruptures.is_repaired_in_time then ruptures.repair_session_number
            else ruptures.escalated_session_number
        end as window_session_number
    from ruptures
    left join changes
        on
            ruptures.episode_key = changes.episode_key
            and ruptures.series_therapist = changes.series_therapist
            and ruptures.onset_session_number = changes.session_number
),

judged as (
    select
        *,
        case
            when
                changed_session_number is not null
                and (
                    window_session_number is null
                    or changed_session_number < window_session_number
                )
                then 'therapist_changed'
            when is_repaired_in_time then 'repaired'
            when escalated_session_number is not null then 'escalated'
        end as closed_reason
    from closings
),

final as (
    select
        'rupture' as signal,
        instrument,
        episode_key,
        onset_date as opened_on,
        onset_session_number as opened_order,
        case closed_reason
            when 'therapist_changed' then changed_on
            when 'repaired' then repair_date
            when 'escalated' then escalated_on
        end as closed_on,
        closed_reason,
        onset_session_key,
        series_therapist_key,
        {{ json_object([
            ['method', 'text', "'default_rc3'"],
            ['onset_session', 'whole', 'onset_session_number'],
            ['drop_ratio', 'ratio', 'drop_ratio'],
        ]) }} as evidence
    from judged
)

select * from final
