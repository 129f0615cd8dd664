"""Exploding: clipping by norm prevents jumps of the loss, at small thresholds."""

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.published.training_jumps import JUMP, leap
from experiments.claims.quantity import Quantity, share

STATEMENT = "Clipping the gradient by its norm prevents the explosion, even with rather small thresholds"
SOURCE = "Pascanu, Mikolov, Bengio 2013, section 3.2"
PREDICTION = "the loss jumps without clipping, and does not at any of the thresholds up to 1"
REFUTED_BY = "a threshold of at most 1 at which half of the runs or more jump"
CONTROL = "the same networks without clipping, with the same learning rate, data and seeds"
NULL = shuffled("clip", "clip.threshold")
FIGURE = "training"
VIEW = {"compare": "clip.threshold", "where": ("clip=norm",)}

SMALL = 1.0
"""Largest threshold that counts as small here: a sixtieth of the mean norm."""


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the share of runs that jump, without clipping and at each small threshold."""
    runs = tables.summary
    runs = runs[(runs["init"] == "identity") & (runs["init.gain"] == 1.1) & (runs["optimizer.lr"] == 0.01)]
    jumped = leap(tables["metrics"]) >= JUMP
    free = runs[runs["clip"] == "none"]
    clipped = runs[(runs["clip"] == "norm") & (runs["clip.threshold"] <= SMALL)]
    return [
        share("without clipping: jumped", jumped.reindex(free["run_id"]), at_least=0.5),
        *(
            share(f"threshold {threshold:g}: jumped", jumped.reindex(at["run_id"]), at_most=0.5)
            for threshold, at in clipped.groupby("clip.threshold")
        ),
    ]
