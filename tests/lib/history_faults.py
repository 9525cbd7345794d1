"""Sources with a history, laid without a build, and faults planted in their last delivery.

``north`` sends deltas of sessions, measures and items each night; ``south`` a snapshot of
its sessions. Thirty nights of each are published. The thirty-first is new; each fault is
SQL on what it brought.
"""

import math
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

from conftest import ROOT
from rapport.mapping import TABLES
from rapport.settings import load_settings
from rapport.state import ControlState, Delivery, LedgerRow, Run
from rapport.warehouse import work_path
from rapport.warehouse.build import bronze_columns
from rapport.warehouse.history import lay_history

NIGHTS, FIRST = 30, date(2026, 1, 5)
LAST = FIRST + timedelta(days=NIGHTS)
_DELTA = ("sessions", "measures", "measure_items")


def batch(source: str, night: int) -> str:
    """Return the opaque name of a delivery."""
    return f"b_{source[0]}{night:011d}".replace("0", "a").replace("1", "b")


def n_sessions(night: int) -> int:
    """Return how many sessions a night brings: few at weekends, about 60 else."""
    day = (FIRST + timedelta(days=night)).isoweekday()
    return 12 + night % 3 if day > 5 else 60 + round(6 * math.sin(night))


class Sources:
    """A RAPPORT_HOME with a work file that holds bronze and control tables alone."""

    def __init__(self, home: Path) -> None:
        self.settings = load_settings({"RAPPORT_HOME": str(home)})
        self.state = ControlState(home)
        self.work = work_path(self.settings)
        self.work.parent.mkdir(parents=True)

    @classmethod
    def copied(cls, laid: "Sources", home: Path) -> "Sources":
        """Return a copy that can be changed."""
        shutil.copytree(laid.settings.home, home)
        copy = cls.__new__(cls)
        copy.settings = load_settings({"RAPPORT_HOME": str(home)})
        copy.state, copy.work = ControlState(home), work_path(copy.settings)
        return copy

    def lay(self, n_published: int = NIGHTS) -> None:
        """Lay every night; the last is new, and so is what was not published."""
        with duckdb.connect(self.work) as con:
            _schemas(con)
            for night in range(NIGHTS + 1):
                self._deliver(con, "north", night, dict.fromkeys(_DELTA, "delta"))
                self._deliver(con, "south", night, {"sessions": "snapshot"})
            con.execute(_BRONZE)
        if n_published:
            self.publish(n_published)

    def publish(self, n_nights: int) -> None:
        """Publish a run that counted the first nights."""
        moment = _moment(n_nights - 1) + timedelta(hours=1)
        self._run(f"r_published_{n_nights}", moment, "published")

    def refuse(self) -> None:
        """Refuse a run that counted every night."""
        self._run("r_refused_01", _moment(NIGHTS) + timedelta(hours=1), "refused")

    def _run(self, run_id: str, at: datetime, outcome: str) -> None:
        self.state.start_run(
            Run(run_id, at.date(), None, at, at, outcome, "digest", None, None)
        )

    def forget_nights(self, after: int) -> None:
        """Leave out the nights between one and the last."""
        for night in range(after, NIGHTS):
            names = f"('{batch('north', night)}', '{batch('south', night)}')"
            self.change(
                f"delete from control.delivery_order where batch_id in {names}",
                f"delete from control.delivery_table where batch_id in {names}",
            )

    def deliver_again(self, source: str, tables: dict[str, str]) -> None:
        """Deliver one night more, empty as yet, of the same day as the last."""
        with duckdb.connect(self.work) as con:
            self._deliver(con, source, NIGHTS + 1, tables)

    def _deliver(
        self,
        con: duckdb.DuckDBPyConnection,
        source: str,
        night: int,
        tables: dict[str, str],
    ) -> None:
        name, at = batch(source, night), _moment(night)
        position = night + (0 if source == "north" else 1000)
        con.execute(
            "insert into control.delivery_order values (?, ?, ?, ?)",
            [name, source, position, at.replace(tzinfo=None)],
        )
        for table, mode in tables.items():
            con.execute(
                "insert into control.delivery_table values (?, ?, ?, ?)",
                [name, source, table, mode],
            )
        self.state.commit_delivery(
            Delivery(name, source, f"{source}{night}", "mark", at, at, "loaded", 1),
            modes=tables,
            bronze=[],
            ledger=[],
            refusals=[],
            notices=[],
        )

    def change(self, *statements: str) -> None:
        """Change what was delivered."""
        with duckdb.connect(self.work) as con:
            for sql in statements:
                con.execute(sql)

    def judge(self) -> list[tuple]:
        """Lay the history; return what is judged."""
        self._count_rows()
        with duckdb.connect(self.work) as con:
            con.execute("drop schema if exists gate cascade")
        lay_history(self.settings, self.state)
        with duckdb.connect(self.work, read_only=True) as con:
            return con.execute("from gate.judged order by all").fetchall()

    def _count_rows(self) -> None:
        """Write the ledger of what the bronze tables hold now."""
        with duckdb.connect(self.work, read_only=True) as con:
            rows = con.execute(
                " union all ".join(
                    f"select delivered.batch_id, delivered.source, '{table}', count(here.row_no)"
                    f" from control.delivery_table as delivered left join bronze.{table} as"
                    " here on delivered.batch_id = here.batch_id where"
                    f" delivered.table_name = '{table}' group by 1, 2"
                    for table in _DELTA
                )
            ).fetchall()
        with self.state._transaction() as con:
            con.execute("delete from row_ledger")
            for name, source, table, n in rows:
                counted = LedgerRow(f"{table}-1", table, None, n, n, 0, 0, 0, 0)
                con.execute(
                    "insert into row_ledger values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (name, source, *counted.__dict__.values()),
                )


