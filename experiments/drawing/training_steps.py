"""Rows of a table by training step: those of the first or last recorded step, and summaries over bins of steps."""

from typing import Literal

import pandas as pd

from experiments.drawing.panel import NothingToDraw


def at_recorded_step(frame: pd.DataFrame, which: Literal["min", "max"]) -> pd.DataFrame:
    """Return the rows of each run's own first (min) or last (max) recorded step.

    A run with a single recorded step has a first step only.

    Raises:
        NothingToDraw: The last step was asked for, and no run has a later step than its first.
    """
    steps = frame.groupby("run_id", observed=True)["step"]
    first = steps.transform("min")
    if which == "min":
        return frame[frame["step"] == first]
    rows = frame[(frame["step"] == steps.transform("max")) & (frame["step"] > first)]
    if rows.empty:
        raise NothingToDraw("recorded at one step only")
    return rows


def bin_width(metrics: pd.DataFrame) -> int:
    """Return the number of steps in a bin: a fiftieth of all steps, because a line cannot show more points."""
    return max(1, int(metrics["step"].max()) // 50) if len(metrics) else 1


def binned(frame: pd.DataFrame, column: str, how: Literal["median", "max", "mean"], *, by: str) -> pd.DataFrame:
    """Summarize a column over bins of `bin_width` steps.

    Args:
        frame: Rows of several runs, one row for each step.
        column: Column to summarize.
        how: Summary of a bin.
        by: Column with the name of the run's line.

    Returns:
        One row for each run and bin; `step` is the middle of the bin.
    """
    width = bin_width(frame)
    middles = (frame["step"] - 1) // width * width + (width + 1) / 2
    bins = frame.assign(step=middles).groupby([by, "run_id", "step"])[column]
    return bins.agg(how).reset_index()
