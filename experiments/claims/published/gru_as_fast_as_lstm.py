"""GRU: with three quarters of the LSTM's parameters, it needs no more training steps."""

import numpy as np

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, everywhere, over_seeds

STATEMENT = "With fewer parameters than the LSTM, the GRU learns in no more steps"
SOURCE = "Chung et al. 2014"
PREDICTION = (
    "about three quarters of the parameters, and in the median no more steps until the adding problem is solved"
)
REFUTED_BY = "the GRU needs more steps than the LSTM"
NULL = shuffled("cell")
FIGURE = "training"
VIEW = {"compare": "cell", "where": ("init=default", "task.length=80")}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the ratio of parameters, and for each seed the ratio of steps: geometric mean over the lengths."""
    runs = tables.summary[tables.summary["init"] == "default"]
    size = runs.groupby("cell")["parameters"].first().reindex(["gru", "lstm"])
    steps = runs.pivot_table(index=["seed", "timesteps"], columns="cell", values="solved_at_step", observed=True)
    steps = steps.reindex(columns=["gru", "lstm"])
    ratios = (steps["gru"] / steps["lstm"]).map(np.log).groupby("seed").mean().map(np.exp)
    return [
        everywhere("parameters of gru over lstm", [size["gru"] / size["lstm"]], at_least=0.7, at_most=0.8),
        over_seeds("steps until solved, gru over lstm", ratios, at_most=1.0),
    ]
