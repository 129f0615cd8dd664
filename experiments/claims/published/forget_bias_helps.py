"""Memory: a large forget bias lets an LSTM learn a task that the default does not learn, or learns later."""

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, over_seeds, share

STATEMENT = "With a forget bias, an LSTM learns what the default LSTM does not learn, or learns later"
SOURCE = "Jozefowicz, Zaremba, Sutskever 2015"
PREDICTION = (
    "temporal order: most runs solve it with a bias of 3, and less than half by default; adding: the default takes at "
    "least a tenth more steps than a bias of 1"
)
REMARK = "On the adding problem, at a learning rate of 0.01, the default learns just as soon to open its forget gate."
REFUTED_BY = "the default LSTM solves temporal order as often, or adding as early, as one with a forget bias"
NULL = shuffled("cell", "cell.forget_bias")
FIGURE = "success"
VIEW = {"compare": "cell.forget_bias", "facet": "task", "where": ("cell=lstm",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the solved shares in temporal order, and in adding the ratio of steps until solved, default to bias 1."""
    runs = tables.summary[tables.summary["cell"] == "lstm"].copy()
    runs["bias"] = runs["cell.forget_bias"].fillna(0)
    order = runs[runs["task"] == "temporal_order"]
    return [
        share("temporal order, default: solved", order.loc[order["bias"] == 0, "solved"] == 1, at_most=0.5),
        share("temporal order, bias 3: solved", order.loc[order["bias"] == 3, "solved"] == 1, at_least=0.5),
        over_seeds("adding: steps by default over steps with a bias of 1", _ratios(runs), at_least=1.1),
    ]


def _ratios(runs: pd.DataFrame) -> "pd.Series[float]":
    """The ratio of steps for each seed: geometric mean over the lengths that both solved."""
    steps = runs[runs["task"] == "adding"].pivot_table(
        index=["seed", "timesteps"], columns="bias", values="solved_at_step", observed=True
    )
    steps = steps.reindex(columns=[0, 1])
    ratios = (steps[0] / steps[1]).map(np.log)
    means: pd.Series[float] = ratios.groupby("seed").mean().map(np.exp)
    return means
