-- Each form with its session and its episode: that of the session, else the reported one
-- that contains its date, else the derived one around it.
-- Rule: measurement.md B8, B9
with

forms as (
    select * from {{ ref('int_administration__timed') }}
),

links as (
    select * from {{ ref('int_administration__session') }}
),

sessions as (
    select * from {{ ref('int_session__numbered') }}
),

spans as (
    select * from {{ ref('int_episode__span') }}
),

candidates as (
    select
        forms.administration_key,
        spans.episode_key,
        row_number() over (
            partition by forms.administration_key
            order by
                {{ episode_choice('spans') }}
        ) as choice
    from forms
    left join links on forms.administration_key = links.administration_key
    inner join spans on forms.client_key = spans.client_key
    where
        links.administration_key is null
        and {{ episode_holds('spans', 'forms.administered_on') }}
),

final as (
    select
        forms.*,
        links.session_key,
        sessions.session_number,
        sessions.session_date,
        sessions.therapist_key as session_therapist_key,
        coalesce(sessions.episode_key, candidates.episode_key) as episode_key
    from forms
    left join links on forms.administration_key = links.administration_key
    left join sessions on links.session_key = sessions.session_key
    left join candidates
        on
            forms.administration_key = candidates.administration_key
            and candidates.choice = 1
)

select * from final
