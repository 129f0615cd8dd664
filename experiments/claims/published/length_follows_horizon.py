"""Vanishing: the further back the gradient reaches, the longer the tasks that are learned."""

import numpy as np
import pandas as pd

from experiments.analysis.rank_correlation import rank_correlation
from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.outcomes import with_outcomes
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = "The further back the gradient reaches before training, the longer the tasks that the network learns"
SOURCE = "Bengio, Simard, Frasconi 1994; Hochreiter et al. 2001, section 2"
PREDICTION = (
    "in each seed, the longest solved length has the order of the gains before training, and a solved task has a "
    "smaller length over reach than an unsolved one; the learning rate that solves more counts"
)
REFUTED_BY = "networks of a small gain that solve tasks as long as those of a gain near 1 do"
CONTROL = "every learning rate of the grid is tried at every gain and length, and every run counts"
NULL = shuffled("init.gain")
FIGURE = "success"
VIEW = {"compare": "init.gain", "where": ("init=orthogonal", "truncation=none")}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure, for each seed, the order of gain and solved length, and how well length over reach tells the solved."""
    cases = solved_cases(tables)
    correlations, separations = [], []
    for _, of_seed in cases.groupby("seed"):
        longest = of_seed.assign(length=of_seed["timesteps"].where(of_seed["learned"], 0)).groupby("init.gain")
        by_gain = longest.agg(gain=("gain", "first"), length=("length", "max"))
        # The gain has the ranks of the reach, but not its rounding error, which grows without bound as it nears 1.
        correlations.append(rank_correlation(by_gain["gain"].clip(upper=1), by_gain["length"]))
        separations.append(_separation(of_seed))
    return [
        over_seeds("rank correlation of gain and longest solved length", correlations, at_least=0.7),
        over_seeds("solved tasks before unsolved ones, by length over reach", separations, at_least=0.8),
    ]


def solved_cases(tables: RunTables) -> pd.DataFrame:
    """Which lengths were solved at which gain, by the better of the learning rates.

    Returns:
        A row for each seed, gain of initialisation and length: `learned`, and the `gain` a timestep before training,
        which is measured once for each network, on its longest task.
    """
    runs = with_outcomes(tables)
    runs = runs[(runs["init"] == "orthogonal") & runs["truncation"].isna()]
    network = ["seed", "init.gain"]
    gains = runs.sort_values("timesteps").groupby(network)["gain_at_init"].last().rename("gain")
    cases = runs.groupby([*network, "timesteps"])["learned"].any().reset_index()
    return cases.merge(gains.reset_index(), on=network)


def _separation(cases: pd.DataFrame) -> float:
    """The share of pairs of a solved and an unsolved task in which the solved one has less length over reach (AUC).

    Half of a tie counts. The reach is proportional to -1 / ln(gain); a gain of 1 or more reaches any length.
    """
    over_reach = cases["timesteps"] * -np.log(cases["gain"].clip(upper=1))
    solved, unsolved = over_reach[cases["learned"]], over_reach[~cases["learned"]]
    if solved.empty or unsolved.empty:
        return float("nan")
    pairs = unsolved.to_numpy()[:, None] - solved.to_numpy()[None, :]
    return float((pairs > 0).mean() + (pairs == 0).mean() / 2)
