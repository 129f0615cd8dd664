"""The titles of panels that show the first or the last recorded step, where these are not the ends of a training."""

from collections.abc import Sequence

import pandas as pd

from experiments.analysis.watched_runs import is_watched
from experiments.drawing.panel import Panel
from experiments.store.studies import Run

FIRST, LAST = "before training", "at the last step"
"""The titles that the figures give to panels of the first and the last recorded step of trainings."""


def name_steps(panels: Sequence[Panel], runs: Sequence[Run], recorded: pd.DataFrame) -> None:
    """Say in the titles of panels which step is shown, if the runs are not whole trainings of ours.

    A watched loop may train a network further, and its last step need not be a recorded one. Nor need that of a run
    that is unfinished. A probe shows a network as it finds it.

    Args:
        panels: Panels of a figure.
        runs: Runs that the figure shows.
        recorded: Rows of any table with the recorded steps of these runs, with `run_id`; it may be empty.
    """
    first, last = FIRST, LAST
    if all(run.is_probe for run in runs):
        trained = {bool(run.info.get("checkpoint")) for run in runs}
        first = FIRST if trained == {False} else "trained network" if trained == {True} else "before or after training"
    elif any(is_watched(run) or run.info["status"] in ("running", "interrupted", "failed") for run in runs):
        first = "at step 1" if all(map(is_watched, runs)) else FIRST
        steps = set(recorded.groupby("run_id", observed=True)["step"].max()) if len(recorded) else set()
        last = "at the last recorded step" + (f" ({steps.pop()})" if len(steps) == 1 else "")
    for panel in panels:
        panel.title = panel.title.replace(FIRST, first).replace(LAST, last)
