"""Findings that say what to do: after how many timesteps to cut, what a clipping threshold does, where spikes begin."""

import math

import numpy as np
import pandas as pd

from experiments.analysis.update_norms import update_norms
from experiments.analysis.watched_runs import is_watched, layer_name, parameter_name, timesteps_of
from experiments.spike_detector import find_spikes
from experiments.store.studies import Run
from experiments.wording import counted, percent

TOLERANCE = 0.1
"""Largest distance of a truncated gradient from the whole one that counts as close, relative to the whole."""

MOSTLY = 0.9
"""Share of clipped steps from which on the threshold acts as a learning rate."""

OWN_CUT = "own_cut"
"""The word in the column `parameter` of truncation.csv for the cuts that a watched loop makes itself."""

OUTLIER = 0.5
"""Least share of one sequence in the gradient of a batch for which it is named."""


def describe_truncation(run: Run) -> str:
    """Say after how many timesteps backpropagation may be cut, and what the run's own cut does to the gradient.

    The smallest K is the one from which on every recorded cut is within the tolerance.
    """
    cuts = recorded_cuts(run)
    needed = needed_cuts(cuts)
    if not needed:
        return ""
    last, length = max(needed), run.info["timesteps"]
    rows = cuts[cuts["step"] == last].set_index("truncation")["distance"]
    enough = needed[last]
    if enough == length and len(rows) > 1:
        words = f"at step {last}, every recorded cut changes the gradient by more than {TOLERANCE:.0%} of its norm"
    else:
        words = (
            f"at step {last}, a cut after {enough} of {length} timesteps changes the gradient by at most "
            f"{TOLERANCE:.0%} of its norm"
        )
    below = rows[rows.index < enough]
    if len(below):
        words += f" (after {below.index[-1]} by {percent(below.iloc[-1])})"
    worst = max(needed, key=lambda step: (needed[step], step))
    if needed[worst] > enough:
        words += f", at step {worst} it takes {needed[worst]}"
    words += _own_cut(run, rows, last)
    if run.info.get("given_state"):
        words += " (measured within each step: no gradient goes back through the state that a step begins with)"
    return words


def _own_cut(run: Run, rows: "pd.Series[float]", step: int) -> str:
    """Say what the run's own cut does to the gradient at a step, as a further sentence; empty if it makes none.

    Args:
        run: The run.
        rows: Distance of each recorded K at that step.
        step: Number of the step.
    """
    if is_watched(run):
        table = run.table("truncation")
        own_rows = table[(table["step"] == step) & (table["parameter"] == OWN_CUT)]
        if own_rows.empty:
            return ""
        row = own_rows.iloc[0]
        own = f"the loop's own cuts, at most {counted(int(row['truncation']), 'timestep')} apart, change"
        return f"; at step {step}, {own} it by {percent(row['distance'])}"
    own_k = run.config.get("truncation")
    if own_k is None or own_k not in rows.index or int(own_k) >= run.info["timesteps"]:
        return ""
    return f"; at step {step}, truncation={own_k} changes it by {percent(rows[own_k])}"


def recorded_cuts(run: Run) -> pd.DataFrame:
    """The rows of truncation.csv on all parameters together, with K rising; empty if none were recorded."""
    table = run.table("truncation")
    if table.empty:
        return table
    return table[table["parameter"] == "layers"].sort_values("truncation", kind="stable")


def needed_cuts(cuts: pd.DataFrame) -> dict[int, int]:
    """The smallest K that is close at each recorded step, by step."""
    if cuts.empty:
        return {}
    return {int(step): _smallest(cuts[cuts["step"] == step]) for step in cuts["step"].unique().tolist()}


def _smallest(cuts: pd.DataFrame) -> int:
    """The smallest K from which on all distances are within the tolerance; the whole sequence is."""
    far = cuts.loc[cuts["distance"] > TOLERANCE, "truncation"]
    within = cuts["truncation"] if far.empty else cuts.loc[cuts["truncation"] > far.max(), "truncation"]
    return int(within.min())


