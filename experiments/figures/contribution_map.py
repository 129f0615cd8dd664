"""Which timesteps the gradient of the recurrent weights comes from, over the whole training."""

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize, SymLogNorm

from experiments.drawing.maps import draw_map, step_edges
from experiments.drawing.panel import NothingToDraw, Panel

TABLES = ("contributions",)
RUNS = "trainings alone"

LINEAR_UP_TO = 0.01
"""The share up to which the colour scale is linear."""


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the recurrent weights of layer 0, which reads the input."""
    frame = data["contributions"]
    return {"contributions": frame[frame["parameter"] == "layers.0.weight_hh"]}


def draw(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the share of each window, as the median over the runs."""
    panel.ax.set(xlabel="timestep", ylabel="training step")
    frame = data["contributions"]
    if frame["share"].isna().all():
        raise NothingToDraw("no shares: the whole gradient of the recurrent weights is 0, or not finite")
    grid = frame.pivot_table(index="step", columns="last_timestep", values="share", aggfunc="median", dropna=False)
    draw_map(
        panel,
        grid,
        x_edges=np.concatenate([[frame["first_timestep"].min() - 0.5], grid.columns.to_numpy() + 0.5]),
        y_edges=step_edges(grid.index),
        cmap="RdBu_r",
        colour_scale=panel.colour_scale or colour_scale(data),
        label="share of $dL/dW_{hh}$",
        missing="no shares, because the whole gradient is 0 or not finite",
    )
    panel.explain(f"White: a share of 0. The colour scale is linear up to {LINEAR_UP_TO:g} and logarithmic beyond.")
    if (grid > 0).any(axis=None):
        panel.explain("Red: the window adds to the gradient.")
    if (grid < 0).any(axis=None):
        panel.explain("Blue: the window points against the whole gradient.")
    panel.explain_several_losses(frame, "a share")


def colour_scale(data: dict[str, pd.DataFrame]) -> Normalize:
    """Return a scale that is linear up to a hundredth, and logarithmic from there to the largest share."""
    largest = max(LINEAR_UP_TO, float(data["contributions"]["share"].abs().max()))
    return SymLogNorm(LINEAR_UP_TO, vmin=-largest, vmax=largest)


PANELS = (draw,)
ONE_PANEL_PER_LINE = True
IF_EMPTY = "contributions.csv has no recurrent weights of layer 0"
IF_ONLY_PROBES = "a probe has no training steps; see contributions"
IF_MISSING = "no recurrent matrix (weight_hh) was recorded"
OVER_SEEDS = "colour: median over {seeds} seeds"
FIRST_LAYER_ONLY = True
CAPTION = (
    "How much each window of the sequence adds to the gradient of the recurrent weights, as a share of the whole. "
    "Each row is a training step, the first one at the bottom."
)