def _moment(night: int) -> datetime:
    return datetime(FIRST.year, FIRST.month, FIRST.day, 2, tzinfo=UTC) + timedelta(
        night
    )


def _schemas(con: duckdb.DuckDBPyConnection) -> None:
    for schema in ("bronze", "control", "seed"):
        con.execute(f"create schema {schema}")
    for table in TABLES:
        typed = ", ".join(f"{name} {type_}" for name, type_ in bronze_columns(table))
        con.execute(f"create table bronze.{table.name} ({typed})")
    con.execute("create table control.run as select 'r' as run_id,"
                f" date '{LAST}' as as_of")  # fmt: skip
    con.execute("create table control.delivery_order (batch_id varchar, source varchar,"
                " position integer, received_at timestamp)")  # fmt: skip
    con.execute("create table control.delivery_table (batch_id varchar, source varchar,"
                " table_name varchar, mode varchar)")  # fmt: skip
    con.execute("create table seed.instrument as select 'WAI-SR' as instrument,"
                " 1 as item_min, 5 as item_max")  # fmt: skip
    for name in ("code_list", "instrument_alias"):
        con.execute(f"create table seed.{name} as from read_csv(?, all_varchar = true)",
                    [str(ROOT / "dbt_project" / "seeds" / f"{name}.csv")])  # fmt: skip
    con.execute("create table control.own_instrument (instrument varchar)")
    con.execute("create table control.own_instrument_alias (alias varchar)")


