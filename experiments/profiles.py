"""How a gradient goes back through time: its norm by lag, the gain and the horizon that sum it up. Imports no torch."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

Columns = Mapping[str, Any] | pd.DataFrame
"""A table's columns by name, as arrays or as a DataFrame has them; {} or an empty frame has no rows."""


class Profile(NamedTuple):
    """A norm by lag.

    Attributes:
        lag: timesteps before the end, rising.
        norm: at each.
    """

    lag: np.ndarray
    norm: np.ndarray

    @classmethod
    def of(cls, lag: Any, norm: Any) -> "Profile":
        """From values in any order."""
        lag, norm = np.asarray(lag), np.asarray(norm, float)
        order = np.argsort(lag, kind="stable")
        return cls(lag[order], norm[order])


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
    with np.errstate(over="ignore", under="ignore"):
        return Profile.of(lag, 10 ** (logs / 2))


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
    """Lags and ln grad_norm, as far back as there is a logarithm."""
    lag, norm = profile
    usable = (norm > 0) & np.isfinite(norm)
    reach = len(norm) if usable.all() else int(np.argmin(usable))
    return lag[:reach].astype(float), np.log(norm[:reach])


def horizon(profile: Profile, timesteps: int) -> int | None:
    """The largest lag at which grad_norm is still at least 1e-3 of its value at lag 0.

    It is as fine as the windows: only the recorded lags are looked at, and where the last of them is reached it is
    T - 1. What is not finite has not fallen.
    """
    lag, norm = profile
    if not len(norm) or not np.isfinite(norm[0]) or norm[0] == 0:
        return None
    fallen = norm < 1e-3 * norm[0]
    return int(lag[~fallen].max()) if fallen[-1] else timesteps - 1
