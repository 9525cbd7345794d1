"""What the gate knows of a source's own history, laid into the working database.

Each delivered table is measured once, when it is first built from: rows, shares of filled
columns and of codes, of answers in range, of rows that vanished or came twice. The numbers
(counts and shares only) stay in the control state. Tonight's new deliveries are then held
against those of published nights, in ``gate.judged``, which the expectations of
``expectations/suites/bronze/history.yml`` read.

A delivery is history once a published run counted it. Until then it is new, so a night that
was refused is judged again in full. A new delivery is no longer judged when a later one
takes its place: a later snapshot of the table, or a later delivery that holds all its rows.

Source: limits are median ± k · 1.4826 · MAD (Iglewicz & Hoaglin 1993, How to Detect and
Handle Outliers, 3.5 for k; Leys et al. 2013, J Exp Soc Psychol 49:764), of counts on a
logarithmic scale. The floors beneath them are settings (``[gate]``, ADR 0026).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb

from rapport.ingest.cells import cell_of
from rapport.mapping import TABLES, Column, Table
from rapport.settings import Gate, Settings
from rapport.state import ControlState, Delivery, DeliveryMetric, Run
from rapport.warehouse.connections import insert_rows, open_work

# Which id of a table tells that a row was there before; items go with their form.
_ROW_ID = {"measure_items": ("administration_key",)}
_WITH_CLIENT = ("clients", "episodes", "sessions", "measures")
_DATED = {"sessions": "started_at_wall", "measures": "administered_at_wall"}
_NOT_FILLED = ("_raw", "_is_date", "_offset_minutes")


def lay_history(settings: Settings, state: ControlState) -> None:
    """Measure what is new, keep its numbers, and lay ``gate.*`` for the expectations."""
    with open_work(settings) as con:
        con.execute("create schema gate")
        _lay_deliveries(con, state)
        state.record_metrics(_measure(con, state))
        _lay_bronze_files(con, state)
        _lay_metrics(con, state)
        _judge(con, settings.gate)


def _lay_deliveries(con: duckdb.DuckDBPyConnection, state: ControlState) -> None:
    """Lay one row a delivered table that counts tonight, and whether it is new."""
    runs = state.nights()
    published = [run for run in runs if run.outcome == "published"]
    refused = [run for run in runs if run.outcome == "refused"]
    con.execute(
        "create temp table known (batch_id varchar, is_new boolean, was_told boolean)"
    )
    rows = [
        (d.batch_id, not _counted(d, published), _counted(d, refused))
        for d in state.deliveries()
    ]
    insert_rows(con, "known", rows)
    con.execute(
        """
        create table gate.delivery as
        select
            delivered.batch_id,
            delivered.source,
            delivered.table_name,
            delivered.mode,
            arrival.position,
            cast(arrival.received_at as date) as received_on,
            known.is_new,
            known.was_told
        from control.delivery_table as delivered
        inner join control.delivery_order as arrival
            on delivered.batch_id = arrival.batch_id
        inner join known on delivered.batch_id = known.batch_id
        """
    )


def _counted(delivery: Delivery, runs: list[Run]) -> bool:
    """Tell whether one of the runs built from a delivery."""
    return any(
        delivery.picked_up_at <= run.started_at
        and (run.known_on is None or delivery.received_at.date() <= run.known_on)
        for run in runs
    )


# --- measuring ----------------------------------------------------------------------


def _measure(
    con: duckdb.DuckDBPyConnection, state: ControlState
) -> Iterator[DeliveryMetric]:
    """Yield the numbers of every delivered table that was not measured before."""
    measured = {(batch, table) for batch, table, metric, *_ in state.metrics()}
    con.execute("create temp table measured (batch_id varchar, table_name varchar)")
    insert_rows(con, "measured", sorted(measured))
    con.execute(
        """
        create temp table fresh as
        select delivered.*
        from gate.delivery as delivered
        anti join measured
            on delivered.batch_id = measured.batch_id
            and delivered.table_name = measured.table_name
        """
    )
    _lay_row_counts(con, state)
    names = {
        name
        for (name,) in con.execute("select distinct table_name from fresh").fetchall()
    }
    if not names:
        return
    _lay_first_seen_clients(con)
    for table in TABLES:
        if table.name not in names:
            continue
        # Read once: bronze is many files, and each of them is opened for every query.
        con.execute(
            f"""
            create temp table here as
            select delivered.*, fresh.position, fresh.mode, fresh.received_on
            from bronze.{table.name} as delivered
            inner join fresh on delivered.batch_id = fresh.batch_id
            where fresh.table_name = '{table.name}'
            """
        )
        for sql in _measurements(table):
            for row in con.execute(sql).fetchall():
                yield DeliveryMetric(row[0], table.name, *row[1:])
        con.execute("drop table here")


def _lay_row_counts(con: duckdb.DuckDBPyConnection, state: ControlState) -> None:
    """Lay how many rows a table's files held, without footers and blank lines."""
    con.execute(
        "create temp table counted (batch_id varchar, table_name varchar, n bigint)"
    )
    rows = [
        (batch, table, n_in - n_footer - n_blank)
        for batch, _, _, table, n_in, _, _, _, n_footer, n_blank, _ in state.ledger()
    ]
    insert_rows(con, "counted", rows)


