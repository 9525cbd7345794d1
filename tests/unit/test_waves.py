"""Who is computed in which wave of a build of all (ADR 0068)."""

from collections.abc import Iterator

import duckdb
import pytest

from lib.drawn_bronze import lay, rows_of
from rapport.warehouse.waves import lay_wave, lay_waves

# Who is bound together, by what binds them: the first and the last key of all, mostly.
BONDS = {
    "merged twice over": {"a1", "m5", "z1"},
    "linked": {"a2", "z2"},
    "an id of both": {"a3", "z3"},
    "a session that the other's form names": {"a4", "z4"},
}
ROWS = """
client_merges b1  old_client_key=a1 new_client_key=m5 merged_on=2026-01-01
client_merges b1  old_client_key=z1 new_client_key=m5 merged_on=2026-01-01
client_links  b1  client_key=z2 other_client_key=a2 linked_on=2026-01-01
goals         b1  goal_key=g1 client_key=a3
goals         b2  goal_key=g1 client_key=z3
sessions      b1  session_key=s1 client_key=z4
measures      b1  administration_key=f1 client_key=a4 session_key=s1

clients       b1  client_key=m1
clients       b1  client_key=m2
clients       b1  client_key=m3
clients       b1  client_key=m4
sessions      b1  session_key=s2 client_key=m1
sessions      b2  session_key=s2 deleted=true
measures      b1  administration_key=f2 client_key=m1
measures      b1  administration_key=f3 client_key=m4
measures      b2  administration_key=f4 deleted=true
measure_items b1  administration_key=f2 item=1
measure_items b1  administration_key=f9 item=1
"""


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("create schema control")
        con.execute("create table control.signal_log (client_key varchar)")
        con.execute("insert into control.signal_log values ('m9'), (null)")
        lay(con, "bronze", rows_of(ROWS))
        yield con


def waves_of(con: duckdb.DuckDBPyConnection, n: int) -> list[tuple[set[str], set[str]]]:
    """Return the clients and the forms of each wave."""
    found = []
    for wave in range(1, n + 1):
        lay_wave(con, wave)
        clients, forms = (
            {row[0] for row in con.execute(f"from control.touched_{of}").fetchall()}
            for of in ("client", "administration")
        )
        found.append((clients, forms))
    return found


def test_what_fits_one_wave_is_one_build(con) -> None:
    assert lay_waves(con, 1_000) == 1
    tables = con.execute("select table_name from duckdb_tables()").fetchall()
    assert ("wave_client",) not in tables


@pytest.mark.parametrize("rows_per_wave", [8, 5, 3])
def test_every_client_is_in_one_wave_with_those_bound_to_them(
    con, rows_per_wave
) -> None:
    n = lay_waves(con, rows_per_wave)
    assert n == -(-14 // rows_per_wave)
    clients = [clients for clients, _ in waves_of(con, n)]
    assert sorted(key for wave in clients for key in wave) == sorted(
        {"m1", "m2", "m3", "m4", "m9"}.union(*BONDS.values())
    )
    for bond, bound in BONDS.items():
        assert sum(bool(bound & wave) for wave in clients) == 1, bond
    assert all(clients)


def test_every_form_is_in_one_wave_its_clients_or_the_first(con) -> None:
    waves = waves_of(con, lay_waves(con, 5))
    forms = [form for _, forms in waves for form in forms]
    assert sorted(forms) == ["f1", "f2", "f3", "f4", "f9"]
    assert {"f4", "f9"} <= waves[0][1]
    ((clients, _),) = [wave for wave in waves if "f3" in wave[1]]
    assert "m4" in clients


def test_waves_are_ranges_of_keys(con) -> None:
    """But for who is bound to somebody: bronze is sorted so, and most is left out."""
    loose = {"m1", "m2", "m3", "m4", "m9"}
    waves = [sorted(clients & loose) for clients, _ in waves_of(con, lay_waves(con, 5))]
    assert [key for wave in waves for key in wave] == sorted(loose)
