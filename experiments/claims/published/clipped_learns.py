"""Exploding: over how wide a range of thresholds a clipped network learns the task."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.published.clipping_prevents import ranges
from experiments.claims.quantity import Quantity, over_seeds, share

STATEMENT = "With clipping, the network learns a task that it does not learn without, over the same range of thresholds"
SOURCE = "Pascanu, Mikolov, Bengio 2013, section 3.2"
PREDICTION = (
    "a final error of less than half of chance's: without clipping in at most half of the runs, with clipping over a "
    "factor of at least 20 in the threshold"
)
REMARK = (
    "Below the range, the updates are too small to learn the task in 1,500 steps; above it, the loss jumps. The width "
    "of the range depends on the learning rate and the number of steps."
)
REFUTED_BY = "most runs learn without clipping, or clipped runs learn over less than a factor of 20 in the threshold"
NULL = shuffled("clip", "clip.threshold")
FIGURE = "success"
VIEW = {"x": "clip.threshold", "where": ("clip=norm",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the share of runs that learned without clipping, and the range of thresholds at which they learned."""
    runs = tables.summary[tables.summary["steps"] > 1].set_index("run_id")
    last = tables["evaluation"].groupby("run_id", observed=True)[["error", "chance_error"]].last().reindex(runs.index)
    learned = last["error"] < last["chance_error"] / 2
    clipped = runs["clip"] == "norm"
    return [
        share("learned without clipping", learned[~clipped], at_most=0.5),
        over_seeds("largest over smallest threshold that learns", ranges(runs[clipped], learned[clipped]), at_least=20),
    ]
