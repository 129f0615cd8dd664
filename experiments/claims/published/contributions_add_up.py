"""Over time: the windows' parts of the weights' gradient add up to the whole."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.quantity import Quantity, everywhere

STATEMENT = "The gradient of a training step is the sum of what each timestep contributes to it"
SOURCE = "Werbos 1990; Pascanu, Mikolov, Bengio 2013, eq. 3 to 5"
PREDICTION = "the shares of all timesteps add up to 1, to rounding (float64)"
FIGURE = "contributions"


def measure(tables: RunTables) -> list[Quantity]:
    """The farthest that the shares' sum is from 1, over all recorded steps and parameters."""
    shares = tables["contributions"].merge(tables.summary[["run_id", "cell"]], on="run_id")
    sums = shares.groupby(["cell", "run_id", "step", "parameter"], observed=True)["share"].sum()
    return [
        everywhere(
            f"{cell}: distance of the sum from 1",
            (sums[sums.index.get_level_values("cell") == cell] - 1).abs(),
            at_most=1e-9,
            unit="gradients",
        )
        for cell in ("rnn", "lstm", "gru")
    ]