def _lay_first_seen_clients(con: duckdb.DuckDBPyConnection) -> None:
    seen = " union all ".join(
        f"select distinct source, client_key, batch_id from bronze.{name}"
        for name in _WITH_CLIENT
    )
    con.execute(
        f"""
        create temp table client_seen as
        select seen.source, seen.client_key, min(arrival.position) as position
        from ({seen}) as seen
        inner join control.delivery_order as arrival on seen.batch_id = arrival.batch_id
        group by seen.source, seen.client_key
        """
    )


def _measurements(table: Table) -> Iterator[str]:
    """Yield SQL that gives (batch, metric, value, rows behind it) of the rows ``here``."""
    yield (
        "select fresh.batch_id, 'rows', coalesce(sum(counted.n), 0)::double,"
        " coalesce(sum(counted.n), 0)::bigint from fresh left join counted"
        " on fresh.batch_id = counted.batch_id"
        " and fresh.table_name = counted.table_name"
        f" where fresh.table_name = '{table.name}' group by 1"
    )
    yield _repeated(table)
    yield _vanished(table)
    yield from _filled(table)
    if table.name in _WITH_CLIENT:
        yield _KNOWN_CLIENTS
    if table.name in _DATED:
        yield _seen_ids(table)
        yield _older(table)
    if table.name == "sessions":
        yield _BACKWARDS
    if table.name == "measure_items":
        yield _ANSWERS


def _columns(table: Table) -> list[str]:
    return [
        name
        for column in table.columns
        for name, _, _ in cell_of(column, "null", "null").outputs
    ]


def _row_id(table: Table) -> tuple[str, ...]:
    """Return the bronze columns that say which row it is."""
    said = _ROW_ID.get(table.name)
    if said is not None:
        return said
    return tuple(
        cell_of(table.column(name), "null", "null").outputs[0][0]
        for name in table.identity
    )


def _repeated(table: Table) -> str:
    """Share of rows that stand in the delivery a second time, word for word."""
    whole = ", ".join(_columns(table))
    return (
        "select batch_id, 'repeated', 1 - count(distinct hash("
        f"{whole}))::double / count(*), count(*) from here group by 1"
    )


