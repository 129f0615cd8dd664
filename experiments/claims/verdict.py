"""Deciding a verdict: whether a measured interval is as predicted, and what that says about a claim."""

from collections.abc import Collection
from math import isclose, isnan
from typing import Literal

Verdict = Literal["holds", "does not hold here", "undecided"]

ROUNDING = 1e-9
"""Relative difference up to which a measured value equals a predicted one. Quotients, logarithms and sums over up to
millions of float64 numbers differ by less, in whichever order a processor adds them up."""


def decide_verdict(low: float, high: float, at_least: float, at_most: float, *, exact: bool = False) -> Verdict:
    """Compare a measured interval with a prediction.

    The prediction holds if the whole interval lies within it. It does not hold if the whole interval lies outside.
    Otherwise it is undecided, and so it is if an end of the interval is nan.

    Args:
        low: Lower end of the interval.
        high: Upper end of the interval.
        at_least: Smallest predicted value.
        at_most: Largest predicted value.
        exact: Whether the ends are measured values that all have to be as predicted; then one outside is enough for
            'does not hold here'.
    """
    if isnan(low) or isnan(high):
        return "undecided"
    if _at_most(at_least, low) and _at_most(high, at_most):
        return "holds"
    if exact or not (_at_most(at_least, high) and _at_most(low, at_most)):
        return "does not hold here"
    return "undecided"


def _at_most(value: float, bound: float) -> bool:
    return value <= bound or isclose(value, bound, rel_tol=ROUNDING)


def combine_verdicts(verdicts: Collection[Verdict]) -> Verdict:
    """Decide the verdict of a claim: it holds if all of its predictions hold, and fails if one of them does."""
    if "does not hold here" in verdicts:
        return "does not hold here"
    return "holds" if set(verdicts) == {"holds"} else "undecided"
