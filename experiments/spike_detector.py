"""Finds spikes of the gradient norm: steps at which it leaves the distribution of its recent values."""

import math
from collections.abc import Iterable
from statistics import median
from typing import Any, NamedTuple

import numpy as np

WINDOW = 100
"""Number of recent norms that a norm is compared with."""

WARMUP = 50
"""Least number of them; before that, only a norm that is not finite is a spike."""

LEAST_DEVIATION = 0.1
"""Least standard deviation of the logarithms. Norms that hardly vary would otherwise make any small change a spike."""


class Spike(NamedTuple):
    """A norm that is not finite, or far above the recent ones.

    Attributes:
        norm: The norm.
        median: Median of the recent norms; None if there are too few.
        limit: Largest norm that would not have been a spike; None if there are too few recent norms.
        z_score: Distance of the logarithm from the mean of the recent ones, in standard deviations; inf or nan for a
            norm that is not finite, None as above.
    """

    norm: float
    median: float | None
    limit: float | None
    z_score: float | None


class SpikeDetector:
    """Judges the gradient norms of a training one after the other.

    The logarithms of the last `WINDOW` norms have the mean m and the standard deviation s (`LEAST_DEVIATION` at least).
    With z = (ln norm - m) / s, a norm is a spike if z is above the limit. Its logarithm then counts as m + limit s, so
    that a single spike does not hide the next one, and a lasting change of the norms does not count for ever. Norms of
    0, and those that are not finite, do not count.

    Args:
        limit: Largest z of a norm that is not a spike, above 0.
    """

    def __init__(self, limit: float = 6.0) -> None:
        self._limit = limit
        self._logs: list[float] = []

    def judge(self, norm: float) -> Spike | None:
        """Judge the norm of the next step; None if it is no spike."""
        spike, counted = self._compare(norm)
        if counted is not None:
            self._logs = [*self._logs[1 - WINDOW :], counted]
        return spike

    def is_spike(self, norm: float) -> bool:
        """Whether a norm would be a spike. It does not count, as `judge` would have it."""
        return self._compare(norm)[0] is not None

    def _compare(self, norm: float) -> tuple[Spike | None, float | None]:
        """The spike, if the norm is one, and the logarithm that counts, if the norm counts."""
        known = len(self._logs) >= WARMUP
        mean = sum(self._logs) / len(self._logs) if known else 0.0
        deviation = math.sqrt(sum((log - mean) ** 2 for log in self._logs) / len(self._logs)) if known else 0.0
        deviation = max(deviation, LEAST_DEVIATION)
        highest = mean + self._limit * deviation if known else math.inf
        if norm == 0:
            return None, None
        log = math.log(norm) if math.isfinite(norm) else norm
        spike = None
        if not log <= highest or not math.isfinite(norm):
            of_recent = (math.exp(median(self._logs)), math.exp(highest), (log - mean) / deviation) if known else ()
            spike = Spike(norm, *(of_recent or (None, None, None)))
        return spike, min(log, highest) if math.isfinite(norm) else None

    def state_dict(self) -> dict[str, Any]:
        """Return the logarithms of the recent norms."""
        return {"logs": list(self._logs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with saved logarithms."""
        self._logs = list(state["logs"])


def find_spikes(norms: Iterable[float], limit: float = 6.0) -> dict[int, Spike]:
    """Find the spikes of a whole training.

    Args:
        norms: Gradient norm of each step.
        limit: As in `SpikeDetector`.

    Returns:
        The spikes by their place in `norms`, counted from 0.
    """
    norms = np.fromiter(norms, float)
    if not _may_have_spikes(norms, limit):
        return {}
    detector = SpikeDetector(limit)
    judged = ((place, detector.judge(norm)) for place, norm in enumerate(norms.tolist()))
    return {place: spike for place, spike in judged if spike is not None}


def _may_have_spikes(norms: np.ndarray, limit: float) -> bool:
    """Whether a detector could find a spike, by a rough computation of all steps at once.

    Until the first spike, the detector compares each norm with those before it as they were. Rounding cannot hide one:
    the margin is far larger.
    """
    if not (np.isfinite(norms) & (norms > 0)).all():
        return True
    logs = np.log(norms)
    logs = logs - (logs[:WARMUP].mean() if len(logs) else 0.0)
    places = np.arange(WARMUP, len(logs))
    first = np.maximum(places - WINDOW, 0)
    sums, squares = (np.concatenate([[0.0], np.cumsum(logs**power)]) for power in (1, 2))
    mean, square = ((total[places] - total[first]) / (places - first) for total in (sums, squares))
    deviation = np.maximum(np.sqrt(np.maximum(square - mean**2, 0.0)), LEAST_DEVIATION)
    return bool((logs[WARMUP:] > mean + 0.999 * limit * deviation).any())
