"""All lines of a study as rows, ranked: gain of each state, horizon and best error, before and after training."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from experiments.drawing.colours import OKABE_ITO
from experiments.drawing.lines import spread_axis
from experiments.drawing.panel import NothingToDraw, Panel

TABLES = ("summary", "states")

FEWEST = 8
"""The smallest number of rows that are ranked; fewer lines are told apart in the other figures."""

ROW_INCHES = 0.122
"""The height of a row, for text of 8 points."""

LOOKS: tuple[dict[str, Any], ...] = ({"marker": "o", "color": OKABE_ITO[0]}, {"marker": "D", "color": OKABE_ITO[1]})
"""The looks of h and of the further states of a cell."""

BEFORE: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 1.0}
"""How the marker of a value before training looks."""


class Values(NamedTuple):
    """The numbers of one row and one state.

    Attributes:
        place: Place of the row on the vertical axis.
        name: Name of the row.
        state: Name of the state.
        before: Values before training, one for each run.
        after: Values at the last recorded step; empty for a probe.
    """

    place: int
    name: str
    state: str
    before: "pd.Series[float]"
    after: "pd.Series[float]"


def select_rows(data: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Select layer 0, which reads the input, and the states that a gradient comes back to."""
    summary, states = data["summary"], data["states"]
    numbers = ["gain_at_init", "gain_per_timestep", "horizon_at_init", "horizon"]
    states = states.astype(dict.fromkeys(numbers, float))
    states = states[(states["layer"] == 0) & states[numbers[:2]].notna().any(axis=1)]
    of_run = summary.set_index("run_id")
    trained = (of_run["kind"] == "training") & (of_run["steps"] > 1)
    return {"summary": summary, "states": states.assign(trained=states["run_id"].map(trained).astype(bool))}


def order_lines(data: dict[str, pd.DataFrame], compare: str) -> list[str]:
    """Rank the lines: by their best error, then by the step at which they solved the task, then by their largest gain.

    Each is the mean over the runs of a line; the gain is that of the state with the largest one.
    """
    summary, states = data["summary"], data["states"]
    gain = states["gain_per_timestep"].where(states["trained"], states["gain_at_init"])
    gains = gain.groupby([states[compare], states["state"]]).mean().groupby(level=0).max()
    if len(gains) < FEWEST:
        raise NothingToDraw(f"ranks {FEWEST} lines or more, and there are {len(gains)}; see gradient_flow")
    reached = summary[["best_error", "solved_at_step"]].astype(float).groupby(summary[compare]).mean()
    ranks = reached.assign(lost=-gains).reindex(gains.index)
    return list(ranks.sort_values(["best_error", "solved_at_step", "lost"], kind="stable").index)


def draw(data: dict[str, pd.DataFrame], panel: Panel, *, before: str, after: str, xlabel: str) -> None:
    """Draw a column of states.csv before training and at the last recorded step: a row for each line."""
    prepare_rows(panel, data["summary"])
    further = sorted(set(data["states"]["state"]) - {"h"})
    for name, look in zip(("h", f"further state: {', '.join(further)}"), LOOKS, strict=True) if further else ():
        panel.add_to_legend(name, linestyle="", markersize=4, **look)
    for row in _values(panel, data["states"], before, after):
        is_further = row.state != "h"
        lift = (-0.16 if is_further else 0.16) if further else 0.0
        _draw_row(panel, row, row.place + lift, LOOKS[is_further])
    panel.ax.set(xlabel=xlabel)
    panel.explain_several_losses(data["summary"], "the gradient")


