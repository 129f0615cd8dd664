"""Which timesteps the gradient of the recurrent weights comes from, over the whole training."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, SymLogNorm

from experiments.drawing.blank_panels import Blank
from experiments.drawing.captions import say, say_if_losses_mix
from experiments.drawing.lines_and_maps import draw_map, step_edges
from experiments.drawing.style import Colours

TABLES = ("contributions",)

LINEAR_UP_TO = 0.01
"""The share up to which the scale is linear."""


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The recurrent weights of layer 0, which reads the input."""
    frame = data["contributions"]
    return {"contributions": frame[frame["parameter"] == "layers.0.weight_hh"]}


def draw(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes, norm: Normalize) -> Axes:
    """The share of each window, median over the runs."""
    ax.set(xlabel="timestep", ylabel="training step")
    frame = data["contributions"]
    if frame["share"].isna().all():
        raise Blank("no shares: the whole gradient of the recurrent weights is 0, or not finite")
    grid = frame.pivot_table(index="step", columns="last_timestep", values="share", aggfunc="median", dropna=False)
    mesh = draw_map(
        ax,
        grid,
        x_edges=np.concatenate([[frame["first_timestep"].min() - 0.5], grid.columns.to_numpy() + 0.5]),
        y_edges=step_edges(grid.index),
        cmap="RdBu_r",
        norm=norm,
        label="share of $dL/dW_{hh}$",
        missing="no shares, as the whole gradient is 0 or not finite",
    )
    say(mesh, f"White: a share of 0. The scale is linear up to {LINEAR_UP_TO:g} and logarithmic beyond.")
    if (grid > 0).any(axis=None):
        say(mesh, "Red: the window adds to the gradient.")
    if (grid < 0).any(axis=None):
        say(mesh, "Blue: the window points against the whole gradient.")
    say_if_losses_mix(ax, frame, "a share")
    return ax


def norm(data: dict[str, pd.DataFrame]) -> Normalize:
    """Linear up to a hundredth, logarithmic from there to the largest share; white is 0."""
    largest = max(LINEAR_UP_TO, float(data["contributions"]["share"].abs().max()))
    return SymLogNorm(LINEAR_UP_TO, vmin=-largest, vmax=largest)


PANELS = (draw,)
EACH = True
NOTHING = "contributions.csv has no recurrent weights of layer 0"
SPREAD = "colour: median over {seeds} seeds"
READING = (
    "How much each window of the sequence adds to the gradient of the recurrent weights, as a share of the whole; "
    "each row is a training step, first at the bottom."
)
