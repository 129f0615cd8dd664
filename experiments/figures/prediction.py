"""The gain that a probe predicts against the gain of the gradient at the first step of training."""

import re

import numpy as np
import pandas as pd

from experiments.analysis.gain_and_horizon import gain_per_timestep, gradient_profiles, jacobian_profile
from experiments.analysis.rank_correlation import rank_correlation
from experiments.analysis.single_losses import with_single_losses
from experiments.drawing.lines import rows_by_line
from experiments.drawing.panel import Panel
from experiments.wording import counted

TABLES = ("jacobian", "gradients")
FURTHER_TABLES = ("lags",)


def draw(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw a point for each configuration that was both probed and trained, and the diagonal where the two agree."""
    gains = matched_gains(data["jacobian"], data["gradients"], panel.compare)
    for value, points, colour, marker in rows_by_line(panel, gains):
        panel.add_line(
            points["predicted"],
            points["measured"],
            name=value,
            value=value,
            color=colour,
            marker=marker,
            linestyle="",
        )
    if len(gains):
        low, high = gains[["predicted", "measured"]].min().min(), gains[["predicted", "measured"]].max().max()
        panel.add_line([low, high], [low, high], name="equal", color="0.35", linestyle=":", linewidth=1)
        panel.explain("Dotted: the two gains are equal.")
    correlation = rank_correlation(gains["predicted"], gains["measured"])
    known = f", rank correlation {correlation:.3f}" if len(gains) > 2 and not np.isnan(correlation) else ""
    panel.title = f"{counted(len(gains), 'network')}{known}"
    for line in (panel.ax.axhline, panel.ax.axvline):
        line(1, color="0.7", linewidth=0.6)
    panel.explain("Thin lines: a gain of 1, below which a gradient shrinks.")
    panel.ax.set(xlabel="gain per timestep, predicted by the probe", ylabel="gain of the gradient at step 1")


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the rows of the runs that were both probed and trained, and whose gradient shows how far it reaches."""
    gradients = with_single_losses(data["gradients"], data["lags"])
    gradients = gradients[~(gradients["readout_steps"] > 1)]  # single losses have none
    probes, trainings = (set(frame["run_id"]) for frame in (data["jacobian"], gradients))
    both = {run for run in probes if _training_of(run) in trainings}
    return {
        "jacobian": data["jacobian"][data["jacobian"]["run_id"].isin(both)],
        "gradients": gradients[gradients["run_id"].isin({_training_of(run) for run in both})],
    }


def _training_of(probe: str) -> str:
    return re.sub("^probe-([0-9a-f]{10}-)?", "", probe)


def matched_gains(jacobian: pd.DataFrame, gradients: pd.DataFrame, compare: str) -> pd.DataFrame:
    """Return the gain `predicted` by the Jacobians of a probe and the gain `measured` at the first step of training.

    Each row is a configuration that was both probed and trained.
    """
    trained = dict(iter(gradients.groupby("run_id")))
    gains = []
    for run_id, rows in jacobian.groupby("run_id"):
        training = trained.get(_training_of(str(run_id)))
        if training is not None:
            first, _ = gradient_profiles(training)
            predicted, measured = gain_per_timestep(jacobian_profile(rows)), gain_per_timestep(first)
            gains.append({compare: rows[compare].iloc[0], "predicted": predicted, "measured": measured})
    return pd.DataFrame(gains, columns=[compare, "predicted", "measured"]).dropna()


FIRST_AND_LAST_STEP_ONLY = True
PANELS = (draw,)
RUNS = "all"
IF_EMPTY = (
    "no configuration was both probed and trained, or the task has a loss at several timesteps and record.lags was "
    "false"
)
OVER_SEEDS = "one point each"
FIRST_LAYER_ONLY = True
CAPTION = (
    "Each point is a configuration that was both probed and trained: the gain of its Jacobians, in all directions, "
    "and the gain of the loss's gradient."
)
