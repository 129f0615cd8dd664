"""The gradient by timestep and training step: learning begins where the dark edge moves to the left."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from experiments.marks import draw_map, edges, step_edges
from experiments.style import Colours

TABLES = ("gradients",)
DECADES = 12


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """h of layer 0, which reads the input."""
    frame = data["gradients"]
    return {"gradients": frame[(frame["layer"] == 0) & (frame["state"] == "h")]}


def draw(
    data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes, norm: Normalize | None = None
) -> Axes:
    """The logarithm of the norm, median over the runs."""
    frame = data["gradients"].fillna({"grad_norm": np.inf})
    grid = frame.pivot_table(index="step", columns="timestep", values="grad_norm", aggfunc="median", dropna=False)
    with np.errstate(divide="ignore"):
        logs = pd.DataFrame(np.log10(grid.to_numpy(float)), index=grid.index, columns=grid.columns)
    draw_map(
        ax,
        logs,
        x_edges=edges(grid.columns.to_numpy(float)),
        y_edges=step_edges(grid.index),
        cmap="viridis",
        norm=norm or scale(data["gradients"]),
        label="$\\log_{10} \\|dL/dh_t\\|$",
    )
    ax.set(xlabel="timestep", ylabel="training step")
    return ax


def norm(data: dict[str, pd.DataFrame]) -> Normalize:
    """One scale for all panels."""
    return scale(data["gradients"])


def scale(gradients: pd.DataFrame) -> Normalize:
    """The logarithms; what is more than 12 decades below 1 and below the largest is as dark as it gets."""
    norms = gradients["grad_norm"].to_numpy(float)
    logs = np.log10(norms[(norms > 0) & np.isfinite(norms)])
    return Normalize(max(logs.min(), min(logs.max(), 0) - DECADES), logs.max()) if len(logs) else Normalize(-1, 0)


PANELS = (draw,)
EACH = True
NOTHING = "gradients.csv has no h of layer 0"
SPREAD = "colour: median over {seeds} seeds"
READING = (
    "Dark: next to nothing of the loss's gradient arrives at this timestep. Where the dark edge moves to the left, "
    "earlier inputs begin to count."
)
