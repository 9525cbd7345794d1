-- One row a rupture a method: a drop of the client's alliance beyond measurement error
-- from where this pair usually stands, and whether it came back.
-- Rule: measurement.md D
with

ruptures as (
    select * from {{ ref('int_rupture__onset') }}
),

troughs as (
    select * from {{ ref('int_rupture__trough') }}
),

leads as (
    select * from {{ ref('int_rupture__lead_component') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

methods as (
    select * from {{ ref('rupture_method') }}
),

episodes as (
    select * from {{ ref('int_episode__described') }}
),

first_seen as (
    select * from {{ source('control', 'first_seen') }} where kind = 'rupture'
),

tonight as (
    select * from {{ source('control', 'run') }}
),

judged as (
    select
        {{ keyed_hash('ru_', [
            'ruptures.method',
            'ruptures.instrument',
            'ruptures.episode_key',
            'ruptures.series_therapist',
            'ruptures.onset_session_key',
        ]) }} as rupture_key,
        ruptures.*,
        methods.method_version,
        troughs.trough_score,
        leads.lead_component,
        ruptures.baseline - ruptures.onset_score as drop_size,
        (ruptures.baseline - ruptures.onset_score) / parameters.rc_total as drop_ratio,
        case
            when ruptures.repair_number is not null
                then case
                    when
                        ruptures.repair_number - ruptures.onset_number
                        <= {{ setting('rupture.repair_window') }}
                        then 'resolved'
                    else 'late_repair'
                end
            when ruptures.n_further >= {{ setting('rupture.repair_window') }}
                then 'unresolved'
            when episodes.is_closed then 'unresolved_at_close'
            else 'pending'
        end as status
    from ruptures
    inner join methods on ruptures.method = methods.method
    inner join parameters on ruptures.instrument = parameters.instrument
    inner join episodes on ruptures.episode_key = episodes.episode_key
    inner join troughs
        on
            ruptures.method = troughs.method
            and ruptures.episode_key = troughs.episode_key
            and ruptures.instrument = troughs.instrument
            and ruptures.series_therapist = troughs.series_therapist
            and ruptures.onset_number = troughs.onset_number
    left join leads
        on
            ruptures.method = leads.method
            and ruptures.episode_key = leads.episode_key
            and ruptures.instrument = leads.instrument
            and ruptures.series_therapist = leads.series_therapist
            and ruptures.onset_number = leads.onset_number
),

final as (
    select
        judged.rupture_key,
        judged.method,
        cast(judged.method_version as varchar) as method_version,
        judged.episode_key,
        judged.client_key,
        judged.series_therapist_key as therapist_key,
        judged.instrument,
        'client' as rater,
        judged.onset_session_number,
        judged.onset_date,
        judged.baseline,
        judged.onset_score,
        judged.trough_score,
        judged.drop_size,
        judged.drop_ratio,
        case
            when {{ ge('judged.drop_ratio', setting('rupture.likely_ratio')) }}
                then 'likely'
            else 'possible'
        end as strength,
        coalesce(judged.lead_component, 'none') as lead_component,
        case
            when judged.status = 'pending' then null
            when judged.repair_number is null then 'l'
            when judged.repair_number = judged.onset_number + 1 then 'v'
            else 'u'
        end as shape,
        judged.status,
        judged.repair_session_number,
        judged.repair_date,
        judged.repair_session_number - judged.onset_session_number as sessions_to_repair,
        coalesce(first_seen.first_seen_at, tonight.as_of_at) as first_seen_at
    from judged
    cross join tonight
    left join first_seen on judged.rupture_key = first_seen.key
)

select * from final
