"""Memory: the gradient flows back through the cell state, not through the hidden state."""

import math

import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = "The cell state carries the gradient through time; the hidden state does not"
SOURCE = "Hochreiter, Schmidhuber 1997"
PREDICTION = (
    "after training, c has a gain near 1, and before the last timestep the gradient of h is less than a quarter of c's"
)
REFUTED_BY = "after training, the gain of c is outside 0.95 to 1.05, or h carries more than a quarter of c's gradient"
NULL = noise("gradients", "grad_norm")
FIGURE = "gradient_flow"
VIEW = {"compare": "cell", "facet": "task.length", "where": ("task=adding", "cell.forget_bias=1")}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the gain of c and the ratio of the gradients at the last recorded step of the longest adding problem."""
    summary = tables.summary
    runs = summary[(summary["task"] == "adding") & (summary["cell"] == "lstm") & (summary["cell.forget_bias"] == 1)]
    runs = runs[runs["timesteps"] == runs["timesteps"].max()]
    states = tables["states"]
    gains = states[states["run_id"].isin(runs["run_id"]) & (states["state"] == "c") & (states["layer"] == 0)]
    gradients = tables["gradients"]
    ratios = [_ratio(gradients[gradients["run_id"] == run]) for run in runs["run_id"]]
    return [
        over_seeds("gain of c a timestep", gains["gain_per_timestep"].astype(float), at_least=0.95, at_most=1.05),
        over_seeds("gradient of h over that of c", ratios, at_most=0.25),
    ]


def _ratio(gradients: pd.DataFrame) -> float:
    """|dL/dh_t| over |dL/dc_t| at the last recorded step: geometric mean over the recorded lags except 0."""
    last = gradients[
        (gradients["step"] == gradients["step"].max()) & (gradients["layer"] == 0) & (gradients["lag"] > 0)
    ]
    norms = last.pivot_table(index="lag", columns="state", values="grad_norm", observed=True)
    return math.exp((norms["h"] / norms["c"]).map(math.log).mean())
