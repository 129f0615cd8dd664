"""The gradient of the loss with respect to the hidden state, by timestep and training step."""

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize

from experiments.drawing.maps import draw_map, edges, step_edges
from experiments.drawing.panel import NothingToDraw, Panel

TABLES = ("gradients",)
RUNS = "trainings alone"
DECADES = 12


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the hidden state h of layer 0, which reads the input.

    The h of some cells is used by the read-out alone, so that its gradient is 0 before the last timestep. Then the
    first other state is selected whose gradient is not.
    """
    frame = data["gradients"]
    frame = frame[frame["layer"] == 0]
    flowing = frame.loc[(frame["lag"] > 0) & (frame["grad_norm"] != 0), ["run_id", "state"]].drop_duplicates()
    names = flowing.astype(str).groupby("run_id")["state"].agg(list)
    chosen = {run: "h" if "h" in states else states[0] for run, states in names.items()}
    wanted = frame["run_id"].map(lambda run: chosen.get(run, "h")).astype(str)
    return {"gradients": frame[frame["state"].astype(str) == wanted]}


def draw(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the logarithm of the norm, as the median over the runs."""
    panel.ax.set(xlabel="timestep", ylabel="training step")
    frame = data["gradients"].fillna({"grad_norm": np.inf})
    for value, rows in frame[frame["state"] != "h"].groupby(panel.compare, observed=True):
        panel.title = f"state {rows['state'].iloc[0]}"
        panel.explain(
            f"{value}: the state {rows['state'].iloc[0]} instead of h, whose gradient is 0 before the last timestep."
        )
    if (frame["grad_norm"] == 0).all():
        raise NothingToDraw("the gradient is 0 at every recorded timestep")
    scale = panel.colour_scale or colour_scale({"gradients": frame})
    grid = frame.pivot_table(index="step", columns="timestep", values="grad_norm", aggfunc="median", dropna=False)
    timesteps = grid.columns.to_numpy(float)
    with np.errstate(divide="ignore"):
        logs = pd.DataFrame(np.log10(grid.to_numpy(float)), index=grid.index, columns=grid.columns)
    draw_map(
        panel,
        logs,
        x_edges=edges(timesteps),
        y_edges=step_edges(grid.index),
        cmap="viridis",
        colour_scale=scale,
        label="$\\log_{10} \\|dL/dh_t\\|$",
    )
    panel.ax.set_xlim(timesteps[0] - 0.5, timesteps[-1] + 0.5)  # the outer cells extend beyond the sequence
    darkest, brightest = (10 ** float(end or 0) for end in (scale.vmin, scale.vmax))
    panel.explain(f"The darkest colour is a norm of {darkest:.2g}, the brightest one of {brightest:.2g}.")
    if ((frame["grad_norm"] > 0) & (frame["grad_norm"] < 0.999 * darkest)).any():
        panel.explain("Smaller norms also have the darkest colour.")
    panel.explain_several_losses(frame, "the gradient")


def colour_scale(data: dict[str, pd.DataFrame]) -> Normalize:
    """Return a scale of logarithms.

    Norms that are more than 12 decades below both 1 and the largest norm have the darkest colour.
    """
    norms = data["gradients"]["grad_norm"].to_numpy(float)
    logs = np.log10(norms[(norms > 0) & np.isfinite(norms)])
    return Normalize(max(logs.min(), min(logs.max(), 0) - DECADES), logs.max()) if len(logs) else Normalize(-1, 0)


PANELS = (draw,)
ONE_PANEL_PER_LINE = True
IF_EMPTY = "gradients.csv has no hidden state h of layer 0"
IF_ONLY_PROBES = "a probe has no training steps; see gradient_flow"
IF_MISSING = "no gradient was recorded"
OVER_SEEDS = "colour: median over {seeds} seeds"
FIRST_LAYER_ONLY = True
CAPTION = (
    "Each row is a training step, the first one at the bottom. From right to left the gradient goes back in time: "
    "where the colour gets darker, the gradient shrinks."
)
