"""GRU: whether it learns, like the LSTM, a task of a length that no RNN of its size learns."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.published.lstm_learns_longer import adding_runs, solved_shares
from experiments.claims.quantity import Quantity, everywhere
from experiments.store.studies import Run

STATEMENT = (
    "Like the LSTM, the GRU learns over lengths at which no plain RNN does, tanh or relu, with as many parameters"
)
SOURCE = "Cho et al. 2014, section 2.3; Chung et al. 2014, section 5"
PREDICTION = (
    "most GRUs and LSTMs solve the adding problem, and less than half of the tanh networks and of the relu networks"
)
REFUTED_BY = "half of the relu networks or of the tanh networks or more solve it, too"
CONTROL = (
    "a search for each cell on the tuning seeds: three learning rates for the GRU, and six or nine settings for each "
    "of the others; and parameters equal to 3 %"
)
NULL = shuffled("cell", "cell.nonlinearity", "cell.forget_bias")
FIGURE = "training"
VIEW = {"compare": "cell", "where": ("task=adding",)}


def shows(run: Run) -> bool:
    """Whether a run is one of those that are compared: a GRU, an LSTM with a forget bias of 1, or an RNN."""
    return run.config["cell"] != "lstm" or run.config.get("cell.forget_bias") == 1


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the share of runs of each cell that solve the adding problem, and the number of parameters."""
    compared = adding_runs(tables)
    size = compared.groupby("kind")["parameters"].first().reindex(["gru", "lstm", "tanh", "relu"])
    ratios = size[["lstm", "tanh", "relu"]] / size["gru"]
    return [
        everywhere("parameters over the GRU's", ratios, at_least=0.97, at_most=1.03),
        *solved_shares(compared, ("gru", "lstm"), ("tanh", "relu")),
    ]
