"""Whose rows a night computes anew: each reason, and what is no reason (ADR 0007).

Every case is drawn in one small bronze: clients named ``…_touched`` have to be found and all
others must not be. The last night was of 2026-06-10, tonight is of 2026-06-20, and delivery
``b2`` is new.
"""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from lib.drawn_bronze import lay, rows_of
from rapport.warehouse.increment import Base, lay_touched

BEFORE, TONIGHT = date(2026, 6, 10), date(2026, 6, 20)
WAITS = {"silence": 28, "gap": 91, "inactivity": 61}

# table, delivery, columns by name
ROWS = """
clients       b1  client_key=quiet
sessions      b1  session_key=s_quiet client_key=quiet clinic_key=k_still started_at_wall=2026-01-05
measures      b1  administration_key=a_quiet client_key=quiet therapist_key=t_still administered_at_wall=2026-01-05

clients       b2  client_key=new_touched
sessions      b2  session_key=s1 client_key=session_touched started_at_wall=2026-01-05
measures      b2  administration_key=a1 client_key=form_touched administered_at_wall=2026-01-05
goals         b2  goal_key=g1 client_key=goal_touched recorded_at_wall=2026-01-05
episodes      b2  episode_key=e1 client_key=episode_touched opened_on=2026-01-05
diagnoses     b2  client_key=diagnosis_touched code=F43 recorded_on=2026-01-05
measures      b1  administration_key=a2 client_key=items_touched administered_at_wall=2026-01-05
measure_items b2  administration_key=a2 item=1
measure_items b2  administration_key=a_orphan item=1

sessions      b1  session_key=s3 client_key=moved_from_touched started_at_wall=2026-01-05
sessions      b2  session_key=s3 client_key=moved_to_touched started_at_wall=2026-01-05
sessions      b1  session_key=s4 client_key=tombstone_touched started_at_wall=2026-01-05
sessions      b2  session_key=s4 deleted=true
measures      b1  administration_key=a5 client_key=names_it_touched session_key=s4 administered_at_wall=2026-01-05
measures      b1  administration_key=a6 client_key=other session_key=s_quiet administered_at_wall=2026-01-05

client_merges b1  old_client_key=old_touched new_client_key=middle_touched merged_on=2025-01-01
client_merges b1  old_client_key=middle_touched new_client_key=session_touched merged_on=2025-01-01
client_merges b1  old_client_key=quiet_old new_client_key=quiet merged_on=2025-01-01
client_merges b2  old_client_key=merged_a_touched new_client_key=merged_b_touched merged_on=2025-01-01
client_links  b1  client_key=linked_touched other_client_key=new_touched linked_on=2025-01-01
client_merges b1  old_client_key=due_a_touched new_client_key=due_b_touched merged_on=2026-06-11
client_merges b1  old_client_key=later_a new_client_key=later_b merged_on=2026-06-21
client_links  b1  client_key=due_link_touched other_client_key=due_link_other_touched linked_on=2026-06-20

episodes      b1  episode_key=e2 client_key=opens_touched opened_on=2026-06-20
episodes      b1  episode_key=e3 client_key=closes_touched opened_on=2026-01-01 closed_on=2026-06-11
episodes      b1  episode_key=e4 client_key=closed_before opened_on=2026-01-01 closed_on=2026-06-10
episodes      b1  episode_key=e5 client_key=closes_later opened_on=2026-01-01 closed_on=2026-06-21
diagnoses     b1  client_key=diagnosed_touched code=F43 recorded_on=2026-06-11
diagnoses     b1  client_key=diagnosed_later code=F43 recorded_on=2026-06-21

sessions      b1  session_key=s6 client_key=day_comes_touched started_at_wall=2026-06-11
sessions      b1  session_key=s7 client_key=day_to_come started_at_wall=2026-06-21
sessions      b1  session_key=s8 client_key=day_was started_at_wall=2026-06-10
measures      b1  administration_key=a7 client_key=form_comes_touched administered_at_wall=2026-06-20
measures      b1  administration_key=a8 client_key=form_to_come administered_at_wall=2026-06-21
goals         b1  goal_key=g2 client_key=goal_comes_touched recorded_at_wall=2026-06-11
goals         b1  goal_key=g3 client_key=goal_to_come recorded_at_wall=2026-06-21
sessions      b1  session_key=s9 client_key=east_touched started_at_wall=2026-06-10T11:00 started_at_offset_minutes=0
sessions      b1  session_key=s10 client_key=west_touched started_at_wall=2026-06-21T05:00 started_at_offset_minutes=0
sessions      b1  session_key=s11 client_key=far_west started_at_wall=2026-06-21T13:00 started_at_offset_minutes=0

clinics       b1  clinic_key=k_still timezone=UTC
clinics       b2  clinic_key=k_still timezone=UTC
clinics       b1  clinic_key=k_moved timezone=UTC
clinics       b2  clinic_key=k_moved timezone=Asia/Tokyo
clinics       b2  clinic_key=k_new timezone=UTC
therapists    b1  therapist_key=t_still clinic_key=k_still
therapists    b2  therapist_key=t_still clinic_key=k_still
therapists    b1  therapist_key=t_at_moved clinic_key=k_moved
therapists    b1  therapist_key=t_moves clinic_key=k_still
therapists    b2  therapist_key=t_moves clinic_key=k_other
sessions      b1  session_key=s12 client_key=clinic_moved_touched clinic_key=k_moved started_at_wall=2026-01-05
sessions      b1  session_key=s13 client_key=clinic_new_touched clinic_key=k_new started_at_wall=2026-01-05
measures      b1  administration_key=a9 client_key=their_clinic_touched therapist_key=t_at_moved administered_at_wall=2026-01-05
measures      b1  administration_key=a10 client_key=their_move_touched therapist_key=t_moves administered_at_wall=2026-01-05
"""
# Last attended sessions as published: silence is 28 days, the gap 90, inactivity 60.
ATTENDED = """
silence_touched      2026-05-14
silence_ends_touched 2026-05-23
silence_before       2026-05-13
silence_to_come      2026-05-24
gap_touched          2026-03-12
gap_ends_touched     2026-03-21
gap_to_come          2026-03-22
inactive_touched     2026-04-20
came_again           2026-05-14 2026-06-01
"""


