"""Memory: an LSTM as torch initialises it forgets as fast as an RNN; a forget bias opens the gate."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, over_seeds

STATEMENT = (
    "torch's default LSTM, with a forget bias near 0, does not carry the gradient before training; an LSTM with a "
    "forget bias of 3 does"
)
SOURCE = "Gers, Schmidhuber, Cummins 2000; Jozefowicz, Zaremba, Sutskever 2015"
PREDICTION = (
    "before training: by default c has a gain below 0.8 and a horizon below three eighths of the sequence; with a "
    "bias of 3 a gain from 0.9 to 1.05, and a horizon of at least half of the sequence"
)
REFUTED_BY = "a default LSTM whose gradient reaches as far, or one with a bias of 3 whose gradient vanishes or explodes"
CONTROL = "the same weights but for the forget bias"
NULL = shuffled("cell.forget_bias")
FIGURE = "gradient_flow"
VIEW = {"compare": "cell.forget_bias", "where": ("task=adding", "cell=lstm")}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure gain and horizon of c before training on the adding problem, by forget bias."""
    runs = tables.summary
    runs = runs[(runs["task"] == "adding") & (runs["cell"] == "lstm")].set_index("run_id")
    states = tables["states"]
    of_c = states[(states["state"] == "c") & (states["layer"] == 0)].set_index("run_id").reindex(runs.index)
    gain, horizon = of_c["gain_at_init"].astype(float), of_c["horizon_at_init"].astype(float) / runs["timesteps"]
    default, open_gate = runs["cell.forget_bias"].isna(), runs["cell.forget_bias"] == 3
    return [
        over_seeds("default: gain of c a timestep", gain[default], at_most=0.8),
        over_seeds("default: horizon of c over length", horizon[default], at_most=0.375),
        over_seeds("bias 3: gain of c a timestep", gain[open_gate], at_least=0.9, at_most=1.05),
        over_seeds("bias 3: horizon of c over length", horizon[open_gate], at_least=0.5),
    ]
