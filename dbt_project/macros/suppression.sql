{#
    Small cells (quality_improvement.md 1.8). `suppressed_cells` writes the CTEs that say,
    for each row of `counted`, whether it is hidden (A, C) and which of its shares are (B, C);
    the last CTE is `cells`: the keys, `hide_row`, and `hide_<group>` for each group.

    counted: a CTE with the keys, `n_clients`, and each group's denominator.
    keys: the key columns.
    directions: the sibling sets, in the order in which they are protected; each with
        `column` (what runs over the siblings), `total` (the value that they add up to, none
        when no row holds it), and, where not every other value is a sibling, `members`.
        `of: 'row'` or `of: 'share'` limits a direction to A or to B.
    groups: name -> denominator column of the shares that are hidden together.

    A pass protects every set of one direction at once. In a set whose total is published
    and that has hidden members with people, members are ordered: hidden ones, then by
    count, then by key; the shortest beginning that holds all hidden ones, at least two, and
    whose sum reaches minimum - 1 + their number, is hidden. When there is none, all are
    hidden and the total too. The directions take turns until each has changed nothing.
#}
{% macro suppressed_cells(counted, keys, directions, groups={}) %}
{%- set row_directions = directions | rejectattr('of', 'equalto', 'share') | list -%}
{%- set share_directions = directions | rejectattr('of', 'equalto', 'row') | list -%}
    row_0 as (
        select
            {{ keys | join(', ') }},
            n_clients as people,
            n_clients > 0 and n_clients < {{ setting('qi.small_cell_min') }} as hidden
        from {{ counted }}
    ),

    {{ settled_suppression('row', keys, row_directions) }}

    {%- for name, denominator in groups.items() %}
    {{ name }}_0 as (
        select
            {{ qualified('counted', keys) }},
            counted.{{ denominator }} as people,
            settled.hidden
            or (
                counted.{{ denominator }} > 0
                and counted.{{ denominator }} < {{ setting('qi.small_cell_min') }}
            ) as hidden
        from {{ counted }} as counted
        inner join row_settled as settled on {{ same('counted', 'settled', keys) }}
    ),

    {{ settled_suppression(name, keys, share_directions) }}
    {%- endfor %}

    cells as (
        select
            {{ qualified('row_settled', keys) }},
            row_settled.hidden as hide_row
            {%- for name in groups %},
            {{ name }}_settled.hidden as hide_{{ name }}
            {%- endfor %}
        from row_settled
        {%- for name in groups %}
        inner join {{ name }}_settled
            on {{ same('row_settled', name ~ '_settled', keys) }}
        {%- endfor %}
    )
{%- endmacro %}

{# From `<name>_0` (keys, people, hidden) to `<name>_settled`. #}
{% macro settled_suppression(name, keys, directions) %}
{%- set n = directions | length -%}
{%- set set_of = [] -%}
{%- for key in keys -%}
    {%- set ns = namespace(turn=none) -%}
    {%- for direction in directions -%}
        {%- if direction.column == key -%}{%- set ns.turn = loop.index0 -%}{%- endif -%}
    {%- endfor -%}
    {%- do set_of.append(
        key if ns.turn is none
        else 'case when step % ' ~ n ~ ' <> ' ~ ns.turn ~ ' then ' ~ key ~ ' end'
    ) -%}
{%- endfor -%}
{%- set of_set = 'partition by ' ~ set_of | join(', ') -%}
{%- set of_role = of_set ~ ', role' -%}
{%- set in_order = 'order by hidden desc, people, sibling' %}
    {{ name }}_pass as (
        select
            {{ keys | join(', ') }},
            people,
            hidden,
            0 as step,
            0 as n_quiet
        from {{ name }}_0
        union all
        select
            {{ keys | join(', ') }},
            people,
            hidden_now as hidden,
            step + 1 as step,
            case
                when max(case when hidden_now <> hidden then 1 else 0 end) over () = 1 then 0
                else n_quiet + 1
            end as n_quiet
        from (
            select
                *,
                hidden
                or (
                    n_hidden > 0
                    and n_hidden_totals = 0
                    and (
                        (role = 'member' and (last_hidden is null or place <= last_hidden))
                        or (role = 'total' and last_hidden is null)
                    )
                ) as hidden_now
            from (
                select
                    *,
                    min(case
                        when
                            role = 'member'
                            and place >= greatest(n_hidden, 2)
                            and running >= {{ setting('qi.small_cell_min') }} - 1 + place
                            then place
                    end) over ({{ of_set }}) as last_hidden
                from (
                    select
                        *,
                        row_number() over ({{ of_role }} {{ in_order }}) as place,
                        sum(people) over (
                            {{ of_role }} {{ in_order }}
                            rows between unbounded preceding and current row
                        ) as running,
                        sum(case when role = 'member' and hidden then 1 else 0 end)
                            over ({{ of_set }}) as n_hidden,
                        max(case when role = 'total' and hidden then 1 else 0 end)
                            over ({{ of_set }}) as n_hidden_totals
                    from (
                        select
                            *,
                            case step % {{ n }}
                                {%- for direction in directions %}
                                when {{ loop.index0 }} then {{ direction.column }}
                                {%- endfor %}
                            end as sibling,
                            case
                                {%- for direction in directions %}
                                {%- set turn = 'step % ' ~ n ~ ' = ' ~ loop.index0 %}
                                {%- if direction.total is not none %}
                                when {{ turn }} and {{ direction.column }} = '{{ direction.total }}'
                                    then 'total'
                                {%- endif %}
                                {%- if direction.members %}
                                when
                                    {{ turn }}
                                    and {{ direction.column }}
                                    not in ('{{ direction.members | join("', '") }}')
                                    then 'other'
                                {%- endif %}
                                {%- endfor %}
                                when people > 0 then 'member'
                                else 'empty'
                            end as role
                        from {{ name }}_pass
                        where n_quiet < {{ n }}
                    ) as told_apart
                ) as placed
            ) as reached
        ) as judged
    ),

    {{ name }}_settled as (
        select
            {{ keys | join(', ') }},
            people,
            hidden
        from {{ name }}_pass
        where step = (select max(step) from {{ name }}_pass)
    ),
{% endmacro %}

{% macro qualified(relation, columns) -%}
    {%- for column in columns %}{{ relation }}.{{ column }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}

{# That two relations agree on key columns, none of which is null. #}
{% macro same(a, b, columns) -%}
    {%- for column in columns %}{{ a }}.{{ column }} = {{ b }}.{{ column }}{{ ' and ' if not loop.last }}{% else %}true{% endfor -%}
{%- endmacro %}
