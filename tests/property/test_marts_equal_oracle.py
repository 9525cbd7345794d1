"""The marts against the oracle, row by row, on 240 random clinics and the sample.

All clinics go through one door and are built once for each set of settings (all but the
last rule of dropout, which the longer search holds too, and chapter G by example). A failing
clinic runs alone with ``PYTHONPATH=tests python -m oracle.compare --clinic SEED``; a
longer search is in ``make prove`` (``tests/chaos/prove_oracle.py``).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from conftest import ROOT
from oracle.compare import (
    GRAIN,
    PROFILES,
    Comparison,
    compare,
    differences_of,
    random_subjects,
    report,
    subject_of_folder,
)
from oracle.settings import Settings

N_CLINICS = 240
IN_SUITE = tuple(profile for profile in PROFILES if profile.name != "no_show_last")
NAMES = [profile.name for profile in IN_SUITE]


@pytest.fixture(scope="module")
def subjects():
    sample = ROOT / "data" / "sample" / "inbox" / "canonical"
    return [
        *random_subjects(list(range(N_CLINICS))),
        subject_of_folder("canonical", sample),
    ]


@pytest.fixture(scope="module")
def compared(subjects, tmp_path_factory) -> dict[str, Comparison]:
    home = tmp_path_factory.mktemp("oracle") / "home"
    home.mkdir()
    results = compare(subjects, IN_SUITE, home)
    return {result.profile: result for result in results}


@pytest.mark.parametrize("profile", NAMES)
def test_every_published_row_equals_the_oracle(profile, compared) -> None:
    result = compared[profile]
    assert not result.missing_tables
    assert not result.differences, report([result])


@pytest.mark.parametrize("profile", NAMES)
def test_no_table_is_compared_empty(profile, compared) -> None:
    assert set(compared[profile].n_rows) == set(GRAIN)
    assert min(compared[profile].n_rows.values()) > 10


def test_every_mart_of_measures_is_held_by_the_oracle() -> None:
    marts = ROOT / "dbt_project" / "models" / "marts"
    built = {
        f"{schema}.{model.stem}"
        for schema in ("core", "alliance", "outcomes")
        for model in (marts / schema).glob("*.sql")
    }
    assert built - _DESCRIPTIONS == set(GRAIN)


def test_a_wrong_cell_and_a_lost_row_are_told_with_their_clinic() -> None:
    expected = {
        ("a",): ("7", {"score": 1.0}),
        ("b",): ("8", {"score": 2.0}),
        ("c",): ("9", {"score": None}),
    }
    found = {("a",): {"score": 1.0 + 9e-7}, ("b",): {"score": 2.00001}}
    told = differences_of("defaults", "core.fct_x", found, expected)
    assert [(d.clinic, d.column) for d in told] == [("8", "score"), ("9", "(row)")]


# Registries published as tables: they measure nothing.
_DESCRIPTIONS = {"alliance.dim_rupture_method", "outcomes.dim_care_signal"}

# What the page can say: the random clinics must reach each of these.
_CODES = {
    "core.fct_session": {
        "status": "attended no_show client_cancelled late_cancelled clinic_cancelled"
        " scheduled voided unknown"
    },
    "core.fct_episode": {
        "episode_status": "open closed",
        "episode_origin": "reported derived",
        "closure_reason": "completed dropped_out referred transferred declined deceased"
        " other",
        "dropout": "True False None",
    },
    "core.fct_measure_score": {
        "score_origin": "items prorated reported",
        "invalid_reason": "unknown_instrument wrong_rater form_mismatch no_items"
        " too_many_missing subscale_invalid reported_out_of_range",
    },
    "alliance.fct_alliance_session": {"band": "weak moderate strong"},
    "alliance.fct_rupture": {
        "strength": "possible likely",
        "lead_component": "goal task bond none",
        "shape": "v u l None",
        "status": "pending resolved late_repair unresolved unresolved_at_close",
    },
    "alliance.rupture_cohort": {
        "pattern": "insufficient no_rupture repaired pending unrepaired"
    },
    "alliance.fct_therapist_marker": {
        "is_strained": "True False None",
        "is_persistent": "True False",
        "in_tandem": "True False",
    },
    "alliance.fct_congruence": {
        "direction": "therapist_higher client_higher aligned None",
        "goal_mismatch": "True False None",
    },
    "alliance.fct_goal_overlap": {"is_inconsistent": "True False None"},
    "alliance.fct_strengthening": {"repaired_after": "True False None"},
    "outcomes.fct_episode_outcome": {
        "reliable_change": "improved no_change deteriorated",
        "clinical_class": "recovered improved unchanged deteriorated not_at_risk"
        " insufficient",
    },
    "outcomes.fct_stall": {
        "status": "open resumed closed",
        "weak_component": "goal task bond none",
        "alliance_reviewed": "True False None",
    },
}
_SIGNALS = """
    rupture: repaired escalated therapist_changed episode_closed None
    rupture_unrepaired: repaired therapist_changed episode_closed None
    stall_return_to_alliance: reviewed resumed episode_closed None
    therapist_strain: settled episode_closed None
    goal_mismatch: settled episode_closed None
    weak_early_alliance: recovered episode_closed None
    deterioration: recovered episode_closed None
    disengagement: attended episode_closed None
"""


@pytest.fixture(scope="module")
def reached(compared) -> Counter:
    """Count (table, column, code) of the rows that the default settings give."""
    counts: Counter = Counter()
    for table, rows in compared["defaults"].expected.items():
        for key, row in rows.items():
            for column in _CODES.get(table, {}):
                counts[table, column, str(row[column])] += 1
            if table == "outcomes.fct_care_signal":
                counts["signal", key[0], str(row["closed_reason"])] += 1
            if table == "alliance.fct_rupture":
                counts["method", row["method"], row["status"]] += 1
    return counts


def test_the_random_clinics_reach_every_code_of_the_page(reached) -> None:
    wanted = [
        (table, column, code)
        for table, columns in _CODES.items()
        for column, codes in columns.items()
        for code in codes.split()
    ]
    assert [one for one in wanted if not reached[one]] == []


def test_the_random_clinics_open_and_close_every_signal(reached) -> None:
    wanted = [
        ("signal", line.split(":")[0].strip(), reason)
        for line in _SIGNALS.strip().splitlines()
        for reason in line.split(":")[1].split()
    ]
    assert [one for one in wanted if not reached[one]] == []


def test_the_random_clinics_hold_repaired_and_open_ruptures_of_every_method(
    reached,
) -> None:
    methods = Settings()["rupture.methods"]
    assert len(methods) == 12
    for method in methods:
        assert reached["method", method, "resolved"], method
        assert reached["method", method, "pending"], method


def test_a_random_clinic_is_a_function_of_its_seed() -> None:
    once, again = random_subjects([41]), random_subjects([41])
    assert once == again
    assert once != random_subjects([42])


def test_the_oracle_shares_no_code_with_the_pipeline() -> None:
    files = sorted((Path(__file__).parents[1] / "oracle").glob("*.py"))
    assert len(files) > 10
    for file in files:
        said = file.read_text("utf-8")
        assert "rapport import" not in said and "import rapport" not in said, file.name


def test_every_profile_changes_a_setting_of_its_own() -> None:
    assert next(p.said for p in PROFILES) == {}
    rules = {p.said.get("dropout.rule", "coded") for p in PROFILES}
    assert rules == {"coded", "unilateral_no_gain", "no_show_last", "inactivity"}
    assert len({dataclasses.astuple(p)[0] for p in PROFILES}) == len(PROFILES)
