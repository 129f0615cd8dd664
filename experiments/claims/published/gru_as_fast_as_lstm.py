"""GRU: with as many parameters as the LSTM, it needs no more training steps."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.published.lstm_learns_longer import adding_runs
from experiments.claims.quantity import Quantity, everywhere, over_seeds
from experiments.store.studies import Run

STATEMENT = "With as many parameters as the LSTM, the GRU learns in no more steps"
SOURCE = "Chung et al. 2014, sections 4.2 and 5"
PREDICTION = "in the median over seeds, no more steps until the adding problem is solved"
REFUTED_BY = "in most seeds, the GRU needs more steps than the LSTM"
CONTROL = (
    "parameters equal to 3 %, and the same search of the learning rate for both; an unsolved run counts as its budget"
)
NULL = shuffled("cell", "cell.nonlinearity", "cell.forget_bias")
FIGURE = "training"
VIEW = {"compare": "cell", "where": ("task=adding",)}


def shows(run: Run) -> bool:
    """Whether a run is one of those that are compared: a GRU, or an LSTM with a forget bias of 1."""
    return run.config["cell"] == "gru" or run.config.get("cell.forget_bias") == 1


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the ratio of parameters, and for each seed the ratio of the steps until solved."""
    runs = adding_runs(tables)
    size = runs.groupby("kind")["parameters"].first().reindex(["gru", "lstm"])
    runs = runs.assign(steps_needed=runs["steps_needed"].clip(upper=runs["steps"]))
    steps = runs.pivot_table(index="seed", columns="kind", values="steps_needed", observed=True)
    steps = steps.reindex(columns=["gru", "lstm"])
    return [
        everywhere("parameters of gru over lstm", [size["gru"] / size["lstm"]], at_least=0.97, at_most=1.03),
        over_seeds("steps until solved, gru over lstm", steps["gru"] / steps["lstm"], at_most=1.0),
    ]