def touched_by(
    folder: Path, rows, attended: str = "", snapshots: tuple[str, ...] = ()
) -> dict[str, set[str]]:
    snapshot = folder / "snapshot.duckdb"
    with duckdb.connect(str(snapshot)) as con:
        con.execute("create schema core")
        con.execute("create table core.fct_session (client_key varchar,"
                    " episode_key varchar, session_number integer, session_date date)")  # fmt: skip
        con.execute(
            "create table core.fct_episode (client_key varchar, episode_key varchar)"
        )
        for line in attended.split("\n"):
            client, *days = line.split() or [""]
            for n, day in enumerate(days, start=1):
                con.execute("insert into core.fct_session values (?, ?, ?, ?)",
                            [client, f"e_{client}", n, day])  # fmt: skip
            if client:
                con.execute("insert into core.fct_episode values (?, ?)",
                            [client, f"e_{client}"])  # fmt: skip
    with duckdb.connect() as con:
        con.execute("create schema control")
        con.execute("create table control.delivery_table (batch_id varchar,"
                    " source varchar, table_name varchar, mode varchar)")  # fmt: skip
        for table in snapshots:
            con.execute("insert into control.delivery_table values"
                        " ('b2', 'canonical', ?, 'snapshot')", [table])  # fmt: skip
        lay(con, "bronze", rows)
        lay(con, "arrived", [(t, row) for t, row in rows if row["batch_id"] == "b2"])
        base = Base(BEFORE, frozenset({"b1"}))
        n_touched = lay_touched(con, snapshot, base, TONIGHT, WAITS)
        found = {
            of: {row[0] for row in con.execute(f"from control.touched_{of}").fetchall()}
            for of in ("client", "administration", "episode")
        }
    assert len(found["client"]) == n_touched
    return found


@pytest.fixture(scope="module")
def touched(tmp_path_factory) -> dict[str, set[str]]:
    return touched_by(tmp_path_factory.mktemp("touched"), rows_of(ROWS), ATTENDED)


def named(rows, attended: str) -> set[str]:
    keys = ("client_key", "old_client_key", "new_client_key", "other_client_key")
    found = {row[key] for _, row in rows for key in keys if key in row}
    return found | {line.split()[0] for line in attended.splitlines() if line.strip()}


def test_each_reason_touches_its_clients_and_nobody_else(touched) -> None:
    drawn = named(rows_of(ROWS), ATTENDED)
    expected = {client for client in drawn if client.endswith("_touched")}
    assert len(expected) > 30
    assert len(drawn - expected) > 12
    assert touched["client"] == expected


def test_forms_of_touched_clients_and_orphans_are_computed_anew(touched) -> None:
    assert {"a1", "a2", "a_orphan", "a7", "a9", "a10"} <= touched["administration"]
    assert not {"a_quiet", "a6", "a8"} & touched["administration"]


def test_episodes_as_published_of_touched_clients_are_replaced(touched) -> None:
    assert "e_silence_touched" in touched["episode"]
    assert "e_came_again" not in touched["episode"]


VANISHED = """
clients       b1  client_key=kept
sessions      b1  session_key=s1 client_key=gone_session_touched started_at_wall=2026-01-05
sessions      b1  session_key=s2 client_key=kept_touched started_at_wall=2026-01-05
sessions      b2  session_key=s2 client_key=kept_touched started_at_wall=2026-01-05
measures      b1  administration_key=a1 client_key=gone_items_touched administered_at_wall=2026-01-05
measure_items b1  administration_key=a1 item=1
measures      b1  administration_key=a2 client_key=other administered_at_wall=2026-01-05
measure_items b1  administration_key=a_orphan item=1
client_merges b1  old_client_key=gone_a_touched new_client_key=gone_b_touched merged_on=2025-01-01
clinics       b1  clinic_key=k_gone timezone=UTC
sessions      b1  session_key=s2 client_key=kept_touched clinic_key=k_gone started_at_wall=2026-01-05
measures      b1  administration_key=a3 client_key=their_clinic_touched therapist_key=t1 administered_at_wall=2026-01-05
therapists    b1  therapist_key=t1 clinic_key=k_gone
"""


def test_what_a_new_snapshot_lacks_touches_those_whose_it_was(tmp_path) -> None:
    rows = rows_of(VANISHED)
    snapshots = ("sessions", "measure_items", "client_merges", "clinics")
    found = touched_by(tmp_path, rows, snapshots=snapshots)
    expected = {c for c in named(rows, "") if c.endswith("_touched")}
    assert found["client"] == expected
    assert "a_orphan" in found["administration"]
    # Other sources' rows are not what a source's snapshot is about.
    elsewhere = [(table, {**row, "source": "other"}) for table, row in rows]
    (tmp_path / "other").mkdir()
    found = touched_by(tmp_path / "other", elsewhere, snapshots=snapshots)
    assert found["client"] == {"kept_touched"}  # whose session arrived
