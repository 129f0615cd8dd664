"""Exploding: over how wide a range of thresholds the clipped network also learns the task."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.published.clipping_prevents import ranges
from experiments.claims.quantity import Quantity, over_seeds, share

STATEMENT = "With clipping the network learns what it does not without, over the same range of thresholds"
SOURCE = "Pascanu, Mikolov, Bengio 2013, section 3.2"
PREDICTION = (
    "in the end less than half of chance's error: without clipping in at most half of the runs, with it over a factor "
    "of 20 in the threshold at least"
)
REMARK = (
    "Below the range the steps are too short to learn it in 1,500 of them, above it the loss jumps: how wide the range "
    "is depends on learning rate and steps."
)
FIGURE = "success"
VIEW = {"x": "clip.threshold", "where": ("clip=norm",)}


def measure(tables: RunTables) -> list[Quantity]:
    """The share without clipping that learned, and over how wide a range of thresholds it is learned."""
    runs = tables.summary[tables.summary["steps"] > 1].set_index("run_id")
    last = tables["evaluation"].groupby("run_id", observed=True)[["error", "chance_error"]].last().reindex(runs.index)
    learned = last["error"] < last["chance_error"] / 2
    clipped = runs["clip"] == "norm"
    return [
        share("learned without clipping", learned[~clipped], at_most=0.5),
        over_seeds("largest over smallest threshold that learns", ranges(runs[clipped], learned[clipped]), at_least=20),
    ]