_WEEKDAYS = ", ".join(f"({night}, {n_sessions(night)})" for night in range(NIGHTS + 1))
_NORTH = ", ".join(
    f"({night}, '{batch('north', night)}')" for night in range(NIGHTS + 1)
)
_SOUTH = ", ".join(
    f"({night}, '{batch('south', night)}')" for night in range(NIGHTS + 1)
)
# Eighty clients; each session has one form of twelve answers from 3 to 5.
_BRONZE = f"""
create temp table session as
select named.batch_id, size.night, 's' || size.night || '_' || n as id,
    'c' || (size.night * 7 + n) % 80 as client,
    timestamp '{FIRST}' + interval (size.night - 1) day + interval (8 + n % 9) hour as began,
    n
from (values {_WEEKDAYS}) as size (night, n_rows)
inner join (values {_NORTH}) as named (night, batch_id) on size.night = named.night
cross join range(100) as every_n (n)
where n < size.n_rows;

insert into bronze.sessions by name
select id as session_key, client as client_key, 't' || n % 5 as therapist_key,
    began as started_at_wall, began + interval 50 minute as ended_at_wall,
    case when n % 10 = 0 then 'no_show' else 'attended' end as status,
    'individual' as modality, 'north' as source, batch_id, 1 as file_no, n as row_no
from session;

insert into bronze.measures by name
select 'a' || id as administration_key, client as client_key, id as session_key,
    'WAI-SR' as instrument, 'client' as rater, began as administered_at_wall,
    'north' as source, batch_id, 1 as file_no, n as row_no
from session;

insert into bronze.measure_items by name
select 'a' || id as administration_key, item::varchar as item,
    (3 + (n + item + night) % 3)::varchar as value, 'number' as value_kind,
    'north' as source, batch_id, 1 as file_no, n * 12 + item as row_no
from session cross join range(1, 13) as items (item);

insert into bronze.sessions by name
select 'o' || n as session_key, 'd' || n % 30 as client_key, 't1' as therapist_key,
    timestamp '2025-11-03 09:00' + interval (n) hour as started_at_wall,
    timestamp '2025-11-03 09:50' + interval (n) hour as ended_at_wall,
    'attended' as status, 'individual' as modality, 'south' as source, named.batch_id,
    1 as file_no, n as row_no
from (values {_SOUTH}) as named (night, batch_id)
cross join range(400) as every_n (n)
where n < 200 + named.night;
"""

TONIGHT = {source: batch(source, NIGHTS) for source in ("north", "south")}
_N, _S = (f"batch_id = '{TONIGHT[source]}'" for source in ("north", "south"))
_YESTERDAY = f"batch_id = '{batch('north', NIGHTS - 5)}'"
# How many nights were published before, where it is not all of them.
N_PUBLISHED = {"unusual_while_learning": 4, "sources_have_a_history": 0}


def _doubled(table: str) -> str:
    return f"insert into bronze.{table} select * from bronze.{table} where {_N}"


HISTORY_FAULTS: dict[str, list[str]] = {
    "header_alone": [f"delete from bronze.sessions where {_N}"],
    "empty_snapshot": [f"delete from bronze.sessions where {_S}"],
    "short_export": [f"delete from bronze.sessions where {_N} and row_no >= 15"],
    "mass_vanish": [f"delete from bronze.sessions where {_S} and row_no >= 150"],
    "all_ids_new": [
        f"update bronze.sessions set client_key = 'x' || client_key where {_N}"
    ],
    "doubled_file": [_doubled("sessions")],
    "answers_in_range_as_usual": [
        f"update bronze.measure_items set value = (value::int + 10)::varchar where {_N}"
        " and row_no % 2 = 0"
    ],
    "answers_as_high_as_usual": [
        f"update bronze.measure_items set value = (6 - value::int)::varchar where {_N}"
    ],
    "more_rows_than_usual": [
        "insert into bronze.sessions select here.* replace (session_key || 'x' || n as"
        " session_key) from bronze.sessions as here cross join range(4) as copies (n)"
        f" where {_N}"
    ],
    "columns_filled_as_usual": [
        f"update bronze.sessions set ended_at_wall = null where {_N}"
    ],
    "codes_as_usual": [f"update bronze.sessions set status = 'scheduled' where {_N}"],
    "sessions_run_forwards": [
        "update bronze.sessions set started_at_wall = ended_at_wall, ended_at_wall ="
        f" started_at_wall where {_N}"
    ],
    "rows_are_recent": [
        "update bronze.sessions set started_at_wall = started_at_wall - interval 90 day,"
        f" ended_at_wall = ended_at_wall - interval 90 day where {_N}"
    ],
    "rows_not_seen_before": [
        "update bronze.sessions set session_key = replace(session_key,"
        f" 's{NIGHTS}_', 's{NIGHTS - 1}_') where {_N}"
    ],
    "tables_keep_coming": [
        f"delete from bronze.measures where {_N}",
        f"delete from control.delivery_table where {_N} and table_name = 'measures'",
    ],
    "unusual_while_learning": [
        f"delete from bronze.sessions where {_N} and row_no > 6"
    ],
    "sources_have_a_history": [],
    "sources_keep_sending": [f"update control.run set as_of = date '{LAST}' + 9"],
}
