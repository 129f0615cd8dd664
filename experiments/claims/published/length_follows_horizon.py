"""Vanishing: inputs beyond the reach of the gradient do not train the network."""

import math

from experiments.analysis.rank_correlation import rank_correlation
from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, over_seeds, share

STATEMENT = "Inputs that the gradient does not reach do not train the network: the solved length follows the horizon"
SOURCE = "Bengio, Simard, Frasconi 1994; Hochreiter et al. 2001"
PREDICTION = (
    "the longest solved length grows with the reach before training (the timesteps after which a thousandth of the "
    "gradient remains); tasks within the reach are solved, tasks three times as long are not"
)
REFUTED_BY = "lengths far beyond the reach of the gradient are solved"
NULL = shuffled("init", "init.gain")
FIGURE = "success"
VIEW = {"compare": "init.gain"}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the rank correlation of reach and solved length, and the solved shares within and beyond the reach."""
    runs = tables.summary.assign(init_gain=tables.summary["init.gain"].fillna(0))
    gains = runs.sort_values("timesteps").groupby(["init", "init_gain", "seed"])["gain_at_init"].last()
    runs = runs.merge(gains.rename("gain").reset_index(), on=["init", "init_gain", "seed"])
    runs["reach"] = runs["gain"].map(_reach)
    solved = runs.assign(length=runs["timesteps"].where(runs["solved"] == 1, 0))
    longest = solved.groupby(["seed", "init", "init_gain"]).agg(gain=("gain", "first"), length=("length", "max"))
    of_seeds = [rows for _, rows in longest.groupby("seed") if len(rows) > 2]
    # The gain has the ranks of the reach, but not its rounding error, which grows without bound as the gain nears 1.
    correlation = [rank_correlation(rows["gain"].clip(upper=1), rows["length"]) for rows in of_seeds]
    near, far = runs["timesteps"] <= runs["reach"], runs["timesteps"] > 3 * runs["reach"]
    return [
        over_seeds("rank correlation of reach and longest solved length", correlation, at_least=0.7),
        share("solved, of tasks within reach", runs.loc[near, "solved"] == 1, at_least=0.5),
        share("solved, of tasks three times as long", runs.loc[far, "solved"] == 1, at_most=0.5),
    ]


def _reach(gain: float) -> float:
    """The timesteps after which a thousandth of the gradient remains."""
    return math.log(1000) / -math.log(gain) if gain < 1 else math.inf
