"""Any length: the time of a training step grows in proportion to the length."""

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, everywhere

STATEMENT = "The recurrence is slow: each timestep waits for the one before it"
SOURCE = "the notes on the trade-offs of RNNs"
PREDICTION = "the time of a training step grows as the length to the power of 1, rounded to the nearest half"
REMARK = (
    "Measured on the fastest run at each length, with small batches; with large batches, the processor's caches add to "
    "it."
)
REFUTED_BY = "the time of a step grows with another power of the length"
NULL = shuffled("task.length")
FIGURE = "cost"


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the slope of ln time against ln length, rounded to the nearest half, since times vary between runs."""
    summary = tables.summary
    return [
        everywhere(f"{cell}: power of the length", [exponent(summary[summary["cell"] == cell])], at_least=1, at_most=1)
        for cell in ("rnn", "lstm", "gru")
    ]


def exponent(runs: pd.DataFrame) -> float:
    """The slope for one cell, from the fastest run at each length: other work of the machine can only add time."""
    fastest = (runs["seconds"] / runs["steps"]).groupby(runs["timesteps"]).min()
    if len(fastest) < 2:
        return np.nan
    slope, _ = np.polyfit(np.log(fastest.index.to_numpy(float)), np.log(fastest.to_numpy(float)), 1)
    return round(2 * float(slope)) / 2
