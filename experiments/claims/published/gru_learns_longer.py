"""GRU: like the LSTM, it learns lengths that the RNN does not learn."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, share

STATEMENT = "Like the LSTM, the GRU learns over lengths at which the plain RNN does not"
SOURCE = "Cho et al. 2014; Chung et al. 2014"
PREDICTION = "at the longest length, most GRUs and LSTMs solve the adding problem, and less than half of the RNNs"
REFUTED_BY = "the RNN solves the longest length, too, or the GRU does not"
NULL = shuffled("cell")
FIGURE = "success"
VIEW = {"compare": "cell", "where": ("init=default",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the share of runs of each cell that solve the longest length."""
    runs = tables.summary[tables.summary["init"] == "default"]
    length = runs["timesteps"].max()
    runs = runs[runs["timesteps"] == length]
    solved = {cell: runs.loc[runs["cell"] == cell, "solved"] == 1 for cell in ("gru", "lstm", "rnn")}
    return [
        share(f"gru, T={length}: solved", solved["gru"], at_least=0.5),
        share(f"lstm, T={length}: solved", solved["lstm"], at_least=0.5),
        share(f"rnn, T={length}: solved", solved["rnn"], at_most=0.5),
    ]
