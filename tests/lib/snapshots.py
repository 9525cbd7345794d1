"""A published snapshot as plain rows, so that two of them can be compared."""

from pathlib import Path

import duckdb

from rapport.warehouse import open_snapshot

# These record when the pipeline learned something (contract §5, 2).
_NIGHTS = {
    "ops.run", "ops.check_result", "ops.delivery", "ops.signal_log",
    "ops.signal_erasure", "ops.change_log",
    "ops.baseline_correction",
}  # fmt: skip


def published(home: Path) -> dict[str, list[tuple]]:
    """Return every published table, rows sorted, but those that remember nights."""
    with open_snapshot(home / "published" / "rapport.duckdb") as con:
        names = con.execute(
            "select schema_name || '.' || table_name from duckdb_tables() order by 1"
        ).fetchall()
        found = {}
        for (name,) in names:
            if name in _NIGHTS:
                continue
            hidden = (
                " exclude (first_seen_at)" if name == "alliance.fct_rupture" else ""
            )
            rows = con.execute(f"select *{hidden} from {name}").fetchall()
            found[name] = sorted(rows, key=repr)
    return found


def fingerprint(path: Path) -> tuple:
    """Return what one reader sees in one look: counts that belong together."""
    with duckdb.connect(path, read_only=True) as con:
        row = con.execute(
            """
            select
                (select max(as_of) from ops.run where outcome = 'published'),
                (select count(*) from core.fct_session),
                (select count(*) from core.fct_measure_score),
                (select count(*) from alliance.fct_rupture),
                (select count(*) from outcomes.fct_care_signal),
                (select count(*) from alliance.rupture_cohort as cohort
                    anti join core.fct_episode as episode using (episode_key)),
                (select sum(rows_in) from ops.row_ledger)
            """
        ).fetchone()
    assert row is not None
    return tuple(row)
