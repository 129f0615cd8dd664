"""Over time: the gradient depends on the earlier timesteps, not only on the last one."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = "With shared weights, the gradient depends on the earlier timesteps, not only on the one with the loss"
SOURCE = "the notes on BPTT; Werbos 1990"
PREDICTION = "at least a twentieth of the recurrent matrix's gradient comes from before the last timestep"
REFUTED_BY = "less than a twentieth of the gradient comes from before the last timestep"
NULL = noise("contributions", "share")
FIGURE = "contribution_map"


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the share of all timesteps but the last in the recurrent matrix's gradient: mean over the steps."""
    shares = tables["contributions"].merge(tables.summary[["run_id", "cell", "timesteps"]], on="run_id")
    earlier = shares[(shares["parameter"] == "layers.0.weight_hh") & (shares["last_timestep"] < shares["timesteps"])]
    sums = earlier.groupby(["cell", "run_id", "step"], observed=True)["share"].sum()
    means = sums.groupby(["cell", "run_id"]).mean()
    cells = means.index.get_level_values("cell")
    return [
        over_seeds(
            f"{cell}: share of the earlier timesteps",
            means[cells == cell],
            at_least=0.05,
            at_most=0.9,
        )
        for cell in ("rnn", "lstm", "gru")
    ]
