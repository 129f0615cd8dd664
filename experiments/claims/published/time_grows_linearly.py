"""Any length: the recurrence takes a time that grows with the length."""

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.quantity import Quantity, everywhere

STATEMENT = "The recurrence is slow: one timestep waits for the other"
SOURCE = "the notes on the trade-offs of RNNs"
PREDICTION = "the time of a training step grows as the length to the power of 1, to the nearest half"
REMARK = "Of the fastest run at each length, on small batches; with large ones the processor's caches add to it."
FIGURE = "cost"


def measure(tables: RunTables) -> list[Quantity]:
    """The slope of ln time against ln length, to the nearest half: times never repeat."""
    summary = tables.summary
    return [
        everywhere(f"{cell}: power of the length", [exponent(summary[summary["cell"] == cell])], at_least=1, at_most=1)
        for cell in ("rnn", "lstm", "gru")
    ]


def exponent(runs: pd.DataFrame) -> float:
    """Of one cell, by the fastest run at each length: what else the machine had to do only adds to it."""
    fastest = (runs["seconds"] / runs["steps"]).groupby(runs["timesteps"]).min()
    if len(fastest) < 2:
        return np.nan
    slope, _ = np.polyfit(np.log(fastest.index.to_numpy(float)), np.log(fastest.to_numpy(float)), 1)
    return round(2 * float(slope)) / 2
