"""Exploding: without clipping the loss jumps, or training diverges."""

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.quantity import Quantity, share

STATEMENT = "Where the gradient explodes, training jumps or diverges"
SOURCE = "Pascanu, Mikolov, Bengio 2013, section 2.3"
PREDICTION = "without clipping the loss leaps to a hundred times its first value, or is not finite any more"
FIGURE = "training"
VIEW = {"compare": "seed", "where": ("clip=none", "steps=1500")}

JUMP = 100.0


def measure(tables: RunTables) -> list[Quantity]:
    """The share of trainings without clipping that jumped or diverged."""
    runs = tables.summary[(tables.summary["clip"] == "none") & (tables.summary["steps"] > 1)]
    leaps = leap(tables["metrics"]).reindex(runs["run_id"])
    return [share("jumped or diverged without clipping", leaps >= JUMP, at_least=0.5)]


def leap(metrics: pd.DataFrame) -> "pd.Series[float]":
    """How many times its first value the loss rose to, at most, for each run; inf where it was not finite."""
    losses = metrics["loss"].fillna(np.inf).groupby(metrics["run_id"], observed=True)
    return losses.max() / losses.first()
