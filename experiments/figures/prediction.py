"""The gain that a probe predicts against the gain of the gradient at the first step of training."""

import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from experiments.analysis.gain_and_horizon import gain_per_timestep, gradient_profiles, jacobian_profile
from experiments.analysis.rank_correlation import rank_correlation
from experiments.drawing.captions import say
from experiments.drawing.lines_and_maps import lines_of
from experiments.drawing.style import Colours
from experiments.wording import counted

TABLES = ("jacobian", "gradients")


def draw(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """A point for each configuration that was both probed and trained, on the diagonal where the two agree."""
    gains = matched_gains(data["jacobian"], data["gradients"], compare)
    for value, points, colour, marker in lines_of(gains, compare, colours):
        ax.plot(points["predicted"], points["measured"], label=value, color=colour, marker=marker, linestyle="")
    if len(gains):
        low, high = gains[["predicted", "measured"]].min().min(), gains[["predicted", "measured"]].max().max()
        (equal,) = ax.plot([low, high], [low, high], color="0.35", linestyle=":", linewidth=1, label="equal")
        say(equal, "Dotted: where the two are equal.")
    correlation = rank_correlation(gains["predicted"], gains["measured"])
    known = f", rank correlation {correlation:.3f}" if len(gains) > 2 and not np.isnan(correlation) else ""
    ax.set_title(f"{counted(len(gains), 'network')}{known}")
    for line in (ax.axhline, ax.axvline):
        say(line(1, color="0.7", linewidth=0.6), "Thin lines: a gain of 1, below which a gradient shrinks.")
    ax.set(xlabel="gain per timestep, predicted by the probe", ylabel="gain of the gradient at step 1")
    return ax


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rows of the runs that were both probed and trained."""
    probes, trainings = (set(data[name]["run_id"]) for name in TABLES)
    both = {run for run in probes if _training_of(run) in trainings}
    return {
        "jacobian": data["jacobian"][data["jacobian"]["run_id"].isin(both)],
        "gradients": data["gradients"][data["gradients"]["run_id"].isin({_training_of(run) for run in both})],
    }


def _training_of(probe: str) -> str:
    return re.sub("^probe-([0-9a-f]{10}-)?", "", probe)


def matched_gains(jacobian: pd.DataFrame, gradients: pd.DataFrame, compare: str) -> pd.DataFrame:
    """`predicted` by the Jacobians of a probe and `measured` at the first step of the training with the same config."""
    trained = dict(iter(gradients.groupby("run_id")))
    gains = []
    for run_id, rows in jacobian.groupby("run_id"):
        training = trained.get(_training_of(str(run_id)))
        if training is not None:
            first, _ = gradient_profiles(training)
            predicted, measured = gain_per_timestep(jacobian_profile(rows)), gain_per_timestep(first)
            gains.append({compare: rows[compare].iloc[0], "predicted": predicted, "measured": measured})
    return pd.DataFrame(gains, columns=[compare, "predicted", "measured"]).dropna()


ENDS = True
PANELS = (draw,)
RUNS = "all"
NOTHING = "no configuration was both probed and trained"
SPREAD = "a point each"
READING = (
    "Each point is a configuration that was both probed and trained: the gain of its Jacobians, in all directions, "
    "against that of the loss's gradient."
)