def _vanished(table: Table) -> str:
    """Share of the rows standing before a snapshot that it lacks."""
    row_id = ", ".join(f"delivered.{name}" for name in _row_id(table))
    can_delete = any(column.name == "deleted" for column in table.columns)
    deleted = "bool_or(coalesce(delivered.deleted, false))" if can_delete else "false"
    return f"""
        with snapshots as (
            select
                source, batch_id, position, is_fresh,
                lag(position, 1, 0) over (partition by source order by position) as since
            from (
                select
                    delivered.*, fresh.batch_id is not null as is_fresh
                from gate.delivery as delivered
                left join fresh
                    on delivered.batch_id = fresh.batch_id
                    and delivered.table_name = fresh.table_name
                where delivered.table_name = '{table.name}' and delivered.mode = 'snapshot'
            ) as taken
        ),
        standing as (
            select snapshots.batch_id, hash({row_id}) as row_id
            from snapshots
            inner join control.delivery_order as arrival
                on snapshots.source = arrival.source
                and arrival.position >= snapshots.since
                and arrival.position < snapshots.position
            inner join bronze.{table.name} as delivered
                on arrival.batch_id = delivered.batch_id
            where snapshots.is_fresh
            group by 1, 2
            having not {deleted}
        ),
        brought as (
            select distinct delivered.batch_id, hash({row_id}) as row_id
            from here as delivered
        )
        select
            standing.batch_id, 'vanished',
            count(*) filter (where brought.row_id is null)::double / count(*), count(*)
        from standing
        left join brought
            on standing.batch_id = brought.batch_id
            and standing.row_id = brought.row_id
        group by 1
    """


def _filled(table: Table) -> Iterator[str]:
    """Share of rows with a value, for each column; and of each code of a list."""
    for column in table.columns:
        name = cell_of(column, "null", "null").outputs[0][0]
        if column.name in ("updated_at", "deleted") or name.endswith(_NOT_FILLED):
            continue
        if not column.required:
            yield (
                f"select batch_id, 'filled:{name}', count({name})::double / count(*),"
                " count(*) from here group by 1"
            )
        if column.kind in ("code", "instrument"):
            yield (
                f"select batch_id, 'code:{name}:' || {name}, n::double / total, total"
                f" from (select batch_id, {name}, count(*) as n, sum(count(*)) over"
                f" (partition by batch_id) as total from here group by 1, 2) as counted"
                f" where {name} = 'unknown' or {name} in ({_codes(column)})"
            )


def _codes(column: Column) -> str:
    """Return SQL of a column's codes: one outside its list may be a person's words.

    Such a code refuses the night; as the name of a metric it would be kept and told.
    """
    if column.kind == "instrument":
        return (
            "select instrument from seed.instrument"
            " union all select alias from seed.instrument_alias"
            " union all select instrument from control.own_instrument"
            " union all select alias from control.own_instrument_alias"
        )
    return (
        'select code from seed.code_list where "column" ='
        f" '{column.of or column.name}'"
    )


# Share of a delivery's clients that its source named in an earlier delivery.
_KNOWN_CLIENTS = """
    select
        named.batch_id, 'known_clients',
        count(*) filter (where seen.position < named.position)::double / count(*),
        count(*)
    from (select distinct batch_id, source, position, client_key from here) as named
    inner join client_seen as seen
        on named.source = seen.source and named.client_key = seen.client_key
    where named.position > (
        select min(first_one.position)
        from control.delivery_order as first_one
        where first_one.source = named.source
    )
    group by 1
"""
# Share of sessions that end before they start.
_BACKWARDS = """
    select
        batch_id, 'backwards',
        count(*) filter (where ended_at_wall < started_at_wall)::double / count(*),
        count(*)
    from here
    group by 1
"""
# Share of answers in the instrument's range, and of those the share in its upper half.
_ANSWERS = """
    with forms as (
        select distinct administration_key, instrument
        from bronze.measures
        semi join here using (administration_key)
    ),
    answers as (
        select
            answer.batch_id, scale.instrument, scale.item_min, scale.item_max,
            try_cast(answer.value as double) as value
        from here as answer
        inner join forms on answer.administration_key = forms.administration_key
        inner join seed.instrument as scale on forms.instrument = scale.instrument
        where scale.item_min is not null and answer.value_kind = 'number'
    ),
    counted as (
        select
            batch_id, instrument, count(*) as n,
            count(*) filter (where value between item_min and item_max) as n_in_range,
            count(*) filter (
                where value between item_min and item_max
                    and value > (item_min + item_max) / 2e0
            ) as n_upper
        from answers
        group by 1, 2
    )
    select batch_id, 'in_range:' || instrument, n_in_range::double / n, n from counted
    union all
    select batch_id, 'upper_half:' || instrument, n_upper::double / n_in_range, n_in_range
    from counted
    where n_in_range > 0
"""


