{#
    The current rows of a staging model (contract §3, measurement.md K1): per source and
    id the latest updated_at (null is oldest), then the latest delivery by id, then the
    later row. A snapshot that comes after an id's first delivery and lacks it deletes
    every version up to it. A deleted winner is gone; a later undeleted version brings it
    back. Part of an id may be empty (a time without its offset): empty equals empty.
    `touched` says whose versions an increment keeps to.
#}
{% macro current_version(model, table_name, keys, updated=none, deleted=none, touched=none) %}
with

versions as (
    select
        version.*,
        arrival.position
    from {{ ref(model) }} as version
    inner join {{ source('control', 'delivery_order') }} as arrival
        on version.batch_id = arrival.batch_id
    {% if touched %}{{ where_touched('version.' ~ touched ~ '_key', touched) }}{% endif %}
),

snapshots as (
    select
        delivered.source,
        arrival.position
    from {{ source('control', 'delivery_table') }} as delivered
    inner join {{ source('control', 'delivery_order') }} as arrival
        on delivered.batch_id = arrival.batch_id
    where delivered.table_name = '{{ table_name }}' and delivered.mode = 'snapshot'
),

appearances as (
    select distinct
        source,
        {{ keys | join(', ') }},
        position
    from versions
),

first_appearances as (
    select
        source,
        {{ keys | join(', ') }},
        min(position) as first_position
    from appearances
    group by source, {{ keys | join(', ') }}
),

vanished as (
    select
        known.source,
        {% for key in keys %}known.{{ key }},
        {% endfor %}max(snapshots.position) as vanished_position
    from first_appearances as known
    inner join snapshots
        on known.source = snapshots.source and known.first_position < snapshots.position
    left join appearances
        on known.source = appearances.source
        {% for key in keys %}and known.{{ key }} is not distinct from appearances.{{ key }}
        {% endfor %}and snapshots.position = appearances.position
    where appearances.position is null
    group by known.source, {% for key in keys %}known.{{ key }}{{ ', ' if not loop.last }}{% endfor %}
),

standing as (
    select versions.*
    from versions
    left join vanished
        on versions.source = vanished.source
        {% for key in keys %}and versions.{{ key }} is not distinct from vanished.{{ key }}
        {% endfor %}
    where versions.position > coalesce(vanished.vanished_position, 0)
),

ranked as (
    select
        *,
        row_number() over (
            partition by source, {{ keys | join(', ') }}
            order by
                {% if updated %}{{ updated }} desc nulls last,
                {% endif %}position desc,
                file_no desc,
                row_no desc
        ) as version_rank
    from standing
),

current_version as (
    select *
    from ranked
    where version_rank = 1{% if deleted %} and not {{ deleted }}{% endif %}
)
{% endmacro %}
