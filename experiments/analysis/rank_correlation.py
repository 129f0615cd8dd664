"""Rank correlation in which values that differ by rounding only are ties. Imports no torch."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

ROUNDING = 100 * float(np.finfo(np.float32).eps)
"""The relative difference up to which two measured gains are equal: 1.2e-5.

Gradients have the run's precision, float32 by default. A norm that went back through T timesteps carries a relative
error of about T roundings, and a gain a timestep, which is its T-th root, one of a few. A hundred roundings leave room
for sums over batch and units, whose order differs between processors, and are far below what a seed changes.
"""


def ranks(values: Iterable[float], tolerance: float = ROUNDING) -> "pd.Series[float]":
    """The rank of each value from 1, smallest first; values that are equal to rounding share their mean rank.

    Args:
        values: What is ranked; infinities have a rank, nan has none.
        tolerance: A sorted value is a tie with the one before it where the two differ by at most this share of the
            larger.
    """
    rising = pd.Series(list(values), dtype=float).sort_values()
    before = rising.shift()
    larger = np.maximum(rising.abs(), before.abs())
    apart = (rising != before) & ((rising - before > tolerance * larger) | np.isinf(larger))
    return apart.cumsum().where(rising.notna()).rank().sort_index()


def rank_correlation(x: Iterable[float], y: Iterable[float], tolerance: float = ROUNDING) -> float:
    """Spearman's rank correlation with the ties of `ranks`; nan where one of the two has a single rank."""
    x_ranks, y_ranks = ranks(x, tolerance), ranks(y, tolerance)
    if min(x_ranks.nunique(), y_ranks.nunique()) < 2:
        return np.nan
    return float(x_ranks.corr(y_ranks))