def _seen_ids(table: Table) -> str:
    """Share of a delta's rows whose id an earlier delivery already brought."""
    (row_id,) = _row_id(table)
    return f"""
        with ids as (
            select delivered.source, delivered.{row_id} as row_id,
                min(arrival.position) as position
            from bronze.{table.name} as delivered
            inner join control.delivery_order as arrival
                on delivered.batch_id = arrival.batch_id
            group by 1, 2
        )
        select
            brought.batch_id, 'seen_ids',
            count(*) filter (where ids.position < brought.position)::double / count(*),
            count(*)
        from (
            select distinct batch_id, source, position, {row_id} as row_id
            from here
            where mode = 'delta'
        ) as brought
        inner join ids on brought.source = ids.source and brought.row_id = ids.row_id
        group by 1
    """


def _older(table: Table) -> str:
    """Share of a delta's rows that are dated over thirty days before it came."""
    return f"""
        select
            batch_id, 'older',
            count(*) filter (
                where {_DATED[table.name]} < received_on - interval 30 day
            )::double / count(*),
            count(*)
        from here
        where mode = 'delta'
        group by 1
    """


def _lay_bronze_files(con: duckdb.DuckDBPyConnection, state: ControlState) -> None:
    """Lay one row a bronze file that counts: the rows it was written with, and holds."""
    found = " union all ".join(
        f"select batch_id, '{table.name}' as table_name, count(*) as n_found"
        f" from bronze.{table.name} group by 1"
        for table in TABLES
    )
    con.execute(
        "create temp table written (batch_id varchar, table_name varchar, n bigint)"
    )
    rows = state.bronze_rows()
    insert_rows(con, "written", rows)
    con.execute(
        f"""
        create table gate.bronze_file as
        select
            arrival.batch_id, arrival.source, written.table_name,
            written.n as n_rows, coalesce(held.n_found, 0) as n_found
        from written
        inner join control.delivery_order as arrival
            on written.batch_id = arrival.batch_id
        left join ({found}) as held
            on written.batch_id = held.batch_id and written.table_name = held.table_name
        """
    )


# --- judging ------------------------------------------------------------------------


def _lay_metrics(con: duckdb.DuckDBPyConnection, state: ControlState) -> None:
    """Lay the numbers of every delivery that counts; a code that lacks is a share of 0."""
    con.execute(
        "create temp table kept (batch_id varchar, table_name varchar, metric varchar,"
        " value double, n_rows bigint)"
    )
    rows = state.metrics()
    insert_rows(con, "kept", rows)
    con.execute(
        """
        create table gate.metric as
        with named as (
            select distinct delivered.source, kept.table_name, kept.metric
            from kept
            inner join gate.delivery as delivered
                on kept.batch_id = delivered.batch_id
                and kept.table_name = delivered.table_name
            where kept.metric like 'code:%'
        ),
        totals as (
            select batch_id, table_name, n_rows
            from kept
            where metric = 'rows' and n_rows > 0
        )
        select kept.*
        from kept
        union all
        select totals.batch_id, totals.table_name, named.metric, 0, totals.n_rows
        from totals
        inner join gate.delivery as delivered
            on totals.batch_id = delivered.batch_id
            and totals.table_name = delivered.table_name
        inner join named
            on delivered.source = named.source and totals.table_name = named.table_name
        anti join kept
            on totals.batch_id = kept.batch_id
            and totals.table_name = kept.table_name
            and named.metric = kept.metric
        """
    )


def _judge(con: duckdb.DuckDBPyConnection, said: Gate) -> None:
    _lay_superseded(con)
    for sql in (_JUDGED, _ABSENT, _SILENT):
        con.execute(sql, _parameters(said, sql))


def _parameters(said: Gate, sql: str) -> dict[str, object]:
    """Return the settings that a statement names; the engine takes no others."""
    named = set(re.findall(r"\$(\w+)", sql))
    every = {
        "warm_up": said.warm_up_nights,
        "nights": said.history_nights,
        "k": said.deviations * 1.4826,
        "short_below": said.short_below_share,
        "long_above": said.long_above_ratio,
        "vanished": said.max_vanished_share,
        "doubled": said.doubled_share,
        "moves": said.share_moves,
        "min_rows": said.min_rows,
        "silent": said.silent_days,
    }
    return {name: value for name, value in every.items() if name in named}


