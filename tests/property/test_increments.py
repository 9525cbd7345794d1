"""Nights that compute only the touched clients, and waves, against one build of all.

Sixty small clinics; a thousand more are in ``make prove``
(``tests/chaos/prove_increments.py``).
"""

from __future__ import annotations

import re

import pytest

from lib.increments import Nights, all_differences, incremental_nights

N_CLINICS = 60


@pytest.fixture(scope="module")
def nights(tmp_path_factory) -> Nights:
    folder = tmp_path_factory.mktemp("increments")
    return incremental_nights(folder, range(0, 12 * N_CLINICS, 12))


def test_later_nights_compute_only_some_clients(nights) -> None:
    first, *later = nights.results
    assert first["why_full"] == "no_night_to_build_on"
    # A task hands them to Airflow: numbers and codes alone.
    said = [value for counts in nights.results for value in counts.values()]
    assert all(isinstance(v, int) or re.fullmatch("[a-z0-9_]{1,48}", v) for v in said)
    assert ["n_touched" in counts for counts in later] == [True] * 4
    assert all(counts["n_touched"] > 0 for counts in later)


def test_increments_come_to_what_one_build_of_all_comes_to(nights) -> None:
    found = all_differences(nights, nights.incremented)
    assert {t: n[1:] for t, n in found.items() if n[1:] != (0, 0)} == {}
    assert (
        min(n for t, (n, *_) in found.items() if t[:4] in ("core", "alli", "outc")) > 3
    )


def test_waves_of_clients_come_to_what_one_build_of_all_comes_to(nights) -> None:
    found = all_differences(nights, nights.in_waves)
    assert {t: n[1:] for t, n in found.items() if n[1:] != (0, 0)} == {}
