"""The finding on the steps whose loss or gradient was not finite, where `nonfinite` let the training go on."""

from collections.abc import Sequence

import numpy as np

from experiments.store.studies import Run
from experiments.wording import counted

DONE = {"skip": "skipped", "rescue": "rescued"}
"""What each choice of `nonfinite` does to a step."""


def say_nonfinite(run: Run) -> str:
    """Say how many steps were skipped or rescued, with the first and the last; empty if none was."""
    rule = str(run.config.get("nonfinite", "stop"))
    metrics = run.table("metrics")
    if rule == "stop" or run.is_probe or metrics.empty:
        return ""
    steps = metrics["step"][metrics["clip_scale"].isna() & (metrics["step"] != run.info.get("diverged_at_step"))]
    if steps.empty:
        return f"nonfinite={rule}: the loss and the gradient were finite at each of {counted(len(metrics), 'step')}"
    first, last = steps.iloc[0], steps.iloc[-1]
    where = f"step {first}" if first == last else f"first step {first}, last step {last}"
    done = DONE.get(rule, "not finite")
    return f"nonfinite={rule}: {len(steps)} of {counted(len(metrics), 'step')} {done} ({where})"


def say_nonfinite_of_all(runs: Sequence[Run], counts: Sequence[float]) -> str:
    """Say how many steps of several runs were not finite; empty if the runs stop there, or if none was.

    Args:
        runs: Runs of one configuration.
        counts: Their `nonfinite_steps` in summary.csv.
    """
    rule = str(runs[0].config.get("nonfinite", "stop"))
    known = np.asarray(counts, float)
    known = known[~np.isnan(known)]
    if rule == "stop" or runs[0].is_probe or not known.any():
        return ""
    least, most = f"{known.min():.0f}", counted(int(known.max()), "step")
    number = most if known.min() == known.max() else f"{least} to {most}"
    return f"nonfinite={rule}: {number} of a run not finite"
