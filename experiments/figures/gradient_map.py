"""The gradient of the loss with respect to the hidden state, by timestep and training step."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from experiments.drawing.blank_panels import Blank
from experiments.drawing.captions import say, say_if_losses_mix
from experiments.drawing.lines_and_maps import draw_map, edges, step_edges
from experiments.drawing.style import Colours

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
    ax.set(xlabel="timestep", ylabel="training step")
    frame = data["gradients"].fillna({"grad_norm": np.inf})
    if (frame["grad_norm"] == 0).all():
        raise Blank("the gradient is 0 at every recorded timestep")
    norm = norm or scale(frame)
    grid = frame.pivot_table(index="step", columns="timestep", values="grad_norm", aggfunc="median", dropna=False)
    with np.errstate(divide="ignore"):
        logs = pd.DataFrame(np.log10(grid.to_numpy(float)), index=grid.index, columns=grid.columns)
    mesh = draw_map(
        ax,
        logs,
        x_edges=edges(grid.columns.to_numpy(float)),
        y_edges=step_edges(grid.index),
        cmap="viridis",
        norm=norm,
        label="$\\log_{10} \\|dL/dh_t\\|$",
    )
    darkest, brightest = (10 ** float(end or 0) for end in (norm.vmin, norm.vmax))
    say(mesh, f"The darkest colour is a norm of {darkest:.2g}, the brightest one of {brightest:.2g}.")
    if ((frame["grad_norm"] > 0) & (frame["grad_norm"] < 0.999 * darkest)).any():
        say(mesh, "Smaller norms have the darkest colour, too.")
    say_if_losses_mix(ax, frame, "the gradient")
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
    "Each row is a training step, first at the bottom, and from right to left the gradient goes back in time: where "
    "the colour darkens on that way, it shrinks."
)
