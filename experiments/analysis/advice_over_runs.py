"""The advice to several runs of a configuration: what each run's own advice says, counted over the runs."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from experiments.analysis.advice import (
    TOLERANCE,
    acts_as_learning_rate,
    describe_safe_threshold,
    describe_scale,
    describe_spikes,
    describe_truncation,
    mean_scale,
    needed_cuts,
    recorded_cuts,
    safe_threshold,
    spike_ratios,
)
from experiments.analysis.data_findings import answer_of, data_reach, describe_data, gradient_reach
from experiments.analysis.findings import spread
from experiments.analysis.remedy_findings import say_remedy
from experiments.store.studies import Run


def say_cut_of_all(runs: Sequence[Run]) -> str:
    """Say after how many timesteps backpropagation may be cut at the last recorded step of each run."""
    if len(runs) == 1:
        return describe_truncation(runs[0])
    recorded = [cuts for cuts in map(recorded_cuts, runs) if len(cuts) and cuts["truncation"].nunique() > 1]
    if not recorded:
        return ""
    length, at = runs[0].info["timesteps"], "at the last recorded step"
    needed = [needed_cuts(cuts)[cuts["step"].max()] for cuts in recorded]
    close = [k for k in needed if k < length]
    if not close:
        return f"{at}, every recorded cut changes the gradient by more than {TOLERANCE:.0%} of its norm"
    words = f"{at}, a cut after {spread(close, '{:.0f}')} of {length} timesteps changes the gradient by at most "
    words += f"{TOLERANCE:.0%} of its norm"
    if len(close) < len(needed):
        words += f" in {len(close)} of {len(needed)} runs, and no recorded cut does in the others"
    return words


def say_scale_of_all(runs: Sequence[Run]) -> str:
    """Say to what part of their norm clipping cut the gradients, as the rest of a sentence; empty if it cut nothing."""
    if runs[0].config.get("clip") in (None, "none"):
        return ""
    if len(runs) == 1:
        return describe_scale(runs[0])
    scales = [scale for scale in map(mean_scale, runs) if scale is not None]
    if not scales:
        return ""
    words = f" to {spread(scales, '{:.3g}')} of their norm on average"
    if count := sum(map(acts_as_learning_rate, runs)):
        words += f", and in {count} of {len(runs)} runs the threshold acts as a learning rate"
    return words


def say_spikes_of_all(runs: Sequence[Run]) -> str:
    """Say in how many runs the gradient norm left its running distribution, and where it did so farthest."""
    if len(runs) == 1:
        return describe_spikes(runs[0])
    found = [(run, ratios) for run in runs if (ratios := spike_ratios(run))]
    if not found:
        return ""
    ratio, step, run = max(
        ((ratio, step, run) for run, ratios in found for step, ratio in ratios.items()), key=lambda spike: spike[0]
    )
    return (
        f"in {len(found)} of {len(runs)} runs the gradient norm left its running distribution, the farthest to "
        f"{ratio:.3g} times the running median (step {step} with seed {run.config.get('seed')})"
    )


def say_data_of_all(runs: Sequence[Run]) -> str:
    """Say how far back the answer depends on its inputs, and in how many runs the gradient reaches as far."""
    reaches = {data_reach(run.table("data_lags")) for run in runs}
    (data,) = reaches if len(reaches) == 1 else (None,)
    if data is None or data.lag is None or len(runs) == 1:
        return describe_data(runs[0]) if len(reaches) == 1 else ""
    known = [reach for reach in map(gradient_reach, runs) if reach is not None]
    words = f"{answer_of(runs[0])} depends on inputs up to lag {data.lag}"
    if not known:
        return f"{words}, and how far the gradient reaches is not known"
    return f"{words}, and the gradient reaches it in {sum(reach >= data.lag for reach in known)} of {len(known)} runs"


def say_threshold_of_all(runs: Sequence[Run]) -> str:
    """Say at which threshold no recorded update of any run would have exceeded the weights; empty if none did."""
    if len(runs) == 1:
        return describe_safe_threshold(runs[0])
    thresholds = [threshold for threshold in map(safe_threshold, runs) if threshold is not None]
    if not thresholds:
        return ""
    return (
        f"in {len(thresholds)} of {len(runs)} runs a recorded update was larger than the weights; with clip=norm at "
        f"{min(thresholds):g}, none would have been"
    )


def say_remedy_of_all(runs: Sequence[Run], summary: pd.DataFrame) -> str:
    """Name the remedies that helped in the committed study, with the number of runs in its situation.

    Args:
        runs: Runs of one configuration.
        summary: Their rows of summary.csv.
    """
    known = summary[["solved", "horizon_at_init", "arriving_at_init"]].to_dict("records")
    outcomes = [{str(key): value for key, value in row.items()} for row in known]
    said = Counter(filter(None, (say_remedy(run, outcome) for run, outcome in zip(runs, outcomes, strict=True))))
    if len(runs) == 1:
        return next(iter(said), "")
    return "; ".join(f"in {count} of {len(runs)} runs, {sentence}" for sentence, count in said.items())
