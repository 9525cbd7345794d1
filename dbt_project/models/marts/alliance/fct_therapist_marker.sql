-- The therapist's own signs that the alliance needs care, one session form each.
-- Rule: measurement.md E
with

markers as (
    select * from {{ ref('int_form__therapist_marker') }}
),

final as (
    select
        episode_key,
        session_key,
        session_number,
        frustration,
        effort,
        helpless,
        self_doubt,
        goals_inconsistent,
        strain_sum,
        is_strained,
        is_persistent,
        in_tandem
    from markers
)

select * from final
