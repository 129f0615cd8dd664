"""What the gates learn: the mean of each over the sequence, in the course of training."""

import pandas as pd
from matplotlib.axes import Axes

from experiments.drawing.lines_and_maps import draw_line, explain, lines_of
from experiments.drawing.style import Colours

TABLES = ("gates",)

LOOKS = {"forget": "-", "update": "-", "input": "--", "reset": "--", "output": ":"}
"""Of the gates that keep, of those that let in, and of the one that lets out."""


def select(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The gates of layer 0, of the runs that recorded them at several steps."""
    gates = data["gates"]
    several = gates.groupby("run_id", observed=True)["step"].transform("nunique") > 1
    return {"gates": gates[(gates["layer"] == 0) & gates["gate"].isin(LOOKS) & several]}


def draw(data: dict[str, pd.DataFrame], *, compare: str, colours: Colours, ax: Axes) -> Axes:
    """The mean over timesteps, units and sequences at each recorded step."""
    means = data["gates"].groupby([compare, "gate", "run_id", "step"], observed=True)["mean"].mean().reset_index()
    for gate, look in LOOKS.items():
        of_gate = means[means["gate"] == gate]
        for value, line, colour, marker in lines_of(of_gate, compare, colours):
            label = value if look == "-" else f"_{value}, {gate}"
            draw_line(ax, line, "step", "mean", label=label, colour=colour, marker=marker, linestyle=look)
        if len(of_gate):
            explain(ax, f"{gate} gate", linestyle=look)
    ax.set(ylim=(0, 1.02), xlabel="step", ylabel="gate, mean over the sequence")
    return ax


PANELS = (draw,)
NOTHING = "no gates were recorded at more than one step"
READING = "The mean over units, timesteps and sequences: 1 lets all through, 0 nothing. It hides how units differ."
