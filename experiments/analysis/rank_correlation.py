"""Spearman's rank correlation in which values that differ only by rounding are ties."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

ROUNDING = 100 * float(np.finfo(np.float32).eps)
"""Relative difference up to which two measured gains count as equal: 1.2e-5.

Gradients have the run's precision, float32 by default. A norm that went back through T timesteps carries a relative
error of about T roundings. A gain per timestep is its T-th root and carries an error of a few roundings. A hundred
roundings leave room for sums over batch and units, whose order differs between processors. They are far below the
differences between seeds.
"""


def ranks(values: Iterable[float], tolerance: float = ROUNDING) -> "pd.Series[float]":
    """Rank values from 1, smallest first; values that are equal up to rounding share their mean rank.

    Args:
        values: Values to rank; infinities have a rank, nan has none.
        tolerance: Largest difference between a sorted value and the one before it that counts as a tie, as a share of
            the larger of the two.
    """
    rising = pd.Series(list(values), dtype=float).sort_values()
    before = rising.shift()
    larger = np.maximum(rising.abs(), before.abs())
    apart = (rising != before) & ((rising - before > tolerance * larger) | np.isinf(larger))
    return apart.cumsum().where(rising.notna()).rank().sort_index()


def rank_correlation(x: Iterable[float], y: Iterable[float], tolerance: float = ROUNDING) -> float:
    """Spearman's rank correlation with the ties of `ranks`; nan if x or y has only one rank."""
    x_ranks, y_ranks = ranks(x, tolerance), ranks(y, tolerance)
    if min(x_ranks.nunique(), y_ranks.nunique()) < 2:
        return np.nan
    return float(x_ranks.corr(y_ranks))
