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
            {{ is_small_cell('n_clients') }} as hidden
        from {{ counted }}
    ),

    {{ settled_suppression('row', keys, row_directions, kept) }}

    {{- cells_of_rows(keys, share_directions, groups) }}
{%- endmacro %}

{% macro is_small_cell(people) -%}
    {{ people }} > 0 and {{ people }} < {{ setting('qi.small_cell_min') }}
{%- endmacro %}

{# From `row_settled` to `cells`: what of a row that is shown is hidden all the same. #}
{% macro cells_of_rows(keys, directions, groups) %}{{ return(adapter.dispatch('cells_of_rows', 'rapport')(keys, directions, groups)) }}{% endmacro %}

{% macro duckdb__cells_of_rows(keys, directions, groups) %}
    {%- if groups %}
    share_0 as (
        {%- for name, denominator in groups.items() %}
        select
            '{{ name }}' as share,
            {{ keys | join(', ') }},
            {{ denominator }} as people,
            hidden or ({{ is_small_cell(denominator) }}) as hidden
        from row_settled
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    {{ settled_suppression('share', ['share'] + keys, directions) }}
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

{# Spark computes a CTE anew for each that reads it, so each is read once here. #}
{% macro default__cells_of_rows(keys, directions, groups) %}
    {%- if groups %}
    share_0 as (
        select
            {{ keys | join(', ') }},
            hide_row,
            share,
            people,
            hide_row or ({{ is_small_cell('people') }}) as hidden
        from (
            select
                {{ keys | join(', ') }},
                hidden as hide_row,
                counted_share.share,
                counted_share.people
            from row_settled
            lateral view outer explode(array(
                {%- for name, denominator in groups.items() %}
                named_struct('share', '{{ name }}', 'people', {{ denominator }}){{ ',' if not loop.last }}
                {%- endfor %}
            )) exploded as counted_share
        ) as spread
    ),

    {{ settled_suppression('share', ['share'] + keys, directions, ['hide_row']) }}

    cells as (
        select
            {{ keys | join(', ') }},
            max(hide_row) as hide_row
            {%- for name in groups %},
            max(case when share = '{{ name }}' then hidden end) as hide_{{ name }}
            {%- endfor %}
        from share_settled
        group by {{ keys | join(', ') }}
    )
    {%- else %}
    cells as (
        select
            {{ keys | join(', ') }},
            hidden as hide_row
        from row_settled
    )
    {%- endif %}
{%- endmacro %}

{# From `<name>_0` (keys, people, hidden) to `<name>_settled`. Only rows with people take
   part, and only where something is hidden: all others stay as they are. Nothing is joined,
   since an engine that misjudges how many rows there are sorts them far too slowly. #}
{% macro settled_suppression(name, keys, directions, kept=[]) %}{{ return(adapter.dispatch('settled_suppression', 'rapport')(name, keys, directions, kept)) }}{% endmacro %}

{% macro duckdb__settled_suppression(name, keys, directions, kept) %}
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

{# Spark has no window function in a recursion. The rows that hang together (a block: equal
   in each key that no direction runs over) are folded as one list: a pass looks at every
   row's set within its block, and a block that stayed quiet in every direction is done.
   No list is empty; `outer` keeps Spark from folding once more to ask whether it is. #}
{% macro default__settled_suppression(name, keys, directions, kept) %}
{%- set carried = keys + ['people'] + kept -%}
{%- set n = directions | length -%}
{%- set turns = {} -%}
{%- for direction in directions -%}
    {%- do turns.update({direction.column: loop.index0}) -%}
{%- endfor -%}
{%- set block_of = keys | reject('in', turns) | join(', ') %}
    {{ name }}_blocks as (
        select
            {{ carried | join(', ') }},
            hidden,
            people > 0
            and max(case when hidden and people > 0 then 1 else 0 end)
                over (partition by {{ block_of }}) = 1 as takes_part
        from {{ name }}_0
    ),

    {{ name }}_lists as (
        select
            {{ block_of }},
            collect_list(struct({{ carried | join(', ') }}, hidden)) as cells,
            max({{ setting('qi.small_cell_min') }}) as small_cell_min
        from {{ name }}_blocks
        where takes_part
        group by {{ block_of }}
    ),

    {{ name }}_folded as (
        select
            aggregate(
                sequence(0, {{ n }} * (size(cells) + 2)),
                named_struct('cells', cells, 'n_quiet', 0),
                (state, step) -> case when state.n_quiet >= {{ n }} then state else
                    {{ spark_let('told', spark_cells_told_apart('state.cells', carried, directions)) }}
                    {{ spark_let('placed', spark_cells_placed('told', carried, turns)) }}
                    {{ spark_let('reached', spark_cells_reached('placed', carried, turns)) }}
                    {{ spark_let('judged', spark_cells_judged('reached', carried)) }}
                    {{ spark_let('followed', spark_cells_followed('judged', carried, directions, turns)) }}
                    named_struct(
                        'cells', followed,
                        'n_quiet', case
                            when
                                size(filter(followed, c -> c.hidden))
                                > size(filter(state.cells, c -> c.hidden))
                                then 0
                            else state.n_quiet + 1
                        end
                    )
                    {{ '), 1)' * 5 }}
                end
            ).cells as cells
        from {{ name }}_lists
    ),

    {{ name }}_settled as (
        select
            {% for column in carried %}cell.{{ column }},
            {% endfor %}cell.hidden
        from {{ name }}_folded
        lateral view outer explode(cells) exploded as cell
        union all
        select
            {{ carried | join(', ') }},
            hidden
        from {{ name }}_blocks
        where not takes_part
    ),
{% endmacro %}

{# Lends a name to an expression, up to the `), 1)` that closes it. #}
{% macro spark_let(name, expression) -%}
    element_at(transform(array({{ expression }}), {{ name }} ->
{%- endmacro %}

{% macro spark_fields_of(cell, columns) -%}
    {% for column in columns %}'{{ column }}', {{ cell }}.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
{%- endmacro %}

{# That two cells are of one set: equal in every key but the one whose turn it is. #}
{% macro spark_in_one_set(a, b, turns) -%}
    ({% for column, turn in turns.items() -%}
    (step % {{ turns | length }} = {{ turn }} or {{ a }}.{{ column }} <=> {{ b }}.{{ column }})
    {{- ' and ' if not loop.last }}
    {%- endfor %})
{%- endmacro %}

{% macro spark_cells_told_apart(cells, carried, directions) -%}
    transform({{ cells }}, c -> named_struct(
        {{ spark_fields_of('c', carried + ['hidden']) }},
        'sibling', case step % {{ directions | length }}
            {%- for direction in directions %}
            when {{ loop.index0 }} then c.{{ direction.column }}
            {%- endfor %}
        end,
        'role', case
            {%- for direction in directions %}
            {%- set turn = 'step % ' ~ (directions | length) ~ ' = ' ~ loop.index0 %}
            {%- if direction.total is not none %}
            when {{ turn }} and c.{{ direction.column }} = '{{ direction.total }}' then 'total'
            {%- endif %}
            {%- if direction.members %}
            when
                {{ turn }}
                and c.{{ direction.column }} not in ('{{ direction.members | join("', '") }}')
                then 'other'
            {%- endif %}
            {%- endfor %}
            when true then 'member'
        end
    ))
{%- endmacro %}

{% macro spark_cells_placed(cells, carried, turns) -%}
    {%- set up_to_here -%}
        filter({{ cells }}, o ->
            {{ spark_in_one_set('o', 'c', turns) }}
            and o.role = c.role
            and (
                (o.hidden and not c.hidden)
                or (o.hidden = c.hidden and o.people < c.people)
                or (o.hidden = c.hidden and o.people = c.people and o.sibling <= c.sibling)
            )
        )
    {%- endset -%}
    transform({{ cells }}, c ->
        {{ spark_let('up_to_here', up_to_here) }}
        named_struct(
            {{ spark_fields_of('c', carried + ['hidden', 'role']) }},
            'place', size(up_to_here),
            'running', aggregate(up_to_here, 0L, (people, o) -> people + o.people),
            'n_hidden', size(filter({{ cells }}, o ->
                {{ spark_in_one_set('o', 'c', turns) }} and o.role = 'member' and o.hidden
            )),
            'is_total_hidden', exists({{ cells }}, o ->
                {{ spark_in_one_set('o', 'c', turns) }} and o.role = 'total' and o.hidden
            )
        )
        {{ '), 1)' }}
    )
{%- endmacro %}

{% macro spark_cells_reached(cells, carried, turns) -%}
    transform({{ cells }}, c -> named_struct(
        {{ spark_fields_of('c', carried + ['hidden', 'role', 'place', 'n_hidden', 'is_total_hidden']) }},
        'last_hidden', array_min(transform(
            filter({{ cells }}, o ->
                {{ spark_in_one_set('o', 'c', turns) }}
                and o.role = 'member'
                and o.place >= greatest(o.n_hidden, 2)
                and o.running >= small_cell_min - 1 + o.place
            ),
            o -> o.place
        ))
    ))
{%- endmacro %}

{% macro spark_cells_judged(cells, carried) -%}
    transform({{ cells }}, c -> named_struct(
        {{ spark_fields_of('c', carried) }},
        'hidden', c.hidden or (
            c.n_hidden > 0
            and not c.is_total_hidden
            and (
                (c.role = 'member' and (c.last_hidden is null or c.place <= c.last_hidden))
                or (c.role = 'total' and c.last_hidden is null)
            )
        )
    ))
{%- endmacro %}

{% macro spark_cells_followed(cells, carried, directions, turns) -%}
    transform({{ cells }}, c -> named_struct(
        {{ spark_fields_of('c', carried) }},
        'hidden', c.hidden
        {%- for direction in directions if direction.parts %}
        or (
            step % {{ directions | length }} = {{ directions.index(direction) }}
            and c.{{ direction.column }} in ('{{ direction.parts | join("', '") }}')
            and exists({{ cells }}, o ->
                {{ spark_in_one_set('o', 'c', turns) }}
                and o.{{ direction.column }} = '{{ direction.parts_of }}'
                and o.hidden
            )
        )
        {%- endfor %}
    ))
{%- endmacro %}

{% macro qualified(relation, columns) -%}
    {%- for column in columns %}{{ relation }}.{{ column }}{{ ', ' if not loop.last }}{% endfor -%}
{%- endmacro %}

{# That two relations agree on key columns, none of which is null. #}
{% macro same(a, b, columns) -%}
    {%- for column in columns %}{{ a }}.{{ column }} = {{ b }}.{{ column }}{{ ' and ' if not loop.last }}{% else %}true{% endfor -%}
{%- endmacro %}
