{#
    One step of the rupture engine (measurement.md D1): what a score of a series is, given
    what came before it. `walk` is the state after the score before, `event` the score.
    Every way of walking a series asks these macros, so the rule has one home.
#}

{# B: an open rupture's own; else what the method compares this score with, or null. #}
{% macro rupture_compared_with() -%}
    case
        when walk.is_open then walk.compared_with
        when event.rule = 'default_rc3'
            then case
                when {{ n_of('walk.outside_scores') }} >= event.min_reference
                    then {{ mean_of('walk.outside_scores') }}
            end
        when event.rule = 'prior_mean_z'
            then case when walk.n_outside >= event.min_reference then walk.mean_outside end
        else event.baseline
    end
{%- endmacro %}

{# The unit that the drop is measured in: of prior_mean_z the client's own spread. #}
{% macro rupture_unit() -%}
    case
        when event.rule = 'prior_mean_z'
            then case
                when walk.n_outside >= event.min_reference
                    then greatest(
                        sqrt(walk.squares_outside / (walk.n_outside - 1)), event.drop_unit
                    )
            end
        else event.drop_unit
    end
{%- endmacro %}

{# The first of the scores that B is made of. #}
{% macro rupture_reference_from() -%}
    case
        when event.rule = 'default_rc3' then {{ first_of('walk.outside_numbers') }}
        else event.reference_from
    end
{%- endmacro %}

{# repair, inside, passing (repaired in its own session), onset or outside. #}
{% macro rupture_step(compared_with, unit) -%}
    case
        when walk.is_open and {{ ge('event.walk_score', 'walk.repair_level') }} then 'repair'
        when walk.is_open then 'inside'
        when
            case event.rule
                when 'default_rc3'
                    then {{ le(
                        'event.walk_score',
                        compared_with ~ ' - event.trigger_multiple * ' ~ unit
                    ) }}
                when 'prior_mean_z'
                    then {{ ge(
                        '(' ~ compared_with ~ ' - event.walk_score) / ' ~ unit,
                        'event.trigger_multiple'
                    ) }}
                else event.fires
            end
            then case when event.is_repaired_at_once then 'passing' else 'onset' end
        else 'outside'
    end
{%- endmacro %}

{# R of a rupture that begins here. #}
{% macro rupture_repair_level(compared_with, unit) -%}
    case
        when event.rule = 'stateless' then event.repair_level
        else {{ compared_with }} - event.repair_multiple * {{ unit }}
    end
{%- endmacro %}

{# The last scores outside any rupture that default_rc3 averages, after this one. #}
{% macro rupture_next_outside(list, value) -%}
    case
        when rule = 'default_rc3' and is_outside = 1
            then {{ last_of(list, value, 'max_reference') }}
        else {{ list }}
    end
{%- endmacro %}

{# What a score outside any rupture adds to the sum of squares about the mean (Welford). #}
{% macro rupture_next_square() -%}
    (walk_score - mean_outside) * (
        walk_score - (mean_outside + (walk_score - mean_outside) / (n_outside + 1))
    )
{%- endmacro %}
