"""Exploding: what an exploding gradient does to the weights, the units and the loss, when nothing clips it."""

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, over_seeds, share

STATEMENT = (
    "If the gradient explodes, one update throws the weights far away: the loss jumps or training diverges; where "
    "bounded units keep the loss small, they saturate"
)
SOURCE = "Pascanu, Mikolov, Bengio 2013, section 2.3"
PREDICTION = (
    "without clipping, an update is larger than all the weights were; the loss of a relu network jumps to at least a "
    "hundred times its first value, or is not finite; most units of a tanh network are saturated after the first "
    "update; nothing of this at a gain of 1"
)
REFUTED_BY = "networks of a gain of 1 do the same, or networks whose gradient explodes do not"
CONTROL = "the same networks at a gain of 1, with the same learning rate, data and seeds"
NULL = shuffled("init.gain")
FIGURE = "training"
VIEW = {"compare": "init.gain", "where": ("clip=none", "init=identity", "optimizer.lr=0.01")}

JUMP = 100.0
"""Ratio of the largest loss to the first one from which a run counts as having jumped."""


def measure(tables: RunTables) -> list[Quantity]:
    """Measure jumps, updates and saturation without clipping, of exploding networks and of their controls."""
    summary = tables.summary
    runs = summary[(summary["clip"] == "none") & (summary["optimizer.lr"] == 0.01) & (summary["steps"] > 1)]
    runs = runs.set_index("run_id")
    updates = _largest_updates(tables)
    jumped = leap(tables["metrics"]) >= JUMP
    saturated = _saturated_after_first_update(tables)
    quantities = []
    for kind, init, exploding in (("relu", "identity", 1.1), ("tanh", "gaussian", 2.0)):
        for gain, at_gain in runs[runs["init"] == init].groupby("init.gain"):
            at_least, at_most = (0.5, np.inf) if gain == exploding else (-np.inf, 0.5)
            of_runs = f"{kind}, gain {gain:g}"
            larger = updates.reindex(at_gain.index) >= 1
            quantities.append(
                share(f"{of_runs}: an update larger than the weights", larger, at_least=at_least, at_most=at_most)
            )
            if kind == "relu":
                what, at_gain_jumped = f"{of_runs}: jumped or diverged", jumped.reindex(at_gain.index)
                quantities.append(share(what, at_gain_jumped, at_least=at_least, at_most=at_most))
            else:
                what, units = f"{of_runs}: saturated units after the first update", saturated.reindex(at_gain.index)
                quantities.append(over_seeds(what, units, at_least=at_least, at_most=at_most))
    return quantities


def leap(metrics: pd.DataFrame) -> "pd.Series[float]":
    """The largest loss of each run divided by its first one; inf if a loss was not finite."""
    losses = metrics["loss"].fillna(np.inf).groupby(metrics["run_id"], observed=True)
    return losses.max() / losses.first()


def _largest_updates(tables: RunTables) -> "pd.Series[float]":
    """The largest update of all parameters in each run over their norm before training; for plain SGD."""
    metrics, parameters = tables["metrics"], tables["parameters"]
    updates = (metrics["lr"] * metrics["clipped_grad_norm"]).groupby(metrics["run_id"], observed=True).max()
    first = parameters[(parameters["step"] == 1) & ~parameters["parameter"].astype(str).str.contains("[", regex=False)]
    weights = (first["weight_norm"] ** 2).groupby(first["run_id"], observed=True).sum() ** 0.5
    return updates / weights


def _saturated_after_first_update(tables: RunTables) -> "pd.Series[float]":
    """The share of saturated units of h at the second step of each run, over all recorded timesteps."""
    activations = tables["activations"]
    second = activations[(activations["step"] == 2) & (activations["layer"] == 0)]
    return second.groupby("run_id", observed=True)["saturated"].mean()
