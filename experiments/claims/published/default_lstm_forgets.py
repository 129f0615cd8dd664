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
    "before training: by default a gain below 0.8 and a horizon below three eighths of the sequence; with a bias of 3 "
    "a gain near 1 and a horizon of at least half of the sequence"
)
REFUTED_BY = "the default LSTM has a gain of 0.8 or more before training, or a bias of 3 does not change it"
NULL = shuffled("cell", "cell.forget_bias")
FIGURE = "horizon"
VIEW = {"compare": "cell.forget_bias", "where": ("task=adding", "cell=lstm")}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure gain and horizon before training on the longest adding problem, by forget bias."""
    summary = tables.summary
    runs = summary[(summary["task"] == "adding") & (summary["cell"] == "lstm")]
    runs = runs[runs["timesteps"] == runs["timesteps"].max()]
    default, open_gate = runs[runs["cell.forget_bias"].isna()], runs[runs["cell.forget_bias"] == 3]
    return [
        over_seeds("default: gain a timestep", default["gain_at_init"], at_most=0.8),
        over_seeds("default: horizon over length", default["horizon_at_init"] / default["timesteps"], at_most=0.375),
        over_seeds("bias 3: gain a timestep", open_gate["gain_at_init"], at_least=0.95),
        over_seeds("bias 3: horizon over length", open_gate["horizon_at_init"] / open_gate["timesteps"], at_least=0.5),
    ]
