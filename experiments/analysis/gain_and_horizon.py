"""The gain and the horizon of a gradient: computed from its norm by lag, as it flows back through time."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

Columns = Mapping[str, Any] | pd.DataFrame
"""Columns of a table by name, as arrays or in a DataFrame; {} and an empty frame have no rows."""

LOG_THOUSAND = math.log(1e3) + 1e-6
"""Decrease of ln grad_norm up to the horizon; the small addition keeps float32 rounding from deciding."""

FATES = {"shrinks": 0.1, "arrives": 10.0, "grows": 1e3, "explodes": math.inf}
"""What a gradient that has not vanished does, each with the largest ratio of its norm at the earliest recorded timestep
to that at the last."""


class Profile(NamedTuple):
    """A norm as a function of the lag.

    Attributes:
        lag: Timesteps before the last one, increasing.
        log_norm: Natural logarithm of the norm at each lag; -inf if the norm is 0 (underflow).
    """

    lag: np.ndarray
    log_norm: np.ndarray

    @classmethod
    def of(cls, lag: Any, norm: Any) -> "Profile":
        """Build a profile from norms in any order."""
        with np.errstate(divide="ignore"):
            return cls.of_logs(lag, np.log(np.asarray(norm, float)))

    @classmethod
    def of_logs(cls, lag: Any, log_norm: Any) -> "Profile":
        """Build a profile from logarithms in any order; they can represent norms beyond the floating-point range."""
        lag, log_norm = np.asarray(lag), np.asarray(log_norm, float)
        order = np.argsort(lag, kind="stable")
        return cls(lag[order], log_norm[order])

    def within(self, timesteps: int) -> "Profile":
        """Return the part of the profile with lags below a number of timesteps."""
        kept = self.lag < timesteps
        return Profile(self.lag[kept], self.log_norm[kept])


NOTHING = Profile(np.array([], int), np.array([]))


def gradient_profiles(
    gradients: Columns, layer: int = 0, state: str = "h", column: str = "grad_norm"
) -> tuple[Profile, Profile]:
    """The profiles of a norm at the first and at the last recorded step of one run.

    Args:
        gradients: Rows of gradients.csv of one run, or of another table with the same columns.
        layer: Index of the layer; layer 0 reads the input.
        state: Name of the state.
        column: Column with the norm.
    """
    step, lag, norm = _of_state(gradients, layer, state, column)
    if not len(step):
        return NOTHING, NOTHING
    first, last = (Profile.of(lag[step == end], norm[step == end]) for end in (step.min(), step.max()))
    return first, last


def gain_by_step(gradients: Columns, layer: int = 0, state: str = "h") -> dict[int, float]:
    """The gain per timestep of one state at each recorded step of one run; steps without a gain are left out."""
    step, lag, norm = _of_state(gradients, layer, state)
    gains = {int(at): gain_per_timestep(Profile.of(lag[step == at], norm[step == at])) for at in np.unique(step)}
    return {at: gain for at, gain in gains.items() if gain is not None}


def _of_state(
    gradients: Columns, layer: int, state: str, column: str = "grad_norm"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not len(gradients):
        return np.array([], int), *NOTHING
    rows = (np.asarray(gradients["layer"]) == layer) & (np.asarray(gradients["state"]) == state)
    step, lag, norm = (np.asarray(gradients[name])[rows] for name in ("step", "lag", column))
    return step, lag, norm


def jacobian_profile(jacobian: Columns) -> Profile:
    """The profile of the root mean squared singular value of ds_T/ds_t in layer 0."""
    if not len(jacobian):
        return NOTHING
    rows = np.asarray(jacobian["layer"]) == 0
    lag, logs = (np.asarray(jacobian[column])[rows] for column in ("lag", "log10_mean_squared_sv"))
    return Profile.of_logs(lag, logs * (math.log(10) / 2))


def gain_per_timestep(profile: Profile) -> float | None:
    """Compute the gain per timestep: exp of the least-squares slope of ln grad_norm against lag.

    The fit starts at lag 0 and ends before the first lag at which the norm is 0 (underflow) or not finite. Returns None
    if fewer than two points are left.
    """
    lags, logs = _logarithms(profile)
    if len(lags) < 2:
        return None
    lags, logs = lags - lags.sum() / len(lags), logs - logs.sum() / len(logs)
    return float(np.exp(lags @ logs / (lags @ lags)))


def straightness(profile: Profile) -> float:
    """R² of a straight line through ln grad_norm against lag; nan with fewer than three points."""
    lags, logs = _logarithms(profile)
    return float(np.corrcoef(lags, logs)[0, 1] ** 2) if len(lags) > 2 else np.nan


def _logarithms(profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    """Lags and ln grad_norm from lag 0 to the last lag before an underflow or overflow."""
    finite = np.isfinite(profile.log_norm)
    reach = len(finite) if finite.all() else int(np.argmin(finite))
    return profile.lag[:reach].astype(float), profile.log_norm[:reach]


class Horizon(NamedTuple):
    """How far back a gradient keeps at least a thousandth of its size.

    Attributes:
        lag: Largest lag at which grad_norm is at least 1e-3 of its value at lag 0; T - 1 if the earliest recorded
            timestep still has that much. None if the gradient at lag 0 is not finite, if lag 0 is the only recorded
            lag, or if a norm is nan.
        resolution: Distance between the recorded lags around it; 1 if every timestep is recorded.
    """

    lag: int | None
    resolution: int | None


def horizon(profile: Profile, timesteps: int, smallest: float = float(np.finfo(np.float32).tiny)) -> Horizon:
    """Compute the horizon of a profile. Between recorded lags, ln grad_norm is interpolated linearly.

    A norm of 0 is below the range of the floating-point type. It counts as the smallest normal number, so that the line
    falls no faster than was measured; the horizon is then too large rather than too small. A norm of inf is above the
    range, so it has not fallen. A norm of nan is not known, and then neither is the horizon.

    Args:
        profile: Norm by lag.
        timesteps: Length T of the sequence.
        smallest: Smallest positive normal number of the floating-point type.
    """
    lag, logs = profile
    if len(logs) < 2 or not np.isfinite(logs[0]) or np.isnan(logs).any():
        return Horizon(None, None)
    level = logs[0] - LOG_THOUSAND
    held = int(np.flatnonzero(~(logs < level)).max())
    if held == len(lag) - 1:
        return Horizon(timesteps - 1, timesteps - int(lag[held]))
    gap = int(lag[held + 1] - lag[held])
    below = logs[held + 1] if np.isfinite(logs[held + 1]) else min(math.log(smallest), level)
    share = (logs[held] - level) / (logs[held] - below) if below < logs[held] < np.inf else 0.0
    return Horizon(int(lag[held]) + min(int(share * gap), gap - 1), gap)


def arriving(profile: Profile) -> float | None:
    """Compute grad_norm at the earliest recorded timestep divided by grad_norm at the last timestep.

    It is inf if the norm left the range of numbers on the way back. Returns None with fewer than two lags, if the
    gradient at lag 0 is 0 or not finite, and if a norm is nan.
    """
    logs = profile.log_norm
    if len(logs) < 2 or not np.isfinite(logs[0]) or np.isnan(logs).any():
        return None
    if overflow_lag(profile) is not None:
        return math.inf
    with np.errstate(over="ignore"):
        return float(np.exp(logs[-1] - logs[0]))


def overflow_lag(profile: Profile) -> int | None:
    """Find the first recorded lag at which the norm is inf, after finite ones; None if there is none."""
    beyond = ~(profile.log_norm < np.inf)
    first = int(np.argmax(beyond)) if beyond.any() else 0
    return int(profile.lag[first]) if first and profile.log_norm[first] == np.inf else None


def fate_of(reach: float, left: float, length: int) -> str:
    """Say what a gradient does from the last timestep back to the earliest recorded one, such as 'vanishes'.

    Args:
        reach: Horizon of the gradient.
        left: Norm at the earliest recorded timestep divided by that at the last.
        length: Number of timesteps of the sequence.
    """
    if reach < length - 1 and left < 1:
        return "vanishes"
    return next(fate for fate, most in FATES.items() if left <= most)
