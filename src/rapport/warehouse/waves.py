"""A build of all in waves of clients, so that its memory is a wave's (ADR 0068).

What is computed of a client hangs on no other, but for those that are merged or linked,
share an id, or name each other's session. So a build of all may take the clients in waves:
each is an increment (ADR 0007) that touches its clients, onto tables that the first wave
lays; what is computed over all clients is computed once, after the last.
"""

from __future__ import annotations

import duckdb

from rapport.warehouse.increment import PAIR_TABLES, PERSON_TABLES, bonds, count_rows

_LARGE_TABLES = (*PERSON_TABLES, "measure_items")


def lay_waves(con: duckdb.DuckDBPyConnection, rows_per_wave: int) -> int:
    """Say in ``control.wave_client`` which wave computes a client; return how many there are.

    Waves are ranges of keys, as bronze is sorted, so that a scan can leave most of it out.
    One wave is laid nowhere: it is the build of all.

    Args:
        con: the working database, with ``control`` and ``bronze``.
        rows_per_wave: how many rows of bronze a wave may have, about.
    """
    n_rows = sum(count_rows(con, f"bronze.{table}") for table in _LARGE_TABLES)
    n_waves = -(-n_rows // rows_per_wave)
    if n_waves < 2:
        return 1
    _lay_bonds(con)
    # Whose rows any model may read: a signal may outlive the rows that it came of.
    clients = [
        *(f"select client_key from bronze.{table}" for table in PERSON_TABLES),
        *(
            f"select {key} as client_key from bronze.{table}"
            for table, keys in PAIR_TABLES.items()
            for key in keys
        ),
        "select client_key from control.signal_log",
    ]
    con.execute(
        "create temp table rooted as select client_key, client_key as root"
        f" from ({' union '.join(clients)}) as known where client_key is not null"
    )
    while _follow_bonds(con):
        pass
    con.execute(
        "create table control.wave_client as select client_key, wave from rooted"
        f" inner join (select root, ntile({n_waves}) over (order by root) as wave"
        " from (select distinct root from rooted) as roots) as placed using (root)"
    )
    return n_waves


def lay_wave(con: duckdb.DuckDBPyConnection, wave: int) -> None:
    """Lay ``control.touched_*``: whom and what a wave computes, the first being 1.

    A form that no client sent is the first wave's; nothing of any episode is replaced.
    """
    con.execute(
        "create or replace table control.touched_client as"
        f" select client_key from control.wave_client where wave = {wave}"
    )
    con.execute(
        "create or replace table control.touched_administration as"
        " select distinct administration_key from bronze.measures"
        " where client_key in (select client_key from control.touched_client)"
    )
    if wave == 1:
        con.execute(
            "insert into control.touched_administration"
            " select administration_key from bronze.measures where client_key is null"
            " union select administration_key from bronze.measure_items"
            " except select administration_key from bronze.measures"
            " where client_key is not null"
        )
    con.execute("create or replace table control.touched_episode (episode_key varchar)")


def _lay_bonds(con: duckdb.DuckDBPyConnection) -> None:
    """Lay the pairs of clients whose numbers hang on each other, both ways round."""
    con.execute(
        "create temp table bond as select distinct one, other"
        f" from ({' union all '.join(bonds())}) as pairs where one <> other"
    )


def _follow_bonds(con: duckdb.DuckDBPyConnection) -> int:
    """Give each client the least root of those bound to them; return how many changed."""
    con.execute(
        "create or replace temp table lower as"
        " select bond.one as client_key, min(rooted.root) as root"
        " from bond inner join rooted on bond.other = rooted.client_key"
        " group by bond.one"
    )
    changed = con.execute(
        "update rooted set root = lower.root from lower"
        " where rooted.client_key = lower.client_key and lower.root < rooted.root"
    ).fetchone()
    assert changed is not None
    return int(changed[0])
