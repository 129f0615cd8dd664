"""Gates: the input gate learns to close where nothing is to be stored, the output gate where no output is needed."""

import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = (
    "Training closes the input gate against inputs that are not to be stored, and the output gate while no output is "
    "needed"
)
SOURCE = "Hochreiter, Schmidhuber 1997, section 4"
PREDICTION = (
    "on the adding problem, where two numbers are to be stored and the output is needed at T: after training, the "
    "input gate's mean is larger by 0.05 or more at the two marked timesteps than at the others, and the output gate's "
    "at T than before T"
)
REFUTED_BY = (
    "an input gate that is as open at the timesteps that are not marked, or an output gate that is as open before T"
)
CONTROL = "the same differences before training, which are near 0"
NULL = noise("gates", "mean", "mean_marked", "mean_unmarked")
FIGURE = "marked_timesteps"
VIEW = {"where": ("init=default",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the difference of each gate's mean between where it should be open and elsewhere, before and after."""
    runs = tables.summary[tables.summary["init"] == "default"][["run_id", "timesteps"]]
    gates = tables["gates"].merge(runs, on="run_id")
    gates = gates[gates["layer"] == 0]
    input_gate, output_gate = (gates[gates["gate"] == gate] for gate in ("input", "output"))
    at_the_end = (output_gate["timestep"] == output_gate["timesteps"]).astype(float)
    differences = {
        "input gate, marked minus other timesteps": (
            _means(input_gate, "mean_marked", input_gate["marked"])
            - _means(input_gate, "mean_unmarked", 1 - input_gate["marked"])
        ),
        "output gate, at T minus before T": (
            _means(output_gate, "mean", at_the_end) - _means(output_gate, "mean", 1 - at_the_end)
        ),
    }
    return [
        quantity
        for what, difference in differences.items()
        for ends in [difference.groupby("run_id", observed=True).agg(["first", "last"])]
        for quantity in (
            over_seeds(f"before training: {what}", ends["first"], at_least=-0.02, at_most=0.02),
            over_seeds(f"after training: {what}", ends["last"], at_least=0.05),
        )
    ]


def _means(gates: pd.DataFrame, column: str, weights: "pd.Series[float]") -> "pd.Series[float]":
    """The mean of a column over the timesteps, by run and step.

    Args:
        gates: Rows of one gate.
        column: Name of the column; an empty value has no weight.
        weights: Weight of each row.
    """
    known = gates[column].notna()
    rows = gates[known].assign(weight=weights[known])
    sums = rows.assign(product=rows[column] * rows["weight"]).groupby(["run_id", "step"], observed=True)
    of_both = sums[["product", "weight"]].sum()
    means: pd.Series[float] = of_both["product"] / of_both["weight"]
    return means
