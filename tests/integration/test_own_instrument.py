"""A clinic adds an instrument of its own: seed rows alone, from the door to the marts."""

import shutil

import duckdb

from conftest import ROOT, Home, table

OWN = ROOT / "tests" / "fixtures" / "own_instrument"


def test_a_clinics_own_instrument_is_scored_by_its_seed_rows(home: Home) -> None:
    """docs/how-to/add-an-instrument.md, step by step."""
    shutil.copytree(OWN, home.path / "instruments")
    forms = table("""
        administration_id | client_id | instrument | rater     | administered_at
        M1                | C1        | Sleep 4    | client    | 2026-01-05
        M2                | C1        | sleep      | client    | 2026-02-05
        M3                | C1        | SLEEP-4    | therapist | 2026-02-06
        M4                | C2        | SLEEP-4    | client    | 2026-01-05
    """)
    items = table("""
        administration_id | item | value
        M1 | N1 | 3
        M1 | N2 | 0
        M1 | D1 | 1
        M1 | D2 | 1
        M2 | N1 | 1
        M2 | N2 | 3
        M2 | D1 | 2
        M2 | D2 | 2
        M4 | N1 | 2
        M4 | N2 | 2
        M4 | D1 | 9
    """)
    sessions = table("""
        session_id | client_id | therapist_id | started_at       | status
        S1         | C1        | T1           | 2026-01-05T10:00 | attended
    """)
    home.deliver(
        "d1",
        {
            "clients.csv": "client_id\nC1\nC2\n",
            "sessions.csv": sessions,
            "measures.csv": forms,
            "measure_items.csv": items,
        },
    )
    home.run("ingest")
    home.run("build", "--as-of", "2026-03-01")
    candidate = home.path / "warehouse" / "candidate.duckdb"
    with duckdb.connect(candidate, read_only=True) as con:

        def rows(sql: str) -> list[tuple]:
            return con.execute(sql).fetchall()

        assert rows(
            "select subscale, rater, reliable_change, functional_rule, missing_rule"
            " from core.dim_instrument where instrument = 'SLEEP-4' order by 1"
        ) == [
            ("day", "client", None, None, "needs every item"),
            ("night", "client", None, None, "needs every item"),
            ("total", "client", 3.0, "up_to", "needs every subscale"),
        ]
        assert rows(
            "select administered_on::varchar, rater, subscale, score, invalid_reason"
            " from core.fct_measure_score where instrument = 'SLEEP-4'"
            " and subscale in ('total', 'night') order by n_answered desc, 1, 2, 3, 4 desc"
        ) == [
            ("2026-01-05", "client", "total", 8.0, None),
            ("2026-02-05", "client", "total", 5.0, None),
            ("2026-01-05", "client", "night", 6.0, None),
            ("2026-01-05", "client", "night", 3.0, None),
            ("2026-01-05", "client", "total", None, "subscale_invalid"),
            ("2026-02-05", "client", "night", 1.0, None),
            ("2026-02-06", "therapist", "total", None, "wrong_rater"),
        ]
        assert rows(
            "select first_score, last_score, reliable_change, clinical_class"
            " from outcomes.fct_episode_outcome where instrument = 'SLEEP-4'"
        ) == [(8.0, 5.0, "improved", "recovered")]