def _lay_superseded(con: duckdb.DuckDBPyConnection) -> None:
    """Lay the new deliveries whose place a later new one has taken."""
    con.execute(
        """
        create temp table pairs as
        select
            earlier.batch_id, earlier.table_name, later.batch_id as later_id,
            later.mode = 'snapshot' as is_snapshot, earlier.was_told
        from gate.delivery as earlier
        inner join gate.delivery as later
            on earlier.source = later.source
            and earlier.table_name = later.table_name
            and earlier.position < later.position
        where earlier.is_new and later.is_new
        """
    )
    con.execute(
        "create table gate.superseded as select distinct batch_id, table_name from pairs"
        " where is_snapshot"
    )
    for table in TABLES:
        name = table.name
        if not con.execute(
            "select 1 from pairs where table_name = ? and not is_snapshot limit 1",
            [name],
        ).fetchone():
            continue
        row_id = ", ".join(_row_id(table))
        con.execute(
            f"""
            insert into gate.superseded
            with ids as (
                select distinct batch_id, hash({row_id}) as row_id
                from bronze.{name}
                semi join (select batch_id from pairs union select later_id from pairs)
                    as wanted using (batch_id)
            ),
            sizes as (
                select pairs.batch_id, pairs.later_id, pairs.was_told,
                    count(mine.row_id) as n_ids, count(theirs.row_id) as n_common
                from pairs
                left join ids as mine on pairs.batch_id = mine.batch_id
                left join ids as theirs
                    on pairs.later_id = theirs.batch_id and mine.row_id = theirs.row_id
                where pairs.table_name = '{name}' and not pairs.is_snapshot
                group by all
            )
            select distinct batch_id, '{name}'
            from sizes
            where n_common = n_ids and (n_ids > 0 or was_told)
            """
        )


