"""Over time: the contributions of all timesteps to the weights' gradient add up to that gradient."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import noise
from experiments.claims.quantity import Quantity, everywhere

STATEMENT = "The gradient of a training step is the sum of what each timestep contributes to it"
SOURCE = "Werbos 1990; Pascanu, Mikolov, Bengio 2013, eq. 3 to 5"
PREDICTION = "relative to the weights' gradient that training uses, the shares of all timesteps add up to 1 (float64)"
REFUTED_BY = "a recorded step at which the shares of a parameter add up to something else than 1"
CONTROL = "the parts come from our equations, the LSTM's gradient from torch's kernel"
KIND = "check"
NULL = noise("contributions", "share")
REMARK = (
    "On the CPU, the RNN and the GRU train with our own equations, so for them this checks only the sum. Tests compare "
    "their gradients with torch's."
)
FIGURE = "contributions"


def measure(tables: RunTables) -> list[Quantity]:
    """Measure how far the sum of the shares is from 1, for each recorded step and parameter."""
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
