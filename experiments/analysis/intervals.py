"""TODO."""

import numpy as np


def wilson(successes: np.ndarray, trials: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % score interval of a proportion (Wilson 1927): in place also at 0, at 1 and for few trials.

    Args:
        successes: how many succeeded.
        trials: out of how many, at least 1.
        z: the normal quantile; 1.96 is that of 95 %.
    """
    share, spread = successes / trials, z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return centre - half, centre + half