def describe_scale(run: Run) -> str:
    """Say to what part of its norm clipping cut the gradient, as the rest of a sentence; empty if it cut nothing."""
    scale = mean_scale(run)
    if scale is None:
        return ""
    words = f" to {scale:.3g} of their norm on average"
    if acts_as_learning_rate(run):
        words += ", so the threshold acts as a learning rate: these updates all have the length lr times the threshold"
    return words


def mean_scale(run: Run) -> float | None:
    """The part of their norm to which clipping cut the gradients: the mean over the clipped steps, None without any."""
    scales = _scales(run)
    return float(scales[scales < 1].mean()) if (scales < 1).any() else None


def acts_as_learning_rate(run: Run) -> bool:
    """Whether a threshold of the norm alone decides how long nearly all updates of plain SGD are."""
    at_threshold = _is_cut_to_one_norm(run) if is_watched(run) else run.config.get("clip") == "norm"
    scales = _scales(run)
    return at_threshold and len(scales) > 0 and (scales < 1).mean() >= MOSTLY and moves_by_clipped_gradient(run)


def _scales(run: Run) -> "pd.Series[float]":
    metrics = run.table("metrics")
    return metrics["clip_scale"].dropna() if len(metrics) else pd.Series(dtype=float)


def say_watched_clipping(run: Run) -> str:
    """Say what share of the steps a watched loop clipped; empty if it clipped none, or if that was not seen."""
    scales = _scales(run)
    if not (scales < 1).any():
        return ""
    metrics = run.table("metrics")
    threshold = f" to a norm of {metrics['clipped_grad_norm'][metrics['clip_scale'] < 1].median():.3g}"
    at = threshold if _is_cut_to_one_norm(run) else ""
    share = percent((scales < 1).mean())
    return f"the loop clipped the gradient{at} at {share} of the steps,{describe_scale(run)}"


def _is_cut_to_one_norm(run: Run) -> bool:
    """Whether all clipped gradients of a run have the same norm, to 0.1 %: that is clipping by norm."""
    metrics = run.table("metrics")
    norms = metrics["clipped_grad_norm"][metrics["clip_scale"] < 1] if len(metrics) else pd.Series(dtype=float)
    return bool(len(norms) > 1 and norms.max() <= 1.001 * norms.min())


def moves_by_clipped_gradient(run: Run) -> bool:
    """Whether the length of each recorded update was lr times the clipped norm: plain SGD, and nothing besides it."""
    if is_watched(run):
        made_by = run.info.get("optimizer") or {}
        return made_by.get("name") == "SGD" and not (made_by.get("momentum") or made_by.get("weight_decay"))
    plain = run.config.get("optimizer") == "sgd" and not run.config.get("optimizer.momentum")
    updates = _updates(run) if plain else pd.DataFrame()
    if updates.empty:
        return False
    expected = updates["lr"] * updates["clipped_grad_norm"]
    # An update is measured as a difference of weights, which rounds it to float32's precision of the weights.
    allowed = 0.01 * expected + 1e-6 * updates["weight_norm"]
    return bool(((updates["update_norm"] - expected).abs() <= allowed).all())


def _updates(run: Run) -> pd.DataFrame:
    """The recorded updates whose numbers are finite: `update_norm`, `weight_norm` and columns of metrics.csv."""
    norms, metrics = update_norms(run), run.table("metrics")
    if norms.empty or metrics.empty:
        return pd.DataFrame()
    known = norms.join(metrics.set_index("step")[["grad_norm", "clipped_grad_norm", "lr"]], how="inner")
    finite: pd.DataFrame = known.loc[np.isfinite(known.to_numpy(float)).all(axis=1)]
    return finite


def describe_safe_threshold(run: Run) -> str:
    """Say at which threshold no recorded update would have exceeded the weights; empty if none did, or if not known."""
    threshold = safe_threshold(run)
    if threshold is None:
        return ""
    recorded = counted(len(_updates(run)), "recorded update")
    return f"with clip=norm at {threshold:g}, none of {recorded} would have been larger than the weights"


