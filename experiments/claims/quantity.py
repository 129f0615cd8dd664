"""The measured quantities of a claim, each with its interval and what is predicted of it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from experiments.analysis.intervals import median_interval, wilson_interval
from experiments.claims.verdict import Verdict, decide_verdict

MIN_SEEDS = 5
"""Least number of seeds for a verdict on what varies with the seed."""

COVERAGE = 0.93
"""Least coverage of an interval over seeds; the smallest and the largest of five values reach 0.9375."""


class Quantity(NamedTuple):
    """A measured value with its interval, and the range that is predicted for it.

    Attributes:
        what: Name of the quantity.
        low: Lower end of the interval.
        middle: The value itself, or the median.
        high: Upper end of the interval.
        over: What the interval is taken over: '5 seeds', 'all 540 gradients'; empty for a single value.
        at_least: Smallest value that is predicted.
        at_most: Largest value that is predicted.
        enough: Whether there are enough values for a verdict.
        exact: Whether low and high are the smallest and the largest of all values; then a single value outside the
            prediction refutes it.
    """

    what: str
    low: float
    middle: float
    high: float
    over: str
    at_least: float = -np.inf
    at_most: float = np.inf
    enough: bool = True
    exact: bool = False

    @property
    def verdict(self) -> Verdict:
        """Whether the quantity is as predicted; undecided if there are not enough values."""
        if not self.enough:
            return "undecided"
        return decide_verdict(self.low, self.high, self.at_least, self.at_most, exact=self.exact)

    @property
    def predicted(self) -> str:
        """The prediction in words, such as 'at least 0.5'; 'nothing' for a quantity that is only there to be read."""
        if np.isinf(self.at_most) and np.isinf(self.at_least):
            return "nothing"
        if np.isinf(self.at_most):
            return f"at least {self.at_least:.3g}"
        if np.isinf(self.at_least):
            return f"at most {self.at_most:.3g}"
        if self.at_least == self.at_most:
            return f"{self.at_least:.3g}"
        return f"{self.at_least:.3g} to {self.at_most:.3g}"

    @property
    def measured(self) -> str:
        """The measurement in words, such as '0.95 (0.92 to 0.97, 5 seeds)'."""
        if np.isnan(self.middle):
            return "not measured"
        if self.low == self.high:
            return f"{self.middle:.3g} ({self.over})" if self.over else f"{self.middle:.3g}"
        for digits in range(3, 9):  # until the two ends look different
            low, middle, high = (f"{value:.{digits}g}" for value in (self.low, self.middle, self.high))
            if low != high:
                break
        return f"{middle} ({low} to {high}, {self.over})"


def over_seeds(
    what: str, values: Iterable[float], *, at_least: float = -np.inf, at_most: float = np.inf, unit: str = "seeds"
) -> Quantity:
    """Median over seeds with a distribution-free interval from order statistics (coverage at least 93 %).

    With five values the interval is from the smallest to the largest. With fewer it is the same, but the verdict is
    undecided.

    Args:
        what: Name of the quantity.
        values: One value per seed; missing ones are dropped.
        at_least: Smallest value that is predicted.
        at_most: Largest value that is predicted.
        unit: What there is one value of.
    """
    known = np.sort(np.array([value for value in values if value is not None and not np.isnan(value)], float))
    count = len(known)
    if not count:
        return Quantity(what, np.nan, np.nan, np.nan, f"no {unit}", at_least, at_most, enough=False)
    enough = count >= MIN_SEEDS
    low, high = median_interval(known, COVERAGE) if enough else (known[0], known[-1])
    return Quantity(what, low, float(np.median(known)), high, f"{count} {unit}", at_least, at_most, enough)


def share(what: str, flags: Iterable[bool], *, at_least: float = -np.inf, at_most: float = np.inf) -> Quantity:
    """Share of runs of which something is true, with Wilson's 95 % interval.

    Args:
        what: Name of the quantity.
        flags: One value per run; the runs differ at least in their seed.
        at_least: Smallest share that is predicted.
        at_most: Largest share that is predicted.
    """
    known = np.array(list(flags), bool)
    if not len(known):
        return Quantity(what, np.nan, np.nan, np.nan, "no runs", at_least, at_most, enough=False)
    (low,), (high,) = wilson_interval(known.sum(), np.array(len(known)))
    over = f"{known.sum()} of {len(known)} runs"
    return Quantity(
        what, float(low), float(known.mean()), float(high), over, at_least, at_most, len(known) >= MIN_SEEDS
    )


def everywhere(
    what: str, values: Iterable[float], *, at_least: float = -np.inf, at_most: float = np.inf, unit: str = "values"
) -> Quantity:
    """Range of values all of which have to be as predicted: from the smallest to the largest.

    Args:
        what: Name of the quantity.
        values: All values; with a missing one the verdict is undecided.
        at_least: Smallest value that is predicted.
        at_most: Largest value that is predicted.
        unit: What the values are of.
    """
    known = np.array(list(values), float)
    if not len(known):
        return Quantity(what, np.nan, np.nan, np.nan, f"no {unit}", at_least, at_most, enough=False)
    middle = float(np.median(known))
    over = f"all {len(known)} {unit}" if len(known) > 1 else ""
    return Quantity(what, float(known.min()), middle, float(known.max()), over, at_least, at_most, exact=True)
