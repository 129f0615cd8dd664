"""What the forget gate (of a GRU: the update gate) keeps, and the gain that follows from it beside the measured one."""

from functools import partial
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes

from experiments.analysis.gain_and_horizon import gain_by_step
from experiments.drawing.captions import say, say_if_losses_mix
from experiments.drawing.lines_and_maps import at_recorded_step, draw_line, explain, lines_of
from experiments.drawing.style import Colours

TABLES = ("gates", "gradients")

CARRIED_BY = {"forget": "c", "update": "h"}
"""The gates that say how much of a state is kept from one timestep to the next, and that state."""

KEPT = {
    "forget": "The gate of an LSTM is its forget gate, which keeps the cell state c.",
    "update": "The gate of a GRU is its update gate, which keeps the hidden state h.",
}


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The gates of layer 0 that keep, and the gradients of the runs that have them."""
    gates, gradients = data["gates"], data["gradients"]
    gates = gates[(gates["layer"] == 0) & gates["gate"].isin(CARRIED_BY.keys())]
    return {"gates": gates, "gradients": gradients[gradients["run_id"].isin(gates["run_id"])]}


def draw(
    data: dict[str, pd.DataFrame],
    *,
    compare: str,
    colours: Colours,
    ax: Axes,
    which: Literal["min", "max"] = "max",
    title: str = "",
) -> Axes:
    """The mean gate by timestep, at each run's first recorded step (`which` is min) or its last (max)."""
    ax.set(ylim=(0, 1.02), xlabel="timestep", ylabel="gate that keeps, mean", title=title)
    gates = at_recorded_step(data["gates"], which)
    for value, line, colour, marker in lines_of(gates, compare, colours):
        draw_line(ax, line, "timestep", "mean", label=value, colour=colour, marker=marker)
    for gate, sentence in KEPT.items():
        if (gates["gate"] == gate).any():
            say(ax, sentence)
    return ax


def draw_gain(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """Over training: the mean gate, the gain where nothing else carries the gradient, beside the measured gain."""
    gates, gradients = data["gates"], data["gradients"]
    for value, line, colour, marker in lines_of(implied_gains(gates, compare), compare, colours):
        draw_line(ax, line, "step", "gain", label=value, colour=colour, marker=marker)
    measured = measured_gains(gates, gradients, compare)
    hollow = {"linestyle": "--", "markerfacecolor": "white"}
    for value, line, colour, marker in lines_of(measured, compare, colours):
        draw_line(ax, line, "step", "gain", label=f"_{value}, measured", colour=colour, marker=marker, **hollow)
    if len(measured):
        entry = explain(
            ax, "measured gain", "Solid: the mean gate; dashed: the gain of its state's gradient.", **hollow
        )
        say_if_losses_mix(ax, gradients, "the gain")
        say(entry, "The two agree where nothing else carries the gradient back and all units keep alike.")
    say(ax.axhline(1, color="0.7", linewidth=0.6), "Thin line: a gain of 1.")
    ax.set(xlabel="step", ylabel="gain per timestep", title="mean gate, and measured gain")
    return ax


def implied_gains(gates: pd.DataFrame, compare: str) -> pd.DataFrame:
    """For each run and step the mean of the gate over the timesteps."""
    return gates.groupby([compare, "run_id", "step"])["mean"].mean().rename("gain").reset_index()


def measured_gains(gates: pd.DataFrame, gradients: pd.DataFrame, compare: str) -> pd.DataFrame:
    """For each run and step the gain of the gradient of the state that the gate keeps."""
    kept = gates.groupby("run_id")["gate"].first().map(CARRIED_BY)
    frames = []
    for run, rows in gradients.groupby("run_id"):
        gains = gain_by_step(rows, state=kept[run])
        known = {compare: rows[compare].iloc[0], "run_id": run}
        frames.append(pd.DataFrame({**known, "step": list(gains), "gain": list(gains.values())}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[compare, "run_id", "step", "gain"])


PANELS = (
    partial(draw, which="min", title="before training"),
    partial(draw, which="max", title="at the last step"),
    draw_gain,
)
NOTHING = "no cell with a forget or update gate"
READING = "A gate of 0.9 keeps 0.9 of a state at each timestep, and 0.35 of it over ten."
