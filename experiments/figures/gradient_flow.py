"""The gradient of the loss with respect to the state, by how far back in time: does it reach step 1?"""

from functools import partial
from typing import Any, Literal

import pandas as pd

from experiments.analysis.gradient_law import with_law
from experiments.analysis.single_losses import with_single_losses
from experiments.drawing.lines import draw_line, mark_extremes, rows_by_line
from experiments.drawing.panel import NothingToDraw, Panel
from experiments.drawing.training_steps import at_recorded_step
from experiments.wording import listed

TABLES = ("gradients",)
FURTHER_TABLES = ("lags",)

LAWS = {
    "predicted": ("theory_gain", ":", "Dotted lines: the gradient that theory predicts for this initialisation."),
    "bound": (
        "theory_bound",
        "-.",
        "Dash-dotted lines: an upper bound, from the largest singular values of the weights.",
    ),
}
"""The columns from theory, with the name of their lines, their line style, and their sentence in the caption."""

OTHER_STATES = ("--", (0, (6, 2, 2, 2, 2, 2)), (0, (1, 3)))
"""Line styles of the states other than h, in the order of their names; the last one repeats."""


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select layer 0, which reads the input, and add what theory says about it.

    For a run with a loss at several timesteps that recorded single ones, the rows are those of `average_over_losses`.
    """
    lags = data["lags"]
    rows = with_single_losses(with_law(data["gradients"]), lags[lags["layer"] == 0] if len(lags) else lags)
    others: Any = [other_states(rows)] * len(rows)  # of the whole figure: a panel draws some of the rows
    return {"gradients": rows.assign(other_states=others)}


def other_states(rows: pd.DataFrame) -> tuple[str, ...]:
    """The names of the states other than h, which set their line styles."""
    return tuple(sorted(str(state) for state in rows["state"].unique() if state != "h"))


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, which: Literal["min", "max"] = "max", title: str = "") -> None:
    """Draw the norms at each run's first recorded step (`which` is min) or its last (max)."""
    panel.title = title
    panel.ax.set_yscale("log")
    frame = at_recorded_step(data["gradients"], which)
    of_sum, of_single = _split_by_losses(frame)
    end, norm = ("the end", "dL/ds_t") if of_single.empty else ("the loss", "dL_t/ds_{t-k}")
    both = len(of_sum) and len(of_single)
    panel.ax.set(
        xlabel=f"lag{'' if of_single.empty else ' k'}: timesteps before {end}",
        ylabel="gradient norm" if both else f"gradient norm $\\|{norm}\\|$",
    )
    if (frame["grad_norm"] == 0).all():
        raise NothingToDraw("the gradient is 0 at every recorded timestep")
    if len(of_single):
        of_runs = " of a run with lags.csv" if both else ""
        panel.explain(
            f"With a loss at several timesteps, a line{of_runs} shows the gradient of a single timestep's loss, by the "
            f"number of timesteps before it: the mean over {_how_many(of_single)}, where each norm is relative to the "
            "loss's own at lag 0, times the mean norm at lag 0. At large lags it is a mean over fewer, because few "
            "losses have as many timesteps before them."
        )
    others = frame["other_states"].iloc[0] if "other_states" in frame else other_states(frame)
    looks: dict[str, dict[str, Any]] = {"h": {}}
    for i, state in enumerate(others):
        looks[state] = {"linestyle": OTHER_STATES[min(i, len(OTHER_STATES) - 1)], "markerfacecolor": "white"}
    for value, states, colour, marker in rows_by_line(panel, frame):
        for state, look in looks.items():
            line = states[states["state"] == state]
            if len(line):
                part = "" if state == "h" else f"state {state}"
                draw_line(panel, line, "lag", "grad_norm", value=value, part=part, colour=colour, marker=marker, **look)
                mark_extremes(panel, line, "lag", "grad_norm", colour)
                _draw_spread(panel, line, value=value, part=part, colour=colour)
                if which == "min":
                    _draw_theory(panel, line, colour)
    for state in others:
        panel.add_to_legend(f"state {state}", linestyle=looks[state]["linestyle"])
    if others:
        dashes, noun = ("Dashed", "state") if len(others) == 1 else ("Broken lines", "states")
        hollow = "" if panel.crowded else ", hollow"
        panel.explain(f"{dashes}{hollow}: the {noun} {listed(others)}; solid: the hidden state h.")
    panel.explain_several_losses(of_sum, f"the gradient{' of a run without lags.csv' if both else ''}")


def _split_by_losses(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the rows into those of the gradient of the whole loss, and those of single timesteps' losses."""
    if "losses" not in frame:
        return frame, frame.iloc[:0]
    return frame[frame["losses"].isna()], frame[frame["losses"].notna()]


def _how_many(of_single: pd.DataFrame) -> str:
    """Say how many losses the runs' means at lag 0 are over, such as '8 losses'."""
    at_0 = of_single.loc[(of_single["lag"] == 0) & (of_single["losses"] > 0), "losses"].astype(int)
    numbers = sorted({at_0.min(), at_0.max()}) if len(at_0) else [0]
    return f"{' to '.join(map(str, numbers))} {'loss' if numbers == [1] else 'losses'}"


def _draw_spread(panel: Panel, line: pd.DataFrame, *, value: str, part: str, colour: str) -> None:
    """Draw the band from the lowest to the highest norm over the losses if the line shows a single run."""
    single = _split_by_losses(line)[1].sort_values("lag")
    if single.empty or line["run_id"].nunique() > 1 or panel.crowded:
        return
    lag, lowest, highest = (single[column].to_numpy(float) for column in ("lag", "lowest", "highest"))
    if (highest > lowest).any():
        panel.ax.fill_between(lag, lowest, highest, color=colour, alpha=0.18, linewidth=0)
        panel.explain("Bands: from the lowest to the highest over the losses of the run.")
    name = f"{value}, {part}" if part else value
    panel.record(f"{name}, lowest loss", lag, lowest)
    panel.record(f"{name}, highest loss", lag, highest)


def _draw_theory(panel: Panel, line: pd.DataFrame, colour: str) -> None:
    """Draw the norms that theory predicts, dotted, and their bound, dash-dotted, as medians over the runs.

    They do not set the limits of the axes, because a bound may be many orders of magnitude above the norms.
    """
    for column, (name, dashes, sentence) in LAWS.items():
        norms = line.groupby("lag")[column].median().dropna()
        if len(norms):
            look: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1}
            panel.add_line(norms.index, norms, name=name, in_legend=False, sets_limits=False, **look)
            panel.explain(sentence)


IF_MISSING = "no gradient was recorded"
IF_EMPTY = "gradients.csv has no layer 0"
FIRST_AND_LAST_STEP_ONLY = True
PANELS = (partial(draw, which="min", title="before training"), partial(draw, which="max", title="at the last step"))
FIRST_LAYER_ONLY = True
CAPTION = (
    "The norm of the gradient of the loss with respect to the state, by how many timesteps it has flowed back. On "
    "these axes, a gradient that vanishes exponentially is a straight line down to the right, and one that explodes "
    "a line up."
)
