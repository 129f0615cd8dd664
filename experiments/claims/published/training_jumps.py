"""Exploding: without clipping, the loss jumps or training diverges."""

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, share

STATEMENT = "If the gradient explodes, the loss jumps or training diverges"
SOURCE = "Pascanu, Mikolov, Bengio 2013, section 2.3"
PREDICTION = "without clipping, the loss jumps to at least a hundred times its first value, or becomes infinite or nan"
REFUTED_BY = "the gradient explodes, and the loss does not jump"
NULL = noise("metrics", "loss")
FIGURE = "training"
VIEW = {"compare": "seed", "where": ("clip=none", "steps=1500")}

JUMP = 100.0
"""Ratio of the largest loss to the first one from which a run counts as having jumped."""


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the share of runs without clipping whose loss jumped or that diverged."""
    runs = tables.summary[(tables.summary["clip"] == "none") & (tables.summary["steps"] > 1)]
    leaps = leap(tables["metrics"]).reindex(runs["run_id"])
    return [share("jumped or diverged without clipping", leaps >= JUMP, at_least=0.5)]


def leap(metrics: pd.DataFrame) -> "pd.Series[float]":
    """The largest loss of each run divided by its first one; inf if a loss was not finite."""
    losses = metrics["loss"].fillna(np.inf).groupby(metrics["run_id"], observed=True)
    return losses.max() / losses.first()