def draw_gain(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the gain of each state, with a line at gain 1."""
    names = {"before": "gain_at_init", "after": "gain_per_timestep"}
    draw(data, panel, **names, xlabel="gain per timestep")
    panel.ax.axvline(1, color="0.35", linewidth=0.8)
    spread_axis(panel, pd.concat([data["states"][column].dropna() for column in names.values()]))
    panel.explain("Thin line: gain 1. To the left of it the gradient shrinks with each timestep on its way back.")


def draw_horizon(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the horizon of each state, with a line at the whole sequence."""
    draw(data, panel, before="horizon_at_init", after="horizon", xlabel="horizon, timesteps")
    for longest in sorted(set(data["summary"]["timesteps"] - 1))[-1:]:
        panel.ax.axvline(longest, color="0.35", linestyle=":", linewidth=0.8)
        panel.explain(
            "The horizon is the number of timesteps after which the gradient has fallen to a thousandth of its norm "
            "at the loss; dotted: the whole sequence."
        )
    panel.ax.set_xlim(left=0)


def draw_error(data: dict[str, pd.DataFrame], panel: Panel) -> None:
    """Draw the best error of each row, with the number of runs that solved the task, and a line at chance."""
    prepare_rows(panel, data["summary"])
    summary = data["summary"].dropna(subset="best_error")
    if summary.empty:
        raise NothingToDraw("no error was recorded")
    nothing = pd.Series(dtype=float)
    for place, name, runs in _rows(panel, summary):
        _draw_row(panel, Values(place, name, "", nothing, runs["best_error"].astype(float)), place, LOOKS[0])
    for chance in summary["chance_error"].unique():
        panel.ax.axvline(chance, color="0.35", linestyle="--", linewidth=0.8)
        panel.explain("Dashed: the error of guessing.")
    panel.ax.set(xlabel="best error")
    panel.ax.set_xlim(left=min(0, panel.ax.get_xlim()[0]))
    panel.ax.xaxis.set_major_formatter("{x:.0%}")


def prepare_rows(panel: Panel, summary: pd.DataFrame) -> None:
    """Give each line a row with its name, the first one at the top."""
    names = list(panel.colours)
    sizes = summary.groupby(panel.compare)["parameters"].first()
    labels = names
    if summary["parameters"].nunique() > 1:
        labels = [f"{name}, {_thousands(sizes[name])}" if name in sizes else name for name in names]
        panel.explain("After the names: the number of trained parameters (k: thousands).")
    panel.least_height = ROW_INCHES * len(names)
    panel.ax.set_yticks(range(len(names) - 1, -1, -1), labels)
    panel.ax.set(ylim=(-0.6, len(names) - 0.4), ylabel=panel.compared)


def _thousands(number: float) -> str:
    return f"{number:.0f}" if number < 1000 else f"{number / 1000:.{0 if number >= 9950 else 1}f}k"


def _rows(panel: Panel, frame: pd.DataFrame) -> Iterator[tuple[int, str, pd.DataFrame]]:
    """Yield the place, the name and the rows of each line that has some."""
    rows = dict(iter(frame.groupby(panel.compare, observed=True)))
    for number, name in enumerate(panel.colours):
        if name in rows:
            yield len(panel.colours) - 1 - number, name, rows[name]


def _values(panel: Panel, frame: pd.DataFrame, before: str, after: str) -> Iterator[Values]:
    for place, name, runs in _rows(panel, frame):
        for state, of_state in runs.groupby("state", sort=False):
            ends = of_state.loc[of_state["trained"], after]
            yield Values(place, name, str(state), of_state[before].dropna(), ends.dropna())


def _draw_row(panel: Panel, row: Values, place: float, look: dict[str, Any]) -> None:
    """Draw the medians of a row, and a bar from the smallest to the largest value of its runs."""
    has_ended = len(row.after) > 0
    parts: Sequence[tuple[str, pd.Series[float], dict[str, Any]]] = (
        ("before training", row.before, BEFORE if has_ended else {}),
        ("at the last step", row.after, {}),
    )
    for part, values, fill in parts:
        if values.empty:
            continue
        if values.max() > values.min() and not fill:
            panel.ax.plot([values.min(), values.max()], [place] * 2, color=look["color"], linewidth=1.2, alpha=0.5)
            panel.explain("Bars: from the smallest to the largest value of the seeds.")
        name = ", ".join(filter(None, (row.name, row.state, part if has_ended and row.state else "")))
        shape: dict[str, Any] = {"linestyle": "", "markersize": 4, **look, **fill}
        panel.add_line([values.median()], [place], name=name, in_legend=False, **shape)
        for bound, value in (("smallest", values.min()), ("largest", values.max())):
            panel.record(f"{name}, {bound}", value, place)
    if has_ended and len(row.before):
        panel.add_to_legend("before training", linestyle="", marker="o", markersize=4, **BEFORE)
        panel.add_to_legend("at the last recorded step", linestyle="", marker="o", markersize=4)


PANELS = (draw_gain, draw_horizon, draw_error)
LINES_ARE_ROWS = True
IF_EMPTY = "no run has a gain: no gradients were recorded, or they are not finite"
OVER_SEEDS = "marks: median over {seeds} seeds"
FIRST_LAYER_ONLY = True
CAPTION = (
    "Each line of the other figures is a row here. Trainings are ranked by their best error, untrained networks by the "
    "largest gain of a state."
)
