"""Memory: after training, the gradient flows back along the cell state, not through the hidden state."""

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = "The cell state carries the gradient through time; the paths through the hidden state do not"
SOURCE = "Hochreiter, Schmidhuber 1997, section 3.2 and appendix A.1"
PREDICTION = (
    "after training, c has a gain within 5 % of 1, and over lags of at least half the sequence, what came along c "
    "alone (through the forget gates) is at least half of dL/dc and at most twice it"
)
REFUTED_BY = "what came along c alone is less than half of the gradient: then paths through h and the gates carry it"
CONTROL = (
    "the split by path: two norms of one state's gradient, so that the scales of h and c do not matter; the default "
    "LSTM before training, in which most of the gradient takes paths through h"
)
NULL = noise("gradients", "grad_norm", "grad_norm_direct")
FIGURE = "gradient_flow"
VIEW = {"compare": "cell.forget_bias", "where": ("task=adding", "cell=lstm")}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the gain of c, and the share of dL/dc that came along c alone, on the adding problem."""
    summary = tables.summary
    lstm = summary[(summary["task"] == "adding") & (summary["cell"] == "lstm")]
    trained = lstm[lstm["cell.forget_bias"] == 1]["run_id"]
    default = lstm[lstm["cell.forget_bias"].isna()]["run_id"]
    states = tables["states"]
    gains = states[states["run_id"].isin(trained) & (states["state"] == "c") & (states["layer"] == 0)]
    along = along_c_alone(tables["gradients"])
    return [
        over_seeds("gain of c a timestep", gains["gain_per_timestep"].astype(float), at_least=0.95, at_most=1.05),
        over_seeds(
            "after training: along c alone over the whole", along["last"].reindex(trained), at_least=0.5, at_most=2
        ),
        over_seeds(
            "default before training: along c alone over the whole", along["first"].reindex(default), at_most=0.5
        ),
    ]


def along_c_alone(gradients: pd.DataFrame) -> pd.DataFrame:
    """What came along c alone over the whole dL/dc_t in layer 0: geometric mean over lags of at least half the longest.

    Returns:
        The ratio at the `first` and at the `last` recorded step, by `run_id`.
    """
    far = gradients[(gradients["state"] == "c") & (gradients["layer"] == 0)]
    longest = far.groupby("run_id", observed=True)["lag"].transform("max")
    far = far[far["lag"] >= longest / 2]
    logs = (far["grad_norm_direct"].astype(float) / far["grad_norm"].astype(float)).map(np.log)
    means = logs.groupby([far["run_id"], far["step"]], observed=True).mean().map(np.exp)
    ends: pd.DataFrame = means.groupby("run_id", observed=True).agg(["first", "last"])
    return ends
