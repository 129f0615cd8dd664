"""Exploding: clipping by norm prevents jumps of the loss, over a range of thresholds."""

import math

import numpy as np
import pandas as pd

from experiments.analysis.run_tables import RunTables
from experiments.claims.null import shuffled
from experiments.claims.published.training_jumps import JUMP, leap
from experiments.claims.quantity import Quantity, everywhere, over_seeds, share

STATEMENT = "Clipping the gradient by its norm prevents the explosion, and the threshold does not have to be exact"
SOURCE = "Pascanu, Mikolov, Bengio 2013, section 3.2"
PREDICTION = (
    "no norm above the threshold; no jump at threshold 1; and no jump over a factor of at least 20 in the threshold, "
    "which is the range from half the mean norm to ten times the mean norm"
)
REFUTED_BY = "a run with a threshold in the range jumps, or the range is narrower than a factor of 20"
NULL = shuffled("clip", "clip.threshold")
FIGURE = "training"
VIEW = {"compare": "clip.threshold", "where": ("clip=norm",)}


def measure(tables: RunTables) -> list[Quantity]:
    """Measure the norms after clipping, the jumps at threshold 1, and the range of thresholds without a jump."""
    runs = tables.summary[tables.summary["clip"] == "norm"].set_index("run_id")
    metrics = tables["metrics"]
    clipped = metrics[metrics["run_id"].isin(runs.index)].dropna(subset="clipped_grad_norm")
    over = clipped["clipped_grad_norm"] / clipped["clip.threshold"].astype(float)
    jumped = leap(metrics).reindex(runs.index) >= JUMP
    at_one = jumped[runs["clip.threshold"] == 1]
    return [
        everywhere("largest norm after clipping over its threshold", [over.max()], at_most=1),
        share("jumped at threshold 1", at_one, at_most=0.5),
        over_seeds("largest over smallest threshold without a jump", ranges(runs, ~jumped), at_least=20),
    ]


def ranges(runs: pd.DataFrame, good: "pd.Series[bool]") -> list[float]:
    """For each seed, the factor that the longest unbroken range of good thresholds spans; 0 if there is none."""
    tried = runs["clip.threshold"]
    return [_range(set(tried[good & (runs["seed"] == seed)]), tried) for seed in runs["seed"].unique()]


def _range(good: set[float], tried: "pd.Series[float]") -> float:
    widest, first = 0.0, math.nan
    for threshold in np.unique(tried):
        if threshold not in good:
            first = math.nan
            continue
        first = threshold if math.isnan(first) else first
        widest = max(widest, threshold / first)
    return round(widest, 6)
