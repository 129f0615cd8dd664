"""Which timesteps the gradient of the recurrent weights comes from, over the whole training."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, SymLogNorm

from experiments.marks import draw_map, step_edges
from experiments.style import Colours

TABLES = ("contributions",)


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The recurrent weights of layer 0, which reads the input."""
    frame = data["contributions"]
    return {"contributions": frame[frame["parameter"] == "layers.0.weight_hh"]}


def draw(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes, norm: Normalize) -> Axes:
    """The share of each window, median over the runs."""
    frame = data["contributions"]
    grid = frame.pivot_table(index="step", columns="last_timestep", values="share", aggfunc="median", dropna=False)
    draw_map(
        ax,
        grid,
        x_edges=np.concatenate([[frame["first_timestep"].min() - 0.5], grid.columns.to_numpy() + 0.5]),
        y_edges=step_edges(grid.index),
        cmap="RdBu_r",
        norm=norm,
        label="share of $dL/dW_{hh}$",
    )
    ax.set(xlabel="timestep", ylabel="training step")
    return ax


def norm(data: dict[str, pd.DataFrame]) -> Normalize:
    """Linear up to a hundredth, logarithmic from there to the largest share; white is 0."""
    largest = float(data["contributions"]["share"].abs().max())
    return SymLogNorm(0.01, vmin=-largest, vmax=largest)


PANELS = (draw,)
EACH = True
NOTHING = "contributions.csv has no recurrent weights of layer 0"
SPREAD = "colour: median over {seeds} seeds"
READING = "White: these timesteps do not train the recurrent weights; red: they do; blue: they pull against the rest."
