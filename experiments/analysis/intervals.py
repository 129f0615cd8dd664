"""Confidence intervals of shares and medians.

scipy.stats is imported only where it is used: importing it takes longer than importing numpy and pandas.
"""

from functools import cache

import numpy as np


def wilson_interval(successes: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95 % score interval of proportions (Wilson 1927), which also works at 0, at 1 and for few trials.

    Args:
        successes: Number of successes of each proportion.
        trials: Number of trials of each proportion, at least 1.

    Returns:
        The lower and the upper ends.
    """
    from scipy.stats import binomtest

    pairs = zip(np.ravel(successes), np.ravel(trials), strict=True)
    ends = [binomtest(int(k), int(n)).proportion_ci(method="wilson") for k, n in pairs]
    low, high = np.array(ends, float).reshape(-1, 2).T
    return low, high


def median_interval(values: np.ndarray, coverage: float) -> tuple[float, float]:
    """Distribution-free interval of the median: from one order statistic of the sample to another.

    Args:
        values: Sample, without nan; it may contain infinities.
        coverage: Least probability with which the interval contains the median of the distribution.

    Returns:
        The ends, which are two of the values; nan if the sample is too small for this coverage.
    """
    low, high = _median_ranks(len(values), coverage)
    rising = np.sort(values)
    return (float(rising[int(low)]), float(rising[int(high)])) if np.isfinite(low + high) else (np.nan, np.nan)


@cache
def _median_ranks(count: int, coverage: float) -> tuple[float, float]:
    """Ranks, from 0, of the two values between which the median lies."""
    from scipy.stats import quantile_test

    low, high = quantile_test(np.arange(float(count)), p=0.5).confidence_interval(confidence_level=coverage)
    return float(low), float(high)
