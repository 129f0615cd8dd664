"""Over time: the gradient depends on the earlier timesteps, each as far as the gradient reaches it."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from experiments.analysis.rank_correlation import rank_correlation
from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = (
    "With shared weights, the gradient depends on the earlier timesteps, not only on the one with the loss, and each "
    "timestep's part is as large as the gradient that reaches it"
)
SOURCE = "Werbos 1990; Pascanu, Mikolov, Bengio 2013, eq. 3 to 5"
PREDICTION = (
    "the earlier timesteps have a share from 2/T to 1 - 2/T in the recurrent matrix's gradient (0: the gradient "
    "reaches only the last timestep; 1 - 1/T: all timesteps have equal parts); over the timesteps, the norm of the "
    "part and that of dL/dh have a rank correlation of at least 0.9"
)
REFUTED_BY = (
    "a gradient to which the earlier timesteps add nothing, or one whose large parts are not where dL/dh is large"
)
CONTROL = "noise of the same size at every timestep has a share of 1 - 1/T and a rank correlation of 0"
NULL = noise("contributions", "share", "grad_norm")
FIGURE = "contribution_map"
CELLS = ("rnn", "lstm", "gru")


def measure(tables: RunTables) -> list[Quantity]:
    """Measure both on the recurrent matrix of layer 0: means over the recorded steps of each run."""
    parts = tables["contributions"].merge(tables.summary[["run_id", "cell", "timesteps"]], on="run_id")
    parts = parts[parts["parameter"] == "layers.0.weight_hh"]
    even = 1 / tables.summary["timesteps"].min()
    shares = _mean_over_steps(parts[parts["last_timestep"] < parts["timesteps"]], lambda rows: rows["share"].sum())
    correlations = _mean_over_steps(
        _with_gradients(parts, tables), lambda rows: rank_correlation(rows["grad_norm"], rows["grad_norm_h"])
    )
    return [
        *(
            over_seeds(f"{cell}: share of the earlier timesteps", shares[cell], at_least=2 * even, at_most=1 - 2 * even)
            for cell in CELLS
        ),
        *(
            over_seeds(f"{cell}: rank correlation of part and dL/dh", correlations[cell], at_least=0.9)
            for cell in CELLS
        ),
    ]


def _with_gradients(parts: pd.DataFrame, tables: RunTables) -> pd.DataFrame:
    """The parts, with the norm of dL/dh at their last timestep as `grad_norm_h`."""
    gradients = tables["gradients"]
    gradients = gradients[(gradients["state"] == "h") & (gradients["layer"] == 0)]
    reached = gradients[["run_id", "step", "timestep", "grad_norm"]]
    return parts.merge(
        reached.rename(columns={"timestep": "last_timestep", "grad_norm": "grad_norm_h"}),
        on=["run_id", "step", "last_timestep"],
    )


def _mean_over_steps(parts: pd.DataFrame, of_step: Callable[[pd.DataFrame], float]) -> dict[str, list[float]]:
    """The mean of a number over the recorded steps, for each run of each cell."""
    means: dict[str, list[float]] = {cell: [] for cell in CELLS}
    for (cell, _), rows in parts.groupby(["cell", "run_id"], observed=True):
        means[str(cell)].append(float(np.mean([of_step(of_one) for _, of_one in rows.groupby("step")])))
    return means
