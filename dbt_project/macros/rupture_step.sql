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

{# 1 for a score that lies outside any rupture; a repair does. #}
{% macro rupture_is_outside() -%}
    case when judged.step in ('outside', 'repair') then 1 else 0 end
{%- endmacro %}

{# The last scores outside any rupture that default_rc3 averages, after this one. #}
{% macro rupture_next_outside(name, value) -%}
    case
        when event.rule = 'default_rc3' and judged.step in ('outside', 'repair')
            then {{ last_of('walk.' ~ name, value, 'event.max_reference') }}
        else walk.{{ name }}
    end
{%- endmacro %}

{# Mean, and sum of squares about it, of the scores outside any rupture (Welford). #}
{% macro rupture_next_mean() -%}
    case
        when judged.step not in ('outside', 'repair') then walk.mean_outside
        when walk.n_outside = 0 then event.walk_score
        else
            walk.mean_outside
            + (event.walk_score - walk.mean_outside) / (walk.n_outside + 1)
    end
{%- endmacro %}

{% macro rupture_next_squares() -%}
    case
        when judged.step not in ('outside', 'repair') or walk.n_outside = 0
            then walk.squares_outside
        else
            walk.squares_outside
            + (event.walk_score - walk.mean_outside)
            * (
                event.walk_score - walk.mean_outside
                - (event.walk_score - walk.mean_outside) / (walk.n_outside + 1)
            )
    end
{%- endmacro %}

{# What an open rupture keeps from its onset up to its repair. #}
{% macro rupture_of_open(name, at_onset) -%}
    case
        when judged.step in ('onset', 'passing') then {{ at_onset }}
        when judged.step in ('inside', 'repair') then walk.{{ name }}
    end
{%- endmacro %}
