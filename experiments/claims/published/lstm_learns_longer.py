"""Memory: the LSTM learns tasks of a length that the RNN does not learn."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, share
from experiments.store.studies import Run

STATEMENT = "The LSTM learns over lengths at which the plain RNN does not"
SOURCE = "Hochreiter, Schmidhuber 1997"
PREDICTION = "at the two longest lengths, most LSTMs solve the adding problem, and less than half of the RNNs"
REFUTED_BY = "the RNN solves the longest lengths, too, or the LSTM does not"
NULL = shuffled("cell", "cell.forget_bias")
FIGURE = "success"
VIEW = {"compare": "cell", "where": ("task=adding",)}


def shows(run: Run) -> bool:
    """Whether a run is of one of the compared cells: the RNN, or the LSTM with a forget bias of 1."""
    return run.config["cell"] == "rnn" or run.config.get("cell.forget_bias") == 1


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the share of runs of each cell that solve the two longest lengths."""
    runs = tables.summary[tables.summary["task"] == "adding"]
    lengths = sorted(runs["timesteps"].unique())[-2:]
    quantities = []
    for length in lengths:
        at = runs[runs["timesteps"] == length]
        lstm = at[(at["cell"] == "lstm") & (at["cell.forget_bias"] == 1)]
        quantities.append(share(f"lstm, T={length}: solved", lstm["solved"] == 1, at_least=0.5))
        quantities.append(share(f"rnn, T={length}: solved", at.loc[at["cell"] == "rnn", "solved"] == 1, at_most=0.5))
    return quantities
