"""How a gradient goes back through time: its norm by lag, the gain and the horizon that sum it up. Imports no torch."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

Columns = Mapping[str, Any] | pd.DataFrame
"""A table's columns by name, as arrays or as a DataFrame has them; {} or an empty frame has no rows."""

LOG_THOUSAND = math.log(1e3) + 1e-6
"""What ln grad_norm falls by until the horizon; a last digit of float32 does not decide."""


class Profile(NamedTuple):
    """A norm by lag.

    Attributes:
        lag: Timesteps before the end, rising.
        log_norm: Natural logarithm of the norm at each lag; -inf where the norm is 0 (underflow).
    """

    lag: np.ndarray
    log_norm: np.ndarray

    @classmethod
    def of(cls, lag: Any, norm: Any) -> "Profile":
        """From norms in any order."""
        with np.errstate(divide="ignore"):
            return cls.of_logs(lag, np.log(np.asarray(norm, float)))

    @classmethod
    def of_logs(cls, lag: Any, log_norm: Any) -> "Profile":
        """From logarithms in any order: they hold what no floating-point number can."""
        lag, log_norm = np.asarray(lag), np.asarray(log_norm, float)
        order = np.argsort(lag, kind="stable")
        return cls(lag[order], log_norm[order])


NOTHING = Profile(np.array([], int), np.array([]))


def gradient_profiles(gradients: Columns, layer: int = 0, state: str = "h") -> tuple[Profile, Profile]:
    """grad_norm of one state by lag: at the first and at the last recorded step. Layer 0 reads the input."""
    step, lag, norm = _of_state(gradients, layer, state)
    if not len(step):
        return NOTHING, NOTHING
    first, last = (Profile.of(lag[step == end], norm[step == end]) for end in (step.min(), step.max()))
    return first, last


def gain_by_step(gradients: Columns, layer: int = 0, state: str = "h") -> dict[int, float]:
    """The gain per timestep of one state at each recorded step of one run where there is one."""
    step, lag, norm = _of_state(gradients, layer, state)
    gains = {int(at): gain_per_timestep(Profile.of(lag[step == at], norm[step == at])) for at in np.unique(step)}
    return {at: gain for at, gain in gains.items() if gain is not None}


def _of_state(gradients: Columns, layer: int, state: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not len(gradients):
        return np.array([], int), *NOTHING
    rows = (np.asarray(gradients["layer"]) == layer) & (np.asarray(gradients["state"]) == state)
    step, lag, norm = (np.asarray(gradients[column])[rows] for column in ("step", "lag", "grad_norm"))
    return step, lag, norm


def jacobian_profile(jacobian: Columns) -> Profile:
    """The root mean squared singular value of ds_T/ds_t in layer 0, by lag."""
    if not len(jacobian):
        return NOTHING
    rows = np.asarray(jacobian["layer"]) == 0
    lag, logs = (np.asarray(jacobian[column])[rows] for column in ("lag", "log10_mean_squared_sv"))
    return Profile.of_logs(lag, logs * (math.log(10) / 2))


def gain_per_timestep(profile: Profile) -> float | None:
    """exp of the least-squares slope of ln grad_norm against lag.

    From lag 0 back to where the norm is 0 (underflow) or not finite: beyond that it has no logarithm. None where fewer
    than two points are left.
    """
    lags, logs = _logarithms(profile)
    if len(lags) < 2:
        return None
    lags, logs = lags - lags.sum() / len(lags), logs - logs.sum() / len(logs)
    return float(np.exp(lags @ logs / (lags @ lags)))


def straightness(profile: Profile) -> float:
    """How much of the variance of ln grad_norm a straight line against lag explains (R²); nan with fewer than three."""
    lags, logs = _logarithms(profile)
    return float(np.corrcoef(lags, logs)[0, 1] ** 2) if len(lags) > 2 else np.nan


def _logarithms(profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    """Lags and ln grad_norm, from lag 0 up to the last lag before an underflow or overflow."""
    finite = np.isfinite(profile.log_norm)
    reach = len(finite) if finite.all() else int(np.argmin(finite))
    return profile.lag[:reach].astype(float), profile.log_norm[:reach]


class Horizon(NamedTuple):
    """How far back a gradient keeps a thousandth of its size.

    Attributes:
        lag: The largest lag at which grad_norm is at least 1e-3 of its value at lag 0; T - 1 where the earliest
            recorded timestep still has that much. None where lag 0 has no finite gradient or is the only recorded lag,
            or where a norm is not known.
        resolution: Distance between the recorded lags around it: 1 where every timestep is recorded.
    """

    lag: int | None
    resolution: int | None


def horizon(profile: Profile, timesteps: int, smallest: float = float(np.finfo(np.float32).tiny)) -> Horizon:
    """The horizon of a profile. Between recorded lags, ln grad_norm is taken as a straight line.

    A norm of 0 is below what the numbers can hold. It counts as the smallest normal one, so that the line falls no
    faster than was measured: the horizon is then rather too large. A norm beyond the numbers has not fallen, nor have
    those further back; one that is nan without that is not known, and then the horizon is not.

    Args:
        profile: The norms.
        timesteps: T, the length of the sequence.
        smallest: The smallest positive normal number of the floating-point type.
    """
    lag, logs = profile
    if len(logs) < 2 or not np.isfinite(logs[0]) or (np.isnan(logs).any() and overflow_lag(profile) is None):
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
    """grad_norm at the earliest recorded timestep over grad_norm at the last timestep.

    inf where it has left the range of numbers on the way back. None with fewer than two lags, or where it is not known.
    """
    logs = profile.log_norm
    if len(logs) < 2 or not np.isfinite(logs[0]):
        return None
    if overflow_lag(profile) is not None:
        return math.inf
    if np.isnan(logs).any():
        return None
    with np.errstate(over="ignore"):
        return float(np.exp(logs[-1] - logs[0]))


def overflow_lag(profile: Profile) -> int | None:
    """The first recorded lag at which the norm is inf, going back from a finite one; None where it stays finite."""
    beyond = ~(profile.log_norm < np.inf)
    first = int(np.argmax(beyond)) if beyond.any() else 0
    return int(profile.lag[first]) if first and profile.log_norm[first] == np.inf else None
