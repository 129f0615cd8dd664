import math

import numpy as np
import pytest

from experiments.claims.quantity import COVERAGE, everywhere, over_seeds, share
from experiments.claims.verdict import combine_verdicts


@pytest.mark.parametrize(
    ("values", "at_least", "at_most", "verdict"),
    [
        ((1, 2, 3, 4, 5), 0.5, np.inf, "holds"),
        ((1, 2, 3, 4, 5), 2, np.inf, "undecided"),
        ((1, 2, 3, 4, 5), 6, np.inf, "does not hold here"),
        ((1, 2, 3, 4, 5), -np.inf, 0.5, "does not hold here"),
        ((1, 2, 3, 4, 5), 1, 5, "holds"),
        ((1, 2, 3, 4), 0.5, np.inf, "undecided"),
        ((1, 2, 3, 4, 5, math.nan), 0.5, np.inf, "holds"),
        ((), 0.5, np.inf, "undecided"),
    ],
)
def test_a_quantity_is_as_predicted_if_its_whole_interval_is(values, at_least, at_most, verdict):
    assert over_seeds("x", values, at_least=at_least, at_most=at_most).verdict == verdict


@pytest.mark.parametrize("count", [5, 6, 9, 12, 20, 40])
def test_the_interval_over_seeds_covers_the_median_as_often_as_it_says(count):
    draws = np.random.default_rng(count).exponential(size=(4000, count))
    quantities = [over_seeds("x", draw) for draw in draws]
    hits = np.mean([one.low <= math.log(2) <= one.high for one in quantities])
    assert COVERAGE - 0.01 <= hits <= 0.995
    assert all(one.low <= one.middle <= one.high for one in quantities[:100])


def test_a_share_has_wilsons_interval():
    one = share("solved", [True] * 5, at_least=0.5)
    assert (round(one.low, 4), one.high, one.verdict) == (0.5655, 1.0, "holds")
    assert share("solved", [True] * 4, at_least=0.5).verdict == "undecided"
    assert share("solved", [False] * 5, at_least=0.5).verdict == "does not hold here"
    assert share("solved", [True, False, True, False, True], at_least=0.5).verdict == "undecided"
    assert share("solved", []).verdict == "undecided"


def test_what_has_to_be_so_everywhere_fails_in_a_single_place():
    assert everywhere("x", [0, 0, 1e-12], at_most=1e-9).verdict == "holds"
    assert everywhere("x", [0, 0, 1], at_most=1e-9).verdict == "does not hold here"
    assert everywhere("x", [1, 1], at_most=1e-9).verdict == "does not hold here"
    assert everywhere("x", [0, math.nan], at_most=1e-9).verdict == "undecided"
    assert everywhere("x", []).verdict == "undecided"


def test_a_claim_needs_all_of_its_quantities():
    good, bad, open_ = (over_seeds("x", values, at_most=0).verdict for values in ([0] * 5, [1] * 5, range(5)))
    assert combine_verdicts([good, good]) == "holds"
    assert combine_verdicts([good, open_]) == "undecided"
    assert combine_verdicts([good, open_, bad]) == "does not hold here"
    assert combine_verdicts([]) == "undecided"


@pytest.mark.parametrize("last_digits", [1 - 1e-12, 1, 1 + 1e-12])
def test_a_verdict_does_not_hang_on_last_digits(last_digits):
    """Values that are equal to a bound but for rounding are as predicted, from either side."""
    values = np.array([1.0, 1.0, 1.0, 1.0, 1.0]) * last_digits
    assert over_seeds("x", values, at_least=1).verdict == "holds"
    assert over_seeds("x", values, at_most=1).verdict == "holds"
    assert everywhere("x", values, at_least=1, at_most=1).verdict == "holds"
    assert over_seeds("x", -values, at_most=-1).verdict == "holds"
    assert over_seeds("x", values, at_least=1 + 1e-6).verdict == "does not hold here"
    assert everywhere("x", values, at_most=1 - 1e-6).verdict == "does not hold here"
