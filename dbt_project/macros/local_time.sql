{#
    Wall clock and UTC (measurement.md B2). A wall-clock time that came twice is its first
    occurrence; one that never was moves forward by the gap. DuckDB reads a time that came
    twice as its second occurrence and Spark as its first, so an earlier reading is looked
    for: clocks go back by two hours, one hour or half an hour.
#}
{% macro utc_to_local(utc, zone) %}{{ return(adapter.dispatch('utc_to_local', 'rapport')(utc, zone)) }}{% endmacro %}
{% macro default__utc_to_local(utc, zone) %}from_utc_timestamp({{ utc }}, {{ zone }}){% endmacro %}
{% macro duckdb__utc_to_local(utc, zone) %}timezone({{ zone }}, timezone('UTC', {{ utc }})){% endmacro %}

{% macro wall_to_utc(wall, zone) %}{{ return(adapter.dispatch('wall_to_utc', 'rapport')(wall, zone)) }}{% endmacro %}
{% macro default__wall_to_utc(wall, zone) %}to_utc_timestamp({{ wall }}, {{ zone }}){% endmacro %}
{% macro duckdb__wall_to_utc(wall, zone) %}timezone('UTC', timezone({{ zone }}, {{ wall }})){% endmacro %}

{% macro minutes_before(moment, minutes) %}{{ return(adapter.dispatch('minutes_before', 'rapport')(moment, minutes)) }}{% endmacro %}
{% macro default__minutes_before(moment, minutes) %}({{ moment }} - make_dt_interval(0, 0, {{ minutes }}, 0)){% endmacro %}
{% macro duckdb__minutes_before(moment, minutes) %}({{ moment }} - to_minutes(cast({{ minutes }} as bigint))){% endmacro %}

{% macro first_wall_to_utc(wall, zone) -%}
    case
        {% for minutes in [120, 60, 30] -%}
        when {{ utc_to_local(minutes_before(wall_to_utc(wall, zone), minutes), zone) }} = {{ wall }}
            then {{ minutes_before(wall_to_utc(wall, zone), minutes) }}
        {% endfor -%}
        else {{ wall_to_utc(wall, zone) }}
    end
{%- endmacro %}

{#
    Two common table expressions, of which `steadied` is the table with two columns more a
    name, for what is below. Reading a clock costs two microseconds, and to find what it did
    may take eighteen readings: almost never for good. `…_read` is the one reading, and
    `…_is_steady` looks three hours to either side: where the clock stood still in between,
    as in all but some twelve hours a year, there is no other. No zone has moved its clocks
    there and back within six hours. Columns, so that each is computed once (ADR 73).
#}
{% macro read_by_clock(table, names, zone) -%}
clocked as (
    select
        {{ table }}.*
        {%- for name in names %},
        case
            when {{ name }}_offset_minutes is null
                then {{ wall_to_utc(name ~ '_wall', zone) }}
        end as {{ name }}_read
        {%- endfor %}
    from {{ table }}
),

steadied as (
    select
        clocked.*
        {%- for name in names %},
        (
            {% for minutes in [180, -180] -%}
            {{ utc_to_local(minutes_before(name ~ '_read', minutes), zone) }}
            = {{ minutes_before(name ~ '_wall', minutes) }}
            {{ 'and' if not loop.last }}
            {% endfor -%}
        ) as {{ name }}_is_steady
        {%- endfor %}
    from clocked
)
{%- endmacro %}

{# Whether a wall-clock time has a second reading beside the one that counts. #}
{% macro came_twice(wall, zone) %}{{ return(adapter.dispatch('came_twice', 'rapport')(wall, zone)) }}{% endmacro %}
{% macro default__came_twice(wall, zone) -%}
    (
        {% for minutes in [120, 60, 30] -%}
        {{ utc_to_local(minutes_before(wall_to_utc(wall, zone), -minutes), zone) }} = {{ wall }}
        {{ 'or' if not loop.last }}
        {% endfor -%}
    )
{%- endmacro %}
{% macro duckdb__came_twice(wall, zone) -%}
    {{ first_wall_to_utc(wall, zone) }}
            < {{ wall_to_utc(wall, zone) }}
{%- endmacro %}

{#
    What the clocks did to a wall-clock time without an offset, which is counted as a
    check: `twice` when it came twice, `never` when it never was, else null.
#}
{% macro clock_finding(name, zone) -%}
    case
        when {{ name }}_offset_minutes is not null or {{ name }}_is_date then null
        when {{ name }}_is_steady then null
        when {{ came_twice(name ~ '_wall', zone) }}
            then 'twice'
        when {{ utc_to_local(wall_to_utc(name ~ '_wall', zone), zone) }} <> {{ name }}_wall
            then 'never'
    end
{%- endmacro %}

{# A timestamp as written -> UTC: its own offset, else the zone's first reading. #}
{% macro written_to_utc(name, zone) -%}
    case
        when {{ name }}_offset_minutes is not null
            then {{ minutes_before(name ~ '_wall', name ~ '_offset_minutes') }}
        when {{ name }}_is_steady then {{ name }}_read
        else {{ first_wall_to_utc(name ~ '_wall', zone) }}
    end
{%- endmacro %}

{# The local date of a timestamp as written, whose UTC is the column `name`; a bare date stays. #}
{% macro written_to_date(name, zone) -%}
    case
        when {{ name }}_is_date or {{ name }}_is_steady then cast({{ name }}_wall as date)
        else cast({{ utc_to_local(name, zone) }} as date)
    end
{%- endmacro %}

{% macro days_between(later, earlier) %}{{ return(adapter.dispatch('days_between', 'rapport')(later, earlier)) }}{% endmacro %}
{% macro default__days_between(later, earlier) %}datediff({{ later }}, {{ earlier }}){% endmacro %}
{% macro duckdb__days_between(later, earlier) %}date_diff('day', {{ earlier }}, {{ later }}){% endmacro %}

{% macro seconds_between(later, earlier) %}{{ return(adapter.dispatch('seconds_between', 'rapport')(later, earlier)) }}{% endmacro %}
{% macro default__seconds_between(later, earlier) %}(unix_micros({{ later }}) - unix_micros({{ earlier }})) / 1e6{% endmacro %}
{% macro duckdb__seconds_between(later, earlier) %}(epoch_us({{ later }}) - epoch_us({{ earlier }})) / 1e6{% endmacro %}
