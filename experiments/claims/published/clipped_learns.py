"""Exploding: a clipped network learns what it does not learn without clipping, at any learning rate."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.outcomes import final_error_over_chance
from experiments.claims.quantity import Quantity, share

STATEMENT = "With clipping, the network learns a task that it does not learn without, at whichever learning rate"
SOURCE = "Pascanu, Mikolov, Bengio 2013, sections 3.2 and 4.1"
PREDICTION = (
    "at the last evaluation an error below half of chance's: in most runs with clipping, and without clipping in less "
    "than half of the runs at every learning rate of the search"
)
REFUTED_BY = "a learning rate at which half of the runs or more learn the task without clipping"
CONTROL = (
    "a search of the learning rate for the network without clipping; the one of the clipped network is not searched"
)
NULL = shuffled("clip", "clip.threshold", "optimizer.lr")
FIGURE = "training"
VIEW = {"compare": "optimizer.lr", "where": ("clip=none", "init=identity", "init.gain=1.1")}

LEARNED = 0.5
"""Share of chance's error below which a run counts as having learned."""


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the share of runs that learn, with a threshold of 1 and without clipping at each learning rate."""
    runs = tables.summary
    runs = runs[(runs["init"] == "identity") & (runs["init.gain"] == 1.1)]
    learned = final_error_over_chance(tables) < LEARNED
    clipped = runs[(runs["clip"] == "norm") & (runs["clip.threshold"] == 1)]
    return [
        share("threshold 1: learned", learned.reindex(clipped["run_id"]), at_least=0.5),
        *(
            share(f"without clipping, lr {lr:g}: learned", learned.reindex(at["run_id"]), at_most=0.5)
            for lr, at in runs[runs["clip"] == "none"].groupby("optimizer.lr")
        ),
    ]
