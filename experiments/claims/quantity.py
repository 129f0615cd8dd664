"""What was measured, with its interval, held against what was predicted."""

from collections.abc import Iterable
from math import comb, isclose
from typing import Literal, NamedTuple

import numpy as np

from experiments.analysis.intervals import wilson

Verdict = Literal["holds", "does not hold here", "undecided"]

FEWEST_SEEDS = 5
"""With fewer, nothing is said of what varies with the seed."""

COVERAGE = 0.93
"""At least, of an interval over seeds: what smallest and largest of five reach is 0.9375."""


ROUNDING = 1e-9
"""The relative difference up to which a measured value equals a predicted one: quotients, logarithms and sums over up
to millions of float64 numbers, in an order that differs between processors, agree better than that."""


class Quantity(NamedTuple):
    """Something measured, and what was predicted of it.

    Attributes:
        what: it is.
        low: of its interval.
        middle: the value itself, or the median.
        high: of its interval.
        over: what the interval is over: '5 seeds', 'all 540 gradients'; empty of a single value.
        at_least: the least that the prediction allows.
        at_most: the most.
        enough: whether there is enough to say anything.
        exact: whether low and high are no interval of what may be, but of what was: one value outside is one too many.
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
        """Holds where the whole interval is as predicted, does not where none of it is; undecided in between."""
        if not self.enough or np.isnan([self.low, self.high]).any():
            return "undecided"
        if _at_most(self.at_least, self.low) and _at_most(self.high, self.at_most):
            return "holds"
        if self.exact or not (_at_most(self.at_least, self.high) and _at_most(self.low, self.at_most)):
            return "does not hold here"
        return "undecided"

    @property
    def predicted(self) -> str:
        """In words."""
        if np.isinf(self.at_most):
            return f"at least {self.at_least:.3g}"
        if np.isinf(self.at_least):
            return f"at most {self.at_most:.3g}"
        if self.at_least == self.at_most:
            return f"{self.at_least:.3g}"
        return f"{self.at_least:.3g} to {self.at_most:.3g}"

    @property
    def measured(self) -> str:
        """In words."""
        if np.isnan(self.middle):
            return "not measured"
        if self.low == self.high:
            return f"{self.middle:.3g} ({self.over})" if self.over else f"{self.middle:.3g}"
        for digits in range(3, 9):  # as many as tell the ends apart
            low, middle, high = (f"{value:.{digits}g}" for value in (self.low, self.middle, self.high))
            if low != high:
                break
        return f"{middle} ({low} to {high}, {self.over})"


def _at_most(value: float, bound: float) -> bool:
    return value <= bound or isclose(value, bound, rel_tol=ROUNDING)


def over_seeds(
    what: str, values: Iterable[float], *, at_least: float = -np.inf, at_most: float = np.inf, unit: str = "seeds"
) -> Quantity:
    """The median over seeds, between two of the values: of all seeds' median that holds in 93 of 100 cases or more.

    That is the interval by order statistics, which assumes nothing of how the values are distributed; of five values it
    is the smallest and the largest.

    Args:
        what: it is.
        values: one of each seed; what is missing is left out.
        at_least: see `Quantity`.
        at_most: see `Quantity`.
        unit: what there is one value of.
    """
    known = np.sort(np.array([value for value in values if value is not None and not np.isnan(value)], float))
    count = len(known)
    if not count:
        return Quantity(what, np.nan, np.nan, np.nan, f"no {unit}", at_least, at_most, enough=False)
    outer = 1
    while outer < count // 2 and _coverage(count, outer + 1) >= COVERAGE:
        outer += 1
    low, high = known[outer - 1], known[-outer]
    over = f"{count} {unit}"
    return Quantity(what, low, float(np.median(known)), high, over, at_least, at_most, count >= FEWEST_SEEDS)


def _coverage(count: int, place: int) -> float:
    """How probably the median lies between the values in this place from below and from above."""
    return 1.0 - 2 * sum(comb(count, i) for i in range(place)) / float(2**count)


def share(what: str, flags: Iterable[bool], *, at_least: float = -np.inf, at_most: float = np.inf) -> Quantity:
    """The share of runs of which something is true, with Wilson's 95 % interval.

    Args:
        what: it is.
        flags: one of each run, which differ in the seed at least.
        at_least: see `Quantity`.
        at_most: see `Quantity`.
    """
    known = np.array(list(flags), bool)
    if not len(known):
        return Quantity(what, np.nan, np.nan, np.nan, "no runs", at_least, at_most, enough=False)
    low, high = wilson(np.array(float(known.sum())), np.array(float(len(known))))
    over = f"{known.sum()} of {len(known)} runs"
    enough = len(known) >= FEWEST_SEEDS
    return Quantity(
        what, max(0.0, float(low)), float(known.mean()), min(1.0, float(high)), over, at_least, at_most, enough
    )


def everywhere(
    what: str, values: Iterable[float], *, at_least: float = -np.inf, at_most: float = np.inf, unit: str = "values"
) -> Quantity:
    """What has to be so in every single case: from the smallest to the largest of all values.

    Args:
        what: it is.
        values: all of them; one that is missing counts as not known.
        at_least: see `Quantity`.
        at_most: see `Quantity`.
        unit: what they are.
    """
    known = np.array(list(values), float)
    if not len(known):
        return Quantity(what, np.nan, np.nan, np.nan, f"no {unit}", at_least, at_most, enough=False)
    middle = float(np.median(known))
    over = f"all {len(known)} {unit}" if len(known) > 1 else ""
    return Quantity(what, float(known.min()), middle, float(known.max()), over, at_least, at_most, exact=True)


def combined_verdict(quantities: Iterable[Quantity]) -> Verdict:
    """Of a claim: all that was predicted has to hold; one that does not is enough that it does not."""
    verdicts = {quantity.verdict for quantity in quantities}
    if "does not hold here" in verdicts:
        return "does not hold here"
    return "holds" if verdicts == {"holds"} else "undecided"
