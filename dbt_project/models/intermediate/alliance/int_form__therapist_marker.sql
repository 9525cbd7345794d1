-- The therapist's own signs that the alliance needs care: frustration and working harder
-- than the client, feeling unable to help and self-doubt, goals that stay inconsistent.
-- Rule: measurement.md E
with

answers as (
    select * from {{ ref('int_form__answered') }}
    where
        instrument = 'RAP-T'
        and item in ('T_FRUSTRATION', 'T_EFFORT', 'T_HELPLESS', 'T_SELFDOUBT', 'T_GOALS')
),

sessions as (
    select * from {{ ref('int_session__numbered') }}
),

thresholds as (
    select
        {{ setting('markers.item_high') }} as item_high,
        {{ setting('markers.sum_high') }} as sum_high,
        {{ setting('markers.tandem_from') }} as tandem_from,
        cast({{ setting('markers.persistent_of') }} as integer) as persistent_of,
        cast({{ setting('markers.persistent_last') }} as integer) as persistent_last
),

forms as (
    select
        session_key,
        max(case when item = 'T_FRUSTRATION' then value end) as frustration,
        max(case when item = 'T_EFFORT' then value end) as effort,
        max(case when item = 'T_HELPLESS' then value end) as helpless,
        max(case when item = 'T_SELFDOUBT' then value end) as self_doubt,
        max(case when item = 'T_GOALS' then value end) as goals_inconsistent,
        count(*) as n_answered,
        cast(sum(value) as integer) as answered_sum,
        max(value) as highest
    from answers
    group by session_key
),

judged as (
    select
        sessions.episode_key,
        forms.*,
        sessions.session_number,
        case
            when
                forms.highest >= thresholds.item_high
                or forms.answered_sum >= thresholds.sum_high
                then true
            when forms.n_answered = 5 then false
        end as is_strained,
        (
            coalesce(forms.frustration >= thresholds.tandem_from, false)
            or coalesce(forms.effort >= thresholds.tandem_from, false)
        )
        and (
            coalesce(forms.helpless >= thresholds.tandem_from, false)
            or coalesce(forms.self_doubt >= thresholds.tandem_from, false)
        ) as in_tandem,
        row_number() over (
            partition by sessions.episode_key order by sessions.session_number
        ) as form_number
    from forms
    inner join sessions on forms.session_key = sessions.session_key
    cross join thresholds
),

counted as (
    select
        *,
        sum(case when is_strained then 1 else 0 end) over (
            partition by episode_key
            order by form_number
            rows between unbounded preceding and current row
        ) as n_strained_so_far
    from judged
),

-- Strained among the last few forms: those so far, less those before them.
final as (
    select
        counted.episode_key,
        counted.session_key,
        counted.session_number,
        counted.frustration,
        counted.effort,
        counted.helpless,
        counted.self_doubt,
        counted.goals_inconsistent,
        case when counted.n_answered = 5 then counted.answered_sum end as strain_sum,
        counted.is_strained,
        counted.n_strained_so_far - coalesce(before_those.n_strained_so_far, 0)
        >= thresholds.persistent_of as is_persistent,
        counted.in_tandem
    from counted
    cross join thresholds
    left join counted as before_those
        on
            counted.episode_key = before_those.episode_key
            and counted.form_number - thresholds.persistent_last
            = before_those.form_number
)

select * from final
