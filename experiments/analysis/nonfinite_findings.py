"""The finding on the steps whose loss or gradient was not finite, where `nonfinite` let the training go on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.store.studies import Run
from experiments.wording import counted

DONE = {"skip": "skipped", "rescue": "rescued"}
"""What each choice of `nonfinite` does to a step."""


def say_nonfinite(run: Run) -> str:
    """Say how many steps were skipped or rescued, with the first and the last, and what ended a run that diverged.

    Empty if the training ends at the first of them, as by default.
    """
    rule = str(run.config.get("nonfinite", "stop"))
    metrics = run.table("metrics")
    if rule == "stop" or run.is_probe or metrics.empty:
        return ""
    steps = metrics["step"][metrics["clip_scale"].isna() & (metrics["step"] != run.info.get("diverged_at_step"))]
    end = _say_end(run, metrics) if run.info["status"] == "diverged" else ""
    if steps.empty:
        return (
            end or f"nonfinite={rule}: the loss and the gradient were finite at each of {counted(len(metrics), 'step')}"
        )
    first, last = steps.iloc[0], steps.iloc[-1]
    where = f"step {first}" if first == last else f"first step {first}, last step {last}"
    done = DONE.get(rule, "not finite")
    went_on = f"nonfinite={rule}: {len(steps)} of {counted(len(metrics), 'step')} {done} ({where})"
    return "; ".join(filter(None, [went_on, end]))


def say_never_finite(run: Run) -> str:
    """Say that no step of a training was finite; empty if one was, or if the training ends at such a step."""
    metrics = run.table("metrics")
    if str(run.config.get("nonfinite", "stop")) == "stop" or run.is_probe or metrics.empty:
        return ""
    if not metrics["clip_scale"].isna().all():
        return ""
    never = [what for what in ("loss", "grad_norm") if not np.isfinite(metrics[what]).any()]
    what = {"loss": "loss", "grad_norm": "gradient"}[never[0]] if never else "loss, penalty and gradient at once"
    return f"no step had a finite {what}, so no update followed the gradient"


def _say_end(run: Run, metrics: pd.DataFrame) -> str:
    """Say why the rule ended the training."""
    in_a_row = int(metrics["clip_scale"].isna()[::-1].cumprod().sum())
    limit = run.config.get("nonfinite.in_a_row")
    if isinstance(limit, int) and in_a_row > limit:
        last = metrics["step"].iloc[-1]
        return f"step {last} ended the training: one more in a row than nonfinite.in_a_row={limit}"
    return "the training ended because a parameter was no longer finite"


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
    never = sum(count > 0 and len(run.table("metrics")) == count for run, count in zip(runs, counts, strict=True))
    at_all = f", and in {never} of {counted(len(runs), 'run')} no step was finite" if never else ""
    return f"nonfinite={rule}: {number} of a run not finite{at_all}"
