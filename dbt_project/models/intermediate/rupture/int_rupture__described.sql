-- One row a rupture a method: where the alliance fell by the method's rule, and whether
-- it came back. Counts of different methods are never counts of the same thing.
-- Rule: measurement.md D
with

ruptures as (
    select * from {{ ref('int_rupture__onset') }}
),

leads as (
    select * from {{ ref('int_rupture__lead_component') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

methods as (
    select * from {{ ref('int_rupture__method') }}
),

episodes as (
    select * from {{ ref('int_episode__described') }}
),

thresholds as (
    select * from {{ ref('rupture_threshold') }}
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
        leads.lead_component,
        thresholds.total_up_to,
        thresholds.likely_intensity_from,
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
    inner join episodes on ruptures.episode_key = episodes.episode_key
    left join parameters on ruptures.instrument = parameters.instrument
    left join thresholds on ruptures.method = thresholds.method
    left join leads
        on
            ruptures.walk_no = leads.walk_no
            and ruptures.onset_number = leads.onset_number
),

final as (
    select
        judged.rupture_key,
        judged.method,
        cast(judged.method_version as string) as method_version,
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
            when judged.onset_intensity >= judged.likely_intensity_from then 'likely'
            when {{ le('judged.onset_score', 'judged.total_up_to') }} then 'likely'
            else 'possible'
        end as strength,
        coalesce(judged.lead_component, 'none') as lead_component,
        case
            when judged.status = 'pending' then null
            when judged.repair_number is null then 'l'
            when judged.repair_number <= judged.onset_number + 1 then 'v'
            else 'u'
        end as shape,
        judged.status,
        judged.repair_session_number,
        judged.repair_date,
        judged.repair_session_number - judged.onset_session_number as sessions_to_repair
    from judged
)

select * from final
