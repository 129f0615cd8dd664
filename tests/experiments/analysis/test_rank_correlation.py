"""A rank correlation is the same whatever the last digits of equal values are."""

import math

import numpy as np
import pytest

from experiments.analysis.rank_correlation import ROUNDING, rank_correlation, ranks


def test_values_that_are_apart_have_spearmans_ranks():
    assert list(ranks([0.5, 1.2, 0.8, 0.8])) == [1, 4, 2.5, 2.5]
    assert list(ranks([3, -math.inf, math.inf, math.inf, 0, -2])) == [4, 1, 5.5, 5.5, 3, 2]
    assert np.isnan(ranks([1.0, math.nan])[1])
    assert rank_correlation([1, 2, 3, 4], [10, 20, 40, 30]) == pytest.approx(0.8)
    assert rank_correlation([1, 2, 3], [-1, -2, -3]) == -1


@pytest.mark.parametrize("seed", range(5))
def test_last_digits_do_not_change_it(seed):
    """Equal values, moved up and down by some roundings of float32, in either variable."""
    x, y = np.array([0.5, 0.5, 0.8, 0.8, 1.2, 1.2]), np.array([0.5, 0.5, 0.8, 0.8, 1.2, 1.2])
    generator = np.random.default_rng(seed)
    for sign in (1, -1):
        moved_x, moved_y = (
            values * (1 + sign * generator.uniform(-1, 1, len(values)) * 40 * np.finfo(np.float32).eps)
            for values in (x, y)
        )
        assert rank_correlation(moved_x, moved_y) == pytest.approx(1.0, abs=1e-15)
        assert rank_correlation(moved_x, 1 / moved_y) == pytest.approx(-1.0, abs=1e-15)


def test_a_difference_above_rounding_is_no_tie():
    step = 2 * ROUNDING
    assert list(ranks([1, 1 + step, 1 - step])) == [2, 3, 1]
    assert list(ranks([1, 1 + step / 4, 1 - step / 4])) == [2, 2, 2]


def test_without_different_ranks_there_is_no_correlation():
    assert np.isnan(rank_correlation([1, 1 + 1e-7, 1 - 1e-7], [1, 2, 3]))
