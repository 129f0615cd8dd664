"""Exploding: whether thresholds from half to ten times the mean norm work, as they were recommended."""

import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.outcomes import final_error_over_chance
from experiments.claims.published.clipped_learns import LEARNED
from experiments.claims.published.training_jumps import JUMP, leap
from experiments.claims.quantity import Quantity, over_seeds, share

STATEMENT = "Training converges with any threshold from half to ten times the average norm of the gradient"
SOURCE = "Pascanu, Mikolov, Bengio 2013, section 3.2"
PREDICTION = (
    "of the thresholds from half to ten times the mean norm of a seed's run clipped at 1, at most half let the loss "
    "jump, and at least half let the network learn; without clipping, less than half of the runs learn"
)
REFUTED_BY = "in most seeds, more than half of these thresholds let the loss jump or do not let the network learn"
CONTROL = "the same seeds at the thresholds below this range, and without clipping at the same learning rate"
NULL = shuffled("clip", "clip.threshold")
FIGURE = "success"
VIEW = {"x": "clip.threshold", "where": ("clip=norm",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure, for each seed, the share of thresholds that jump and that learn, in the range and below it."""
    summary = tables.summary
    summary = summary[
        (summary["init"] == "identity") & (summary["init.gain"] == 1.1) & (summary["optimizer.lr"] == 0.01)
    ]
    error = final_error_over_chance(tables)
    runs, free = summary[summary["clip"] == "norm"], summary[summary["clip"] == "none"]
    metrics = tables["metrics"]
    mean_norm = metrics["grad_norm"].groupby(metrics["run_id"], observed=True).mean()
    clipped_at_one = runs[runs["clip.threshold"] == 1]
    at_one = clipped_at_one["run_id"].map(mean_norm).astype(float).groupby(clipped_at_one["seed"]).mean()
    relative = runs["clip.threshold"] / runs["seed"].map(at_one)
    jumped = (leap(metrics) >= JUMP).reindex(runs["run_id"]).to_numpy()
    learned = (error < LEARNED).reindex(runs["run_id"]).to_numpy()
    runs = runs.assign(jumped=jumped, learned=learned)
    in_range, below = runs[relative.between(0.5, 10)], runs[(relative < 0.5) & (runs["clip.threshold"] >= 0.3)]
    return [
        over_seeds("mean norm of the run clipped at 1", at_one),
        over_seeds("half to ten times the mean: jumped", _shares(in_range, "jumped"), at_most=0.5),
        over_seeds("half to ten times the mean: learned", _shares(in_range, "learned"), at_least=0.5),
        share("without clipping: learned", (error < LEARNED).reindex(free["run_id"]), at_most=0.5),
        over_seeds("from 0.3 to below half the mean: jumped", _shares(below, "jumped"), at_most=0.5),
        over_seeds("from 0.3 to below half the mean: learned", _shares(below, "learned"), at_least=0.5),
    ]


def _shares(runs: pd.DataFrame, column: str) -> "pd.Series[float]":
    return runs.groupby("seed")[column].mean()
