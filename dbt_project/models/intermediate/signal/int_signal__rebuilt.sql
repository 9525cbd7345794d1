-- One row a signal that tonight's history yields: nothing opens after its episode's end,
-- and whatever is then open, or would close later, closes there. A second opening of one
-- kind on one day, which few forms in a day can make, is told apart by its place.
-- Rule: measurement.md I
with

events as (
    {% for signal in [
        'rupture',
        'rupture_unrepaired',
        'stall_return_to_alliance',
        'therapist_strain',
        'goal_mismatch',
        'weak_early_alliance',
        'deterioration',
        'disengagement',
    ] -%}
    select * from {{ ref('int_signal__' ~ signal) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

episodes as (
    select * from {{ ref('int_signal__episode_end') }}
),

bounded as (
    select
        events.signal,
        events.instrument,
        events.episode_key,
        episodes.client_key,
        case
            when events.signal in ('rupture', 'rupture_unrepaired')
                then events.series_therapist_key
            else episodes.therapist_key
        end as therapist_key,
        episodes.clinic_key,
        events.opened_on,
        events.onset_session_key,
        events.series_therapist_key,
        events.evidence,
        case
            when events.closed_on < events.opened_on then events.opened_on
            else events.closed_on
        end as settled_on,
        events.closed_reason as settled_reason,
        episodes.ends_on,
        row_number() over (
            partition by
                events.signal,
                events.episode_key,
                events.instrument,
                events.opened_on,
                events.onset_session_key,
                events.series_therapist_key
            order by events.opened_order
        ) as opening_of_day
    from events
    inner join episodes on events.episode_key = episodes.episode_key
    where episodes.ends_on is null or events.opened_on <= episodes.ends_on
),

judged as (
    select
        *,
        coalesce(
            ends_on < coalesce(settled_on, {{ days_after('ends_on', 1) }}), false
        ) as is_ended_first
    from bounded
),

final as (
    select
        {{ keyed_hash('si_', [
            'signal',
            'episode_key',
            "coalesce(instrument, 'none')",
            'cast(opened_on as string)',
            'onset_session_key',
            'series_therapist_key',
            'case when opening_of_day > 1 then cast(opening_of_day as string) end',
        ]) }} as signal_key,
        signal,
        instrument,
        episode_key,
        client_key,
        therapist_key,
        clinic_key,
        opened_on,
        case when is_ended_first then ends_on else settled_on end as closed_on,
        case when is_ended_first then 'episode_closed' else settled_reason end
            as closed_reason,
        evidence
    from judged
)

select * from final