def safe_threshold(run: Run) -> float | None:
    """The largest threshold at which no recorded update would have exceeded the weights, to three digits.

    It is None if no update did, or if it is not known.

    An update of plain SGD is lr times the clipped norm, so a threshold of weight_norm / lr keeps it at the size of the
    weights. It must hold at each recorded step whose unclipped update would be larger. For other optimisers the update
    does not scale with the clipped norm.
    """
    if is_watched(run) or not moves_by_clipped_gradient(run):  # a watched loop has other parameters than its layers'
        return None
    updates = _updates(run)
    if not (updates["update_norm"] > updates["weight_norm"]).any():
        return None
    larger = updates[updates["lr"] * updates["grad_norm"] > updates["weight_norm"]]
    return _rounded_down(float((larger["weight_norm"] / larger["lr"]).min()))


def _rounded_down(value: float, digits: int = 3) -> float:
    """The largest number of some digits that is not above a positive value."""
    if not value:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    rounded = float(f"{math.floor(value / unit) * unit:.{digits}g}")
    return rounded if rounded <= value else float(f"{rounded - unit:.{digits}g}")


def describe_spikes(run: Run) -> str:
    """Say at how many steps the gradient norm left its running distribution, and where the largest spike comes from."""
    ratios, origins = spike_ratios(run), run.table("spikes")
    diverged = run.info.get("diverged_at_step")
    words = []
    if ratios:
        largest = max(ratios, key=lambda step: ratios[step])
        at = (
            f"at step {largest}"
            if len(ratios) == 1
            else f"at {counted(len(ratios), 'step')}, the farthest at {largest}"
        )
        words.append(
            f"the gradient norm left its running distribution {at}: {ratios[largest]:.3g} times the running median"
            f"{_origin(run, origins, largest)}"
        )
        if origins.empty:
            how = "spikes=True, or bptt watch --spikes," if is_watched(run) else "bptt replay RUN record.spikes=true"
            words.append(f"{how} shows where that comes from")
    if diverged is None and is_watched(run) and len(origins):
        lost = origins.loc[~np.isfinite(origins["grad_norm"].to_numpy(float)), "step"]
        diverged = None if lost.empty else lost.iloc[0]
    if diverged is not None and (where := _origin(run, origins, int(diverged)) or " (not traced)" * is_watched(run)):
        words.append(f"the gradient is not finite at step {diverged}{where}")
    return "; ".join(words)


def spike_ratios(run: Run) -> dict[int, float]:
    """The finite norms that left their running distribution: norm over running median, by step."""
    metrics = run.table("metrics")
    if run.is_probe or metrics.empty:
        return {}
    steps = metrics["step"].to_numpy()
    found = find_spikes(metrics["grad_norm"].to_numpy(float), float(run.config.get("record.spike_limit") or 6.0))
    rising = {int(steps[place]): spike for place, spike in found.items() if math.isfinite(spike.norm)}
    return {step: spike.norm / (spike.median or math.nan) for step, spike in rising.items()}


def _origin(run: Run, origins: pd.DataFrame, step: int) -> str:
    """Say where the spike of a step comes from, as the rest of a sentence; empty if it was not traced."""
    rows = origins[origins["step"] == step] if len(origins) else origins
    if rows.empty:
        return ""
    row = rows.iloc[0]
    words = []
    if not pd.isna(row["timestep"]):
        length = timesteps_of(run, int(row["layer"]))
        where = f"{row['timestep']:.0f} of {length}, in {layer_name(run, int(row['layer']))}, state {row['state']}"
        leaves = "leaves it at" if math.isfinite(row["grad_norm"]) else "is not finite from"
        words.append(f"going back from the end, it {leaves} timestep {where}")
    if not pd.isna(row["parameter_share"]):
        words.append(
            f"{parameter_name(run, row['parameter'])} has {percent(row['parameter_share'])} of its squared norm"
        )
    elif isinstance(row["parameter"], str):
        words.append(f"that of {parameter_name(run, row['parameter'])} is not finite")
    if not pd.isna(row["sample"]) and row["sample_share"] >= OUTLIER:
        words.append(
            f"sequence {row['sample']:.0f} of the batch, counted from 0, has {percent(row['sample_share'])} of the "
            "squared norms of all sequences"
        )
    return " (" + "; ".join(words) + ")" if words else ""
