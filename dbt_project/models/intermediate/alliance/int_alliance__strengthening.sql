-- Sessions whose used strengthening form (RAP-S) records any work; a missing item is none.
-- Rule: measurement.md E
with

answers as (
    select * from {{ ref('int_form__answered') }} where instrument = 'RAP-S'
),

sessions as (
    select * from {{ ref('int_session__numbered') }}
),

forms as (
    select
        session_key,
        max(case when item = 'S_DESTIGMATIZE' then value else 0 end) = 1 as destigmatize,
        max(case when item = 'S_COMPASSION' then value else 0 end) = 1 as compassion,
        max(case when item = 'S_COCREATE' then value else 0 end) = 1 as co_create
    from answers
    group by session_key
    having max(value) = 1
),

final as (
    select
        sessions.episode_key,
        forms.session_key,
        sessions.session_number,
        sessions.session_date,
        forms.destigmatize,
        forms.compassion,
        forms.co_create
    from forms
    inner join sessions on forms.session_key = sessions.session_key
)

select * from final
