{#
    Whether an episode (a row of int_episode__span) holds a date (measurement.md B9): a
    reported one between its ends, a derived one from 30 days before its first session to
    the gap after its last. `episode_choice` orders those that do.
#}
{% macro episode_holds(span, day) -%}
    (
        (
            {{ span }}.episode_origin = 'reported'
            and {{ span }}.opened_on <= {{ day }}
            and ({{ span }}.bound_on is null or {{ day }} <= {{ span }}.bound_on)
        )
        or (
            {{ span }}.episode_origin = 'derived'
            and {{ days_between(span ~ '.opened_on', day) }} <= 30
            and {{ days_between(day, span ~ '.last_attended_on') }}
            <= {{ setting('episodes.gap_days') }}
        )
    )
{%- endmacro %}

{% macro episode_choice(span) -%}
    case when {{ span }}.episode_origin = 'reported' then 0 else 1 end,
                {{ span }}.opened_on desc,
                {{ span }}.episode_key
{%- endmacro %}
