"""Fuzzed input is refused in words of ours or taken in, and every row is in a sum.

Ten thousand cases a kind are in ``make prove`` (``tests/chaos/prove_fuzz.py``).
"""

import pytest

from lib.fuzz import KINDS, fuzz


@pytest.mark.parametrize("kind", KINDS)
def test_fuzzed_input_never_shows_a_traceback(kind: str) -> None:
    n_cases = 300 if kind in ("settings", "mappings", "requests") else 40
    found = fuzz(kind, seed=1, n_cases=n_cases)
    assert found.n_cases == n_cases
    assert found.failures == []
    # A manifest that can't be read is noted and its delivery is loaded all the same.
    assert found.n_refused > 0 or kind == "manifests"
