{#
    Small cells (quality_improvement.md 1.8). `suppressed_cells` writes the CTEs that say,
    for each row of `counted`, whether it is hidden (A, C) and which of its shares are (B, C);
    the last CTE is `cells`: the keys, `hide_row`, and `hide_<group>` for each group.

    counted: a CTE with the keys, `n_clients`, and each group's denominator.
    keys: the key columns.
    directions: the sibling sets, in the order in which they are protected; each with
        `column` (what runs over the siblings), `total` (the value that they add up to, none
        when no row holds it), and, where not every other value is a sibling, `members`.
        `of: 'row'` or `of: 'share'` limits a direction to A or to B. `parts` of a member
        (`parts_of`) that add up to nothing of their own are hidden with it.
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
{%- set kept = groups.values() | list %}
    row_0 as (
        select
            {{ keys | join(', ') }},
            n_clients as people,
            {%- for denominator in kept %}
            {{ denominator }},
            {%- endfor %}
            n_clients > 0 and n_clients < {{ setting('qi.small_cell_min') }} as hidden
        from {{ counted }}
    ),

    {{ settled_suppression('row', keys, row_directions, kept) }}

    {%- if groups %}
    share_0 as (
        {%- for name, denominator in groups.items() %}
        select
            '{{ name }}' as share,
            {{ keys | join(', ') }},
            {{ denominator }} as people,
            hidden
            or (
                {{ denominator }} > 0
                and {{ denominator }} < {{ setting('qi.small_cell_min') }}
            ) as hidden
        from row_settled
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    {{ settled_suppression('share', ['share'] + keys, share_directions) }}
    {%- endif %}

    cells as (
        select
            {{ qualified('row_settled', keys) }},
            row_settled.hidden as hide_row
            {%- for name in groups %},
            {{ name }}_share.hidden as hide_{{ name }}
            {%- endfor %}
        from row_settled
        {%- for name in groups %}
        inner join share_settled as {{ name }}_share
            on
                {{ name }}_share.share = '{{ name }}'
                and {{ same('row_settled', name ~ '_share', keys) }}
        {%- endfor %}
    )
{%- endmacro %}

{# From `<name>_0` (keys, people, hidden) to `<name>_settled`. Only rows with people take
   part, and only where something is hidden: all others stay as they are. Nothing is joined,
   since an engine that misjudges how many rows there are sorts them far too slowly. #}
{% macro settled_suppression(name, keys, directions, kept=[]) %}
{%- set carried = keys + ['people'] + kept -%}
{%- set n = directions | length -%}
{%- set set_of = [] -%}
{%- set block_of = [] -%}
{%- for key in keys -%}
    {%- set ns = namespace(turn=none) -%}
    {%- for direction in directions -%}
        {%- if direction.column == key -%}{%- set ns.turn = loop.index0 -%}{%- endif -%}
    {%- endfor -%}
    {%- if ns.turn is none -%}{%- do block_of.append(key) -%}{%- endif -%}
    {%- do set_of.append(
        key if ns.turn is none
        else 'case when step % ' ~ n ~ ' <> ' ~ ns.turn ~ ' then ' ~ key ~ ' end'
    ) -%}
{%- endfor -%}
{%- set of_set = 'partition by ' ~ set_of | join(', ') -%}
{%- set of_role = of_set ~ ', role' -%}
{%- set in_order = 'order by hidden desc, people, sibling' %}
    {{ name }}_blocks as (
        select
            *,
            people > 0
            and max(case when hidden and people > 0 then 1 else 0 end)
                over (partition by {{ block_of | join(', ') }}) = 1 as takes_part
        from {{ name }}_0
    ),

    {{ name }}_pass as (
        select
            {{ carried | join(', ') }},
            hidden,
            0 as step,
            0 as n_quiet
        from {{ name }}_blocks
        where takes_part
        union all
        select
            {{ carried | join(', ') }},
            hidden_after as hidden,
            step + 1 as step,
            case
                when max(case when hidden_after <> hidden then 1 else 0 end) over () = 1
                    then 0
                else n_quiet + 1
            end as n_quiet
        from (
            select
                *,
                hidden_now
                {%- for direction in directions if direction.parts %}
                or (
                    step % {{ n }} = {{ directions.index(direction) }}
                    and {{ direction.column }} in ('{{ direction.parts | join("', '") }}')
                    and max(case
                        when {{ direction.column }} = '{{ direction.parts_of }}' and hidden_now
                            then 1
                        else 0
                    end) over ({{ of_set }}) = 1
                )
                {%- endfor %} as hidden_after
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
                                and running
                                >= {{ setting('qi.small_cell_min') }} - 1 + place
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
                                {%- if directions | selectattr('total') | list %}
                                case
                                    {%- for direction in directions %}
                                    {%- set turn = 'step % ' ~ n ~ ' = ' ~ loop.index0 %}
                                    {%- if direction.total is not none %}
                                    when
                                        {{ turn }}
                                        and {{ direction.column }} = '{{ direction.total }}'
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
                                    else 'member'
                                end as role
                                {%- else %}
                                'member' as role
                                {%- endif %}
                            from {{ name }}_pass
                            where n_quiet < {{ n }}
                        ) as told_apart
                    ) as placed
                ) as reached
            ) as judged
        ) as followed
    ),

    {{ name }}_settled as (
        select
            {{ carried | join(', ') }},
            hidden
        from {{ name }}_pass
        where step = (select max(step) from {{ name }}_pass)
        union all
        select
            {{ carried | join(', ') }},
            hidden
        from {{ name }}_blocks
        where not takes_part
    ),
{% endmacro %}

{% macro qualified(relation, columns) -%}
    {%- for column in columns %}{{ relation }}.{{ column }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}

{# That two relations agree on key columns, none of which is null. #}
{% macro same(a, b, columns) -%}
    {%- for column in columns %}{{ a }}.{{ column }} = {{ b }}.{{ column }}{{ ' and ' if not loop.last }}{% else %}true{% endfor -%}
{%- endmacro %}
