"""Any length: the recurrence takes a time that grows with the length."""

import numpy as np
import pandas as pd

from experiments.quantities import Quantity, over_seeds
from experiments.tables import Tables

STATEMENT = "The recurrence is slow: one timestep waits for the other"
SOURCE = "the notes on the trade-offs of RNNs"
PREDICTION = "the time of a training step grows as the length to the power of 1, to the nearest half"
REMARK = "Measured on small batches; with large ones the processor's caches add to it."
FIGURE = "cost"


def measure(tables: Tables) -> list[Quantity]:
    """The slope of ln time against ln length, to the nearest half: times never repeat."""
    return [
        over_seeds(
            f"{cell}: power of the length",
            [exponent(rows) for _, rows in tables.summary[tables.summary["cell"] == cell].groupby("seed")],
            at_least=1,
            at_most=1,
        )
        for cell in ("rnn", "lstm", "gru")
    ]


def exponent(runs: pd.DataFrame) -> float:
    """Of one cell and seed."""
    if runs["timesteps"].nunique() < 2:
        return np.nan
    length, seconds = runs["timesteps"].to_numpy(float), (runs["seconds"] / runs["steps"]).to_numpy(float)
    slope, _ = np.polyfit(np.log(length), np.log(seconds), 1)
    return round(2 * float(slope)) / 2
