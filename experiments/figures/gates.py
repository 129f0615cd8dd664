"""How much of a state its gate keeps per timestep, beside the measured gain of the state's gradient."""

from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from experiments.analysis.gain_and_horizon import gain_by_step
from experiments.drawing.lines import draw_line, rows_by_line
from experiments.drawing.panel import Panel
from experiments.drawing.training_steps import at_recorded_step

TABLES = ("gates", "gradients")


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the gates of layer 0 that keep a state, and the gradients of the runs that have such gates."""
    gates, gradients = data["gates"], data["gradients"]
    gates = gates[(gates["layer"] == 0) & (gates["keeps"] != "")]
    return {"gates": gates, "gradients": gradients[gradients["run_id"].isin(gates["run_id"])]}


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, which: Literal["min", "max"] = "max", title: str = "") -> None:
    """Draw the mean share kept by timestep, at each run's first recorded step (`which` is min) or its last (max)."""
    panel.title = title
    panel.ax.set(ylim=(0, 1.02), xlabel="timestep", ylabel="gate that keeps, mean")
    gates = at_recorded_step(data["gates"], which)
    for value, line, colour, marker in rows_by_line(panel, gates):
        for part, rows, first in _by_state(line, data["gates"]):
            look = _further_look(panel, rows, first)
            draw_line(panel, rows, "timestep", "kept", value=value, part=part, colour=colour, marker=marker, **look)
    for (state, gate), rows in gates.groupby(["keeps", "gate"], observed=True, sort=False):
        if np.allclose(rows["kept"], rows["mean"], atol=1e-6):
            panel.explain(f"The gate that keeps {state} is the {gate} gate.")
        else:
            panel.explain(f"The share of {state} that is kept is 1 minus the {gate} gate.")


def draw_gain(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the mean gate and the measured gain during training.

    The mean gate is the gain if nothing else carries the gradient.
    """
    panel.title = "mean gate, and measured gain"
    gates, gradients, compare = data["gates"], data["gradients"], panel.compare
    for value, line, colour, marker in rows_by_line(panel, implied_gains(gates, compare)):
        for part, rows, first in _by_state(line, data["gates"]):
            look = _further_look(panel, rows, first)
            draw_line(panel, rows, "step", "gain", value=value, part=part, colour=colour, marker=marker, **look)
    measured = measured_gains(gates, gradients, compare)
    hollow: dict[str, Any] = {"linestyle": "--", "markerfacecolor": "white"}
    for value, line, colour, marker in rows_by_line(panel, measured):
        for part, rows, first in _by_state(line, gates):
            part = f"{part}, measured" if part else "measured"
            look = hollow | _further_look(panel, rows, first, measured=True)
            draw_line(panel, rows, "step", "gain", value=value, part=part, colour=colour, marker=marker, **look)
    if len(measured):
        panel.add_to_legend("measured gain", **hollow)
        panel.explain("Solid: the mean gate; dashed: the gain of the gradient of the state that it keeps.")
        panel.explain_several_losses(gradients, "the gain")
        panel.explain("The two agree if nothing else carries the gradient back and all units keep the same share.")
    panel.ax.axhline(1, color="0.7", linewidth=0.6)
    panel.explain("Thin line: a gain of 1.")
    panel.ax.set(xlabel="step", ylabel="gain per timestep")


def _by_state(line: pd.DataFrame, gates: pd.DataFrame) -> list[tuple[str, pd.DataFrame, str]]:
    """Split the rows of a line by the state that is kept, in the order of the gates.

    Returns:
        The name of each state, empty if there is only one; its rows; and the name of the first state.
    """
    kept = line["keeps"].astype(str)
    states = [state for state in dict.fromkeys(map(str, gates["keeps"].unique())) if (kept == state).any()]
    return [(state if len(states) > 1 else "", line[kept == state], states[0]) for state in states]


def _further_look(panel: Panel, rows: pd.DataFrame, first: str, *, measured: bool = False) -> dict[str, Any]:
    """The look of the line of a state that is not the first one kept in its cell; empty for the first."""
    state = str(rows["keeps"].iloc[0])
    if state == first:
        return {}
    of_cell = f"the state {state} of a cell that keeps {first}, too"
    panel.explain(f"Dash-dotted: the measured gain of {of_cell}." if measured else f"Dotted: {of_cell}.")
    return {"linestyle": "-." if measured else ":"}


def implied_gains(gates: pd.DataFrame, compare: str) -> pd.DataFrame:
    """Return the mean share kept over the timesteps, for each run, kept state and step."""
    shares = gates.groupby([compare, "run_id", "keeps", "step"], observed=True)["kept"]
    return shares.mean().rename("gain").reset_index()


def measured_gains(gates: pd.DataFrame, gradients: pd.DataFrame, compare: str) -> pd.DataFrame:
    """Return the gain of the gradient of each state that a gate keeps, for each run and step."""
    kept = gates[["run_id", "keeps"]].astype(str).drop_duplicates()
    states = kept.groupby("run_id")["keeps"].agg(list)
    columns = [compare, "run_id", "keeps", "step", "gain"]
    frames = []
    for run, rows in gradients.groupby("run_id", observed=True):
        for state in states[run]:
            gains = gain_by_step(rows, state=state)
            known = {compare: rows[compare].iloc[0], "run_id": run, "keeps": state}
            frames.append(pd.DataFrame({**known, "step": list(gains), "gain": list(gains.values())}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


PANELS = (
    partial(draw, which="min", title="before training"),
    partial(draw, which="max", title="at the last step"),
    draw_gain,
)
IF_MISSING = "no gate that keeps a state was recorded"
IF_EMPTY = "no cell has a gate that keeps a state"
FIRST_LAYER_ONLY = True
CAPTION = "A gate of 0.9 keeps 0.9 of a state at each timestep, and 0.35 of it over ten timesteps."
