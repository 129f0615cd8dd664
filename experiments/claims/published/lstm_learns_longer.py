"""Memory: whether the LSTM learns a task of a length that no RNN of its size learns."""

import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.outcomes import with_outcomes
from experiments.claims.quantity import Quantity, everywhere, share
from experiments.store.studies import Run

STATEMENT = (
    "The LSTM learns over lengths at which no plain RNN does, tanh or relu, with as many parameters and the same search"
)
SOURCE = "Hochreiter, Schmidhuber 1997, section 5; against it: Le, Jaitly, Hinton 2015, section 4.1"
PREDICTION = "most LSTMs solve the adding problem, and less than half of the tanh networks and of the relu networks"
REFUTED_BY = "half of the relu networks or of the tanh networks or more solve it, too"
CONTROL = (
    "a search for each cell on the tuning seeds: three learning rates, by three forget biases for the LSTM, three "
    "initialisations for tanh and two for relu; and parameters equal to 3 %"
)
NULL = shuffled("cell", "cell.nonlinearity", "cell.forget_bias")
FIGURE = "training"
VIEW = {"compare": "cell", "where": ("task=adding",)}


def shows(run: Run) -> bool:
    """Whether a run is one of those that are compared: an LSTM with a forget bias of 1, or an RNN."""
    return run.config["cell"] == "rnn" or run.config.get("cell.forget_bias") == 1


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the share of runs of each cell that solve the adding problem, and the number of parameters."""
    compared = adding_runs(tables)
    size = compared.groupby("kind")["parameters"].first().reindex(["lstm", "tanh", "relu"])
    return [
        everywhere("parameters over the LSTM's", size[["tanh", "relu"]] / size["lstm"], at_least=0.97, at_most=1.03),
        *solved_shares(compared, ("lstm",), ("tanh", "relu")),
    ]


def adding_runs(tables: RunTables) -> pd.DataFrame:
    """The runs on the adding problem with their outcomes, and `kind`: gru, lstm (of bias 1), tanh or relu."""
    runs = with_outcomes(tables)
    runs = runs[(runs["task"] == "adding") & ((runs["cell"] != "lstm") | (runs["cell.forget_bias"] == 1))]
    return runs.assign(kind=runs["cell"].where(runs["cell"] != "rnn", runs["cell.nonlinearity"]))


def solved_shares(runs: pd.DataFrame, most: tuple[str, ...], few: tuple[str, ...]) -> list[Quantity]:
    """The share of runs of each kind that solve the task: at least half are to, or less than half."""
    solved = {kind: runs.loc[runs["kind"] == kind, "learned"] for kind in (*most, *few)}
    return [
        *(share(f"{kind}: solved", solved[kind], at_least=0.5) for kind in most),
        *(share(f"{kind}: solved", solved[kind], at_most=0.5) for kind in few),
    ]
