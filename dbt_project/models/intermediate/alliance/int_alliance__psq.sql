-- The client's answers about tension in the session (PSQ), of the used forms on which
-- the question of tension is answered, with their place in the series of the pair.
-- Rule: measurement.md A3, B10, D3
with

forms as (
    select * from {{ ref('int_administration__used') }}
    where instrument = 'PSQ' and rater = 'client'
),

answers as (
    select * from {{ ref('int_form__answered') }}
    where instrument = 'PSQ' and rater = 'client'
),

episodes as (
    select * from {{ ref('int_episode__described') }}
),

answered as (
    select
        administration_key,
        {% for item in ['tension', 'intensity', 'resolved'] -%}
        max(case when item = 'P_{{ item | upper }}' then value end) as {{ item }}{{ ',' if not loop.last }}
        {% endfor %}
    from answers
    group by administration_key
),

forms_of_pair as (
    select
        forms.episode_key,
        forms.client_key,
        coalesce(
            forms.session_therapist_key, forms.therapist_key, episodes.therapist_key
        ) as series_therapist_key,
        forms.session_key,
        forms.session_number,
        forms.session_date,
        answered.tension = 1 as is_tense,
        answered.intensity,
        answered.resolved
    from forms
    inner join answered on forms.administration_key = answered.administration_key
    inner join episodes on forms.episode_key = episodes.episode_key
    where answered.tension is not null
),

final as (
    select
        *,
        coalesce(series_therapist_key, 'none') as series_therapist,
        cast(row_number() over (
            partition by episode_key, series_therapist_key
            order by session_number
        ) as integer) as score_number,
        cast(count(*) over (
            partition by episode_key, series_therapist_key
        ) as integer) as n_series_scores
    from forms_of_pair
)

select * from final
