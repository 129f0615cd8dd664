"""Any length: a network of one size processes every length."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.quantity import Quantity, everywhere

STATEMENT = "An input of any length can be processed, and the model does not grow with it"
SOURCE = "Goodfellow, Bengio, Courville 2016, section 10.1"
PREDICTION = (
    "runs of every length end with a finite loss, and each cell has the same number of parameters at every length"
)
REFUTED_BY = "a length at which a run fails, or at which a cell has another number of parameters"
KIND = "check"
NULL = shuffled("cell")
FIGURE = "size"
VIEW = {"where": ("batch_size=1", "steps=1")}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure whether the losses are finite, and how many different sizes a cell has over all lengths."""
    summary = tables.summary
    finite = (summary["status"] == "completed") & summary["final_loss"].notna()
    longest, shortest = summary["timesteps"].max(), summary["timesteps"].min()
    return [
        everywhere(f"ended with a finite loss, {shortest} to {longest} timesteps", finite, at_least=1, unit="runs"),
        *(
            everywhere(f"{cell}: numbers of parameters", [rows["parameters"].nunique()], at_least=1, at_most=1)
            for cell, rows in summary.groupby("cell", sort=False)
        ),
    ]
