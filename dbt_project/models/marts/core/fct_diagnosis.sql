-- One diagnosis of a client by its date and episode. Primary at index is the first code of
-- the first attended session, else the latest active diagnosis up to that date.
-- Rule: contract §4
with

diagnoses as (
    select diagnoses.*
    from {{ ref('int_diagnosis__current') }} as diagnoses
    inner join {{ ref('int_client__current') }} as clients
        on diagnoses.client_key = clients.client_key
    where
        diagnoses.recorded_on <= {{ as_of() }}
        and diagnoses.status not in ('refuted', 'entered_in_error')
),

spans as (
    select * from {{ ref('int_episode__span') }}
),

sessions as (
    select * from {{ ref('int_session__numbered') }} where session_number = 1
),

-- Two delivered rows that differ only in spelling or status are one diagnosis.
recorded as (
    select
        client_key,
        system,
        code,
        recorded_on,
        max(case when status = 'active' then 1 else 0 end) as is_active
    from diagnoses
    group by client_key, system, code, recorded_on
),

containing as (
    select
        recorded.client_key,
        recorded.system,
        recorded.code,
        recorded.recorded_on,
        spans.episode_key,
        row_number() over (
            partition by
                recorded.client_key, recorded.system, recorded.code, recorded.recorded_on
            order by
                {{ episode_choice('spans') }}
        ) as choice
    from recorded
    inner join spans on recorded.client_key = spans.client_key
    where {{ episode_holds('spans', 'recorded.recorded_on') }}
),

placed as (
    select
        recorded.*,
        containing.episode_key
    from recorded
    left join containing
        on
            recorded.client_key = containing.client_key
            and recorded.system = containing.system
            and recorded.code = containing.code
            and recorded.recorded_on = containing.recorded_on
            and containing.choice = 1
),

first_codes as (
    select
        client_key,
        episode_key,
        split_part(diagnosis_codes, ';', 1) as code,
        session_date as recorded_on
    from sessions
    where diagnosis_codes is not null
),

-- A session names codes without their system; their shapes tell them apart.
index_codes as (
    select
        client_key,
        episode_key,
        case
            when substr(code, 2, 1) between 'A' and 'Z' then 'icd11'
            when substr(code, 1, 1) between '0' and '9' then 'icd9'
            else 'icd10'
        end as system,
        code,
        recorded_on
    from first_codes
),

-- Where the first session names no code: the latest active diagnosis up to its date.
fallbacks as (
    select
        sessions.episode_key,
        recorded.client_key,
        recorded.system,
        recorded.code,
        recorded.recorded_on,
        row_number() over (
            partition by sessions.episode_key
            order by recorded.recorded_on desc, recorded.system asc, recorded.code asc
        ) as choice
    from sessions
    inner join recorded on sessions.client_key = recorded.client_key
    where
        sessions.diagnosis_codes is null
        and recorded.is_active = 1
        and recorded.recorded_on <= sessions.session_date
),

every_row as (
    select
        client_key,
        episode_key,
        system,
        code,
        recorded_on,
        0 as is_primary
    from placed
    union all
    select
        client_key,
        episode_key,
        system,
        code,
        recorded_on,
        1 as is_primary
    from index_codes
    union all
    select
        client_key,
        episode_key,
        system,
        code,
        recorded_on,
        1 as is_primary
    from fallbacks
    where choice = 1
),

final as (
    select
        client_key,
        episode_key,
        system,
        code,
        recorded_on,
        max(is_primary) = 1 as is_primary
    from every_row
    group by client_key, episode_key, system, code, recorded_on
)

select * from final
