"""Agreement of two methods."""

import pytest

from rapport.synthetic.recovery import agree


def test_kappa_takes_chance_out_of_agreement() -> None:
    """Of 10, both 4, a alone 1, b alone 2: observed .7, by chance .5 · .6 + .5 · .4."""
    found = agree(10, 4, 1, 2)
    assert found["agreement"] == pytest.approx(0.7)
    assert found["kappa"] == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_opposite_methods_agree_less_than_chance() -> None:
    assert agree(4, 0, 2, 2)["kappa"] == pytest.approx(-1)


@pytest.mark.parametrize("counts", [(5, 5, 0, 0), (5, 0, 0, 0)])
def test_kappa_is_null_where_agreement_by_chance_is_certain(
    counts: tuple[int, int, int, int],
) -> None:
    found = agree(*counts)
    assert (found["agreement"], found["kappa"]) == (1.0, None)


def test_without_an_episode_there_is_no_agreement() -> None:
    found = agree(0, 0, 0, 0)
    assert (found["agreement"], found["kappa"]) == (None, None)
