-- Signal `weak_early_alliance`: from the session of a weak early alliance to the next
-- client total of the primary instrument that is not weak. A second or first session
-- speaks for the early alliance only once five are attended.
-- Rule: measurement.md I, G2
with

early as (
    select * from {{ ref('int_outcome__early_alliance') }}
    where early_alliance_band = 'weak'
),

episodes as (
    select * from {{ ref('int_signal__episode_end') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

sessions as (
    select
        scores.*,
        {{ alliance_band('scores.client_total', 'scores.instrument', 'parameters') }}
            as band
    from {{ ref('int_alliance__session_score') }} as scores
    inner join parameters on scores.instrument = parameters.instrument
    where scores.client_total is not null
),

recoveries as (
    select
        early.episode_key,
        sessions.session_date as recovered_on,
        row_number() over (
            partition by early.episode_key order by sessions.session_number
        ) as choice
    from early
    inner join sessions
        on
            early.episode_key = sessions.episode_key
            and early.instrument = sessions.instrument
            and early.early_alliance_session < sessions.session_number
            and sessions.band <> 'weak'
),

final as (
    select
        'weak_early_alliance' as signal,
        early.instrument,
        early.episode_key,
        early.early_alliance_date as opened_on,
        early.early_alliance_session as opened_order,
        recoveries.recovered_on as closed_on,
        case when recoveries.episode_key is not null then 'recovered' end
            as closed_reason,
        cast(null as string) as onset_session_key,
        cast(null as string) as series_therapist_key,
        {{ json_object([
            ['method', 'text', "'early_alliance'"],
            ['opened_session', 'whole', 'early.early_alliance_session'],
            [
                'share_of_range',
                'ratio',
                '(early.early_alliance - parameters.scale_min)'
                ~ ' / (parameters.scale_max - parameters.scale_min)',
            ],
        ]) }} as evidence
    from early
    inner join episodes on early.episode_key = episodes.episode_key
    inner join parameters on early.instrument = parameters.instrument
    left join recoveries
        on early.episode_key = recoveries.episode_key and recoveries.choice = 1
    where early.early_alliance_session >= 3 or episodes.n_attended >= 5
)

select * from final
