"""What the gates learn: the mean of each gate over the sequence, during training."""

import pandas as pd

from experiments.drawing.lines import draw_line, rows_by_line
from experiments.drawing.panel import Panel

TABLES = ("gates",)

KEEPS = "-"
OTHERS = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
"""Line styles of the gates that do not keep a state, in the order in which a cell has them; the last one repeats."""

ROUNDING = 1e-6
"""How far a gate's recorded statistics may be off."""


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select the gates of layer 0, in the runs that recorded them at several steps."""
    gates = data["gates"]
    several = gates.groupby("run_id", observed=True)["step"].transform("nunique") > 1
    return {"gates": without_candidates(gates[(gates["layer"] == 0) & several])}


def without_candidates(gates: pd.DataFrame) -> pd.DataFrame:
    """Leave out what is no gate, because not all of its values are between 0 and 1, such as a candidate.

    The variance of values between 0 and 1 is at most mean (1 - mean) (Bhatia and Davis, 2000).
    """
    outside = gates["std"] ** 2 > gates["mean"] * (1 - gates["mean"]) + ROUNDING
    return gates[~gates["gate"].isin(gates.loc[outside, "gate"].unique())]


def draw(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the mean over timesteps, units and sequences at each recorded step."""
    gates = data["gates"]
    by_gate = ["gate", "run_id", "step"]
    means = gates.groupby([panel.compare, *by_gate], observed=True)["mean"].mean().reset_index()
    for gate, look in line_styles(gates).items():
        for value, line, colour, marker in rows_by_line(panel, means[means["gate"] == gate]):
            part = "" if look == KEEPS else gate
            draw_line(panel, line, "step", "mean", value=value, part=part, colour=colour, marker=marker, linestyle=look)
        panel.add_to_legend(f"{gate} gate", linestyle=look)
    panel.ax.set(ylim=(0, 1.02), xlabel="step", ylabel="gate, mean over the sequence")


def line_styles(gates: pd.DataFrame) -> dict[str, str | tuple[int, tuple[int, ...]]]:
    """Return the line style of each gate: solid for a gate that keeps a state."""
    keeping = gates.loc[gates["keeps"] != "", "gate"].unique()
    styles: dict[str, str | tuple[int, tuple[int, ...]]] = dict.fromkeys(map(str, keeping), KEEPS)
    others = gates.loc[~gates["gate"].isin(keeping), ["run_id", "gate"]].drop_duplicates()
    places = others.groupby("run_id", observed=True).cumcount()
    for gate, place in zip(others["gate"], places, strict=True):
        styles.setdefault(str(gate), OTHERS[min(place, len(OTHERS) - 1)])
    return styles


PANELS = (draw,)
IF_MISSING = "no gates were recorded at more than one step"
IF_EMPTY = "no gates were recorded at more than one step"
FIRST_LAYER_ONLY = True
CAPTION = (
    "The mean of each gate over units, timesteps and sequences: a gate of 1 lets everything through, a gate of 0 "
    "nothing. The mean hides differences between units."
)
