"""Gates: if the gradient can only flow back through the cell state, the forget gate is its gain."""

import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = "The forget gate sets how much of the past is kept: the gain of the cell state is the mean forget gate"
SOURCE = "Gers, Schmidhuber, Cummins 2000, section 3"
PREDICTION = "with recurrent weights near zero, the two are equal within 5 %, for each forget bias"
REFUTED_BY = "a forget bias with which the gain of c differs from the mean forget gate by more than 5 %"
CONTROL = "recurrent weights near zero, so that the gradient has no other way back"
KIND = "check"
NULL = noise("gates", "mean")
FIGURE = "gates"
VIEW = {"compare": "cell.forget_bias", "where": ("init=gaussian",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the gain of c over the mean forget gate, in untrained networks with small recurrent weights."""
    runs = tables.summary[tables.summary["init"] == "gaussian"]
    ratios = gain_over_gate(tables, "gain_at_init", "first").reindex(runs["run_id"])
    biases = runs["cell.forget_bias"].to_numpy(float)
    return [
        over_seeds(f"bias {bias:g}: gain of c over forget gate", ratios[biases == bias], at_least=0.95, at_most=1.05)
        for bias in sorted(set(biases))
    ]


def gain_over_gate(tables: RunTables, gain: str, step: str) -> "pd.Series[float]":
    """Divide the gain of c by the mean of the forget gate in layer 0, for each run.

    Args:
        tables: Tables of the runs.
        gain: Column of states.csv with the gain.
        step: Recorded step of the gate, 'first' or 'last'.
    """
    states = tables["states"]
    gains = states[(states["state"] == "c") & (states["layer"] == 0)].set_index("run_id")[gain].astype(float)
    return gains / mean_forget_gate(tables, step).reindex(gains.index)


def mean_forget_gate(tables: RunTables, step: str) -> "pd.Series[float]":
    """The mean of the forget gate in layer 0 of each run, over timesteps, batch and units.

    Args:
        tables: Tables of the runs.
        step: Recorded step, 'first' or 'last'.
    """
    gates = tables["gates"]
    forget = gates[(gates["gate"] == "forget") & (gates["layer"] == 0)]
    means = forget.groupby(["run_id", "step"], observed=True)["mean"].mean()
    return means.groupby("run_id", observed=True).agg(step)