# One row a number of a new delivery with the limits of its source's own history.
# A count of a delta is held against deliveries of the same weekday when there are four.
_JUDGED = """
create table gate.judged as
with standing as (
    select delivered.*, metric.metric, metric.value, metric.n_rows
    from gate.delivery as delivered
    inner join gate.metric as metric
        on delivered.batch_id = metric.batch_id
        and delivered.table_name = metric.table_name
),
nights as (
    select
        *,
        dense_rank() over (
            partition by source, table_name, mode order by received_on desc
        ) as nights_ago
    from standing
    where not is_new
),
history as (select * from nights where nights_ago <= $nights),
tonight as (
    select standing.*
    from standing
    anti join gate.superseded as superseded
        on standing.batch_id = superseded.batch_id
        and standing.table_name = superseded.table_name
    where standing.is_new
),
gathered as (
    select
        tonight.source, tonight.batch_id, tonight.table_name, tonight.mode,
        tonight.metric, tonight.value, tonight.n_rows,
        count(distinct history.received_on) as n_nights,
        list(case when tonight.metric = 'rows' then ln(1 + history.value)
            else history.value end order by history.value)
            filter (where history.value is not null) as every_value,
        list(ln(1 + history.value) order by history.value)
            filter (where isodow(history.received_on) = isodow(tonight.received_on))
            as weekday_values,
        min(history.value) as least,
        avg((history.value = 0)::int) as empty_share
    from tonight
    left join history
        on tonight.source = history.source
        and tonight.table_name = history.table_name
        and tonight.mode = history.mode
        and tonight.metric = history.metric
    group by all
),
chosen as (
    select
        *,
        metric = 'rows' and mode = 'delta' and len(weekday_values) >= 4 as by_weekday,
        case when metric = 'rows' and mode = 'delta' and len(weekday_values) >= 4
            then weekday_values else every_value end as known_values
    from gathered
),
centred as (
    select *, list_aggregate(known_values, 'median') as centre from chosen
),
spread as (
    select
        *,
        list_aggregate(list_transform(known_values, x -> abs(x - centre)), 'median')
            as mad
    from centred
),
limited as (
    select
        source, batch_id, table_name, mode, metric, split_part(metric, ':', 1) as kind,
        value, n_rows, n_nights, n_nights < $warm_up as is_learning, empty_share,
        case when metric = 'rows' then exp(centre) - 1 else centre end as usual,
        case
            when metric = 'rows' then least(
                exp(centre - $k * mad) - 1,
                $short_below * (exp(centre) - 1),
                case when by_weekday or mode = 'snapshot' then 1e18 else least end
            )
            when metric in ('vanished', 'repeated') then null
            else centre - greatest(
                $k * mad, $moves,
                3.5 * sqrt(greatest(centre * (1 - centre), 0) / n_rows))
        end as lower,
        case
            when metric = 'rows' then greatest(
                exp(centre + $k * mad) - 1, $long_above * (exp(centre) - 1))
            when metric = 'vanished' then greatest(
                $vanished,
                case when n_nights >= $warm_up then centre + $k * mad else 0 end)
            when metric = 'repeated' then $doubled
            else centre + greatest(
                $k * mad, $moves,
                3.5 * sqrt(greatest(centre * (1 - centre), 0) / n_rows))
        end as upper
    from spread
)
select
    limited.* exclude (empty_share),
    total.n_rows as n_delivered,
    coalesce(empty_share, 0) >= 0.1 as is_often_empty,
    case
        when kind in ('rows', 'known_clients') then 5
        when kind = 'vanished' and total.n_rows = 0 then 1
        else $min_rows
    end as n_needed
from limited
inner join gate.metric as total
    on limited.batch_id = total.batch_id
    and limited.table_name = total.table_name
    and total.metric = 'rows'
"""
# A table that nearly every delivery of a source brought, and tonight's did not.
_ABSENT = """
insert into gate.judged
with nights as (
    select source, received_on, batch_id, table_name, is_new from gate.delivery
),
known as (
    select
        source, count(distinct batch_id) as n, count(distinct received_on) as n_nights
    from nights
    where not is_new
    group by 1
),
usual as (
    select source, table_name, count(distinct batch_id) as n
    from nights
    where not is_new
    group by 1, 2
),
tonight as (
    select source, max(batch_id) as batch_id from nights where is_new group by 1
)
select
    usual.source, tonight.batch_id, usual.table_name, 'delta', 'absent', 'absent', 0e0,
    known.n, known.n_nights, known.n_nights < $warm_up, usual.n::double / known.n, 1e0,
    null, 0, false, 0
from usual
inner join known on usual.source = known.source
inner join tonight on usual.source = tonight.source
anti join (select source, table_name from nights where is_new) as brought
    on usual.source = brought.source and usual.table_name = brought.table_name
where usual.n >= 0.95 * known.n
"""
# Days since a source's last delivery, against the gaps between its deliveries.
_SILENT = """
insert into gate.judged
with days as (
    select source, received_on, max(batch_id) as batch_id
    from gate.delivery
    group by 1, 2
),
gaps as (
    select
        source,
        received_on - lag(received_on) over (
            partition by source order by received_on
        ) as gap
    from days
),
known as (
    select source, list(gap::double order by gap) filter (where gap is not null) as gaps
    from gaps
    group by 1
),
centred as (
    select source, gaps, list_aggregate(gaps, 'median') as centre
    from known
    where len(gaps) > 0
),
spread as (
    select
        source, centre, len(gaps) + 1 as n_nights,
        list_aggregate(list_transform(gaps, x -> abs(x - centre)), 'median') as mad
    from centred
),
latest as (
    select source, max(received_on) as received_on, max_by(batch_id, received_on)
        as batch_id
    from days
    group by 1
)
select
    spread.source, latest.batch_id, '', 'delta', 'silent', 'silent',
    (run.as_of - latest.received_on)::double, spread.n_nights, spread.n_nights,
    spread.n_nights < $warm_up, spread.centre, null,
    greatest($silent, spread.centre + $k * spread.mad), 0, false, 0
from spread
inner join latest on spread.source = latest.source
cross join control.run as run
"""
