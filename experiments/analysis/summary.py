"""Building summary.csv and states.csv of a study from the CSV files of its runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.analysis.gain_and_horizon import (
    NOTHING,
    Profile,
    arriving,
    gain_per_timestep,
    gradient_profiles,
    horizon,
    jacobian_profile,
)
from experiments.analysis.single_losses import average_over_losses, has_several_losses
from experiments.store.combined_tables import read_combined_table
from experiments.store.config_keys import differing_keys
from experiments.store.files import Value, to_csv, write_whole
from experiments.store.studies import Run, read_runs

ALWAYS = ("cell", "task", "task.length", "clip", "clip.threshold", "seed")
"""Configuration keys that summary.csv always has, even if they do not differ between runs."""

Arrays = Mapping[str, np.ndarray]
"""The columns of one run's table; {} if it has no rows."""

READ = {
    "metrics": ("loss", "grad_norm", "clip_scale"),
    "evaluation": ("step", "error", "solved", "chance_error", "samples"),
    "gradients": ("step", "layer", "state", "lag", "grad_norm", "underflow"),
    "jacobian": ("layer", "lag", "log10_mean_squared_sv"),
    "lyapunov": ("layer", "exponent"),
}
"""The tables, and the columns of each, that summary.csv is computed from."""

SUMMARIZED = (*READ, "lags")
"""The tables that summary.csv and states.csv are computed from."""

BY_LAG = ("step", "layer", "state", "lag", "grad_norm")
"""The columns of `average_over_losses` that show how far back a gradient reaches."""

NEVER_BLOCKING = (None, "none", "omega", "gradient_noise", "flossing")
"""Remedies that leave the way of the gradient back as it is; others may block a state at some timesteps."""

FLOW = (
    *("gain_per_timestep", "gain_at_init", "horizon", "horizon_at_init", "horizon_resolution"),
    *("arriving", "arriving_at_init"),
)
"""The columns on how the gradient flows back; for a task with a loss at several timesteps they come from lags.csv."""

UNKNOWN: dict[str, Value] = dict.fromkeys(FLOW)

NORMS = {"median_grad_norm": 0.5, "p90_grad_norm": 0.9, "p99_grad_norm": 0.99, "max_grad_norm": 1.0}
"""The quantiles of grad_norm over the steps of metrics.csv."""

STATES = ("run_id", "layer", "state", *FLOW)
"""The columns of states.csv."""


def write_summary(study: Path, runs: Sequence[Run] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write summary.csv, with a row per run, and states.csv, with a row per state of each layer.

    Args:
        study: Folder of the study.
        runs: Runs of the study, if they have been read already.

    Returns:
        The two tables.
    """
    summary, states = summarize_runs(read_runs(study) if runs is None else runs)
    write_whole(study / "summary.csv", to_csv(summary))
    write_whole(study / "states.csv", to_csv(states))
    return summary, states


def summarize_runs(
    runs: Sequence[Run], read: Callable[..., pd.DataFrame] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute the rows of summary.csv and of states.csv for some runs.

    Args:
        runs: Runs to summarize.
        read: Function that returns a table of these runs by name, like `read_combined_table`; None reads the files.
    """
    keys = list(dict.fromkeys([*ALWAYS, *differing_keys(runs)]))
    read = read or partial(read_combined_table, runs)
    tables = zip(
        *(_split(read(name, ends=name == "gradients"), runs, columns) for name, columns in READ.items()), strict=True
    )
    several = any(map(has_several_losses, runs))
    lags = _split(average_over_losses(read("lags", ends=True)) if several else pd.DataFrame(), runs, BY_LAG)
    rows: list[dict[str, Value]] = []
    state_rows: list[dict[str, Value]] = []
    for run, (metrics, evaluation, gradients, jacobian, lyapunov), of_losses in zip(runs, tables, lags, strict=True):
        config = {key: run.config.get(key) for key in keys}
        flows = _flows(run, gradients, of_losses)
        outcome = _outcome(run, metrics, evaluation, flows.get((0, "h"), UNKNOWN), jacobian)
        outcome |= _underflow(run, gradients) | {"largest_exponent": _largest_exponent(lyapunov)}
        rows.append({"run_id": run.id, "status": run.info["status"], **config, **outcome})
        state_rows += [{"run_id": run.id, "layer": of[0], "state": of[1], **flow} for of, flow in flows.items()]
    return pd.DataFrame(rows, dtype=object), pd.DataFrame(state_rows, columns=STATES, dtype=object)


def _split(table: pd.DataFrame, runs: Sequence[Run], names: Sequence[str]) -> list[Arrays]:
    """Split a table into the rows of each run, as arrays: thousands of DataFrames would be slow.

    Args:
        table: Rows of all runs, in the order of the runs.
        runs: Those runs.
        names: Columns to keep.
    """
    if table.empty:
        return [{}] * len(runs)
    number = {run.id: i for i, run in enumerate(runs)}
    bounds = np.searchsorted(table["run_id"].map(number).to_numpy(), np.arange(len(runs) + 1))
    columns = {name: table[name].to_numpy() for name in names}
    return [
        {name: column[begin:end] for name, column in columns.items()} if end > begin else {}
        for begin, end in pairwise(bounds)
    ]


Flow = dict[str, Value]
"""The values of the columns `FLOW`."""


def _flows(run: Run, gradients: Arrays, lags: Arrays) -> dict[tuple[int, str], Flow]:
    """Compute gain and horizon of every recorded state of every layer.

    If the task has a loss at several timesteps, each loss adds a gradient of its own, and the sum in gradients.csv does
    not show how far any of them reaches. The values are then those of the mean over single losses, and empty without
    lags.csv.

    Args:
        run: The run.
        gradients: Its gradients.csv.
        lags: Its lags.csv, averaged over the losses.
    """
    several = has_several_losses(run)
    recorded = [table for table in (gradients, lags if several else {}) if table]
    states = {of for table in recorded for of in zip(table["layer"].tolist(), table["state"].tolist(), strict=True)}
    by_lag = lags if several else gradients
    return {
        (layer, state): _flow(run, *gradient_profiles(by_lag, layer, state)) if by_lag else UNKNOWN
        for layer, state in sorted(states)
    }


def smallest_normal(run: Run) -> float:
    """The smallest positive normal number of the run's gradients; a probe computes in float64."""
    dtype = "float64" if run.is_probe else run.config.get("dtype")
    return float(np.finfo(np.float64 if dtype == "float64" else np.float32).tiny)


def reachable(run: Run) -> int:
    """The number of timesteps that the gradient of a loss can reach: all of them, or those of truncation=K."""
    length: int = run.info["timesteps"]
    truncation = run.config.get("truncation")
    return length if truncation is None else min(length, int(truncation))


def reached_by_any_loss(run: Run) -> int:
    """The number of timesteps, counted back from the end, that the gradient of some loss reaches."""
    length, losses = int(run.info["timesteps"]), int(run.info["readout_steps"])
    return min(length, math.ceil(losses / reachable(run)) * reachable(run))


def _flow(run: Run, first: Profile, last: Profile, within: int | None = None) -> Flow:
    """Compute the columns `FLOW` from the profiles of the first and the last recorded step.

    Args:
        run: The run.
        first: Profile of the first recorded step.
        last: Profile of the last recorded step.
        within: Number of timesteps that the profiles can reach; None for those that a gradient can reach.
    """
    smallest, within = smallest_normal(run), within or reachable(run)
    before, after = (horizon(profile.within(within), within, smallest) for profile in (first, last))
    return {
        "gain_per_timestep": gain_per_timestep(last),
        "gain_at_init": gain_per_timestep(first),
        "horizon": after.lag,
        "horizon_at_init": before.lag,
        "horizon_resolution": after.resolution,
        "arriving": arriving(last),
        "arriving_at_init": arriving(first),
    }


def _outcome(run: Run, metrics: Arrays, evaluation: Arrays, flow: Flow, jacobian: Arrays) -> dict[str, Value]:
    """Compute the columns of summary.csv for one run; values that are not known are None.

    Args:
        run: The run.
        metrics: Its metrics.csv.
        evaluation: Its evaluation.csv.
        flow: The columns `FLOW` of the state h in layer 0.
        jacobian: Its jacobian.csv.
    """
    if run.is_probe:
        products = _flow(run, NOTHING, jacobian_profile(jacobian), run.info["timesteps"])
        flow = flow | {key: value for key, value in products.items() if not key.endswith("_at_init")}
    loss, norms, scales = (_column(metrics, name) for name in ("loss", "grad_norm", "clip_scale"))
    errors, solved = _known(_column(evaluation, "error")), _column(evaluation, "solved") == 1
    norms, scales = _known(norms), _known(scales)
    return {
        "final_loss": float(loss[-1]) if len(loss) else None,
        "best_error": float(errors.min()) if len(errors) else None,
        "chance_error": _float(evaluation["chance_error"][0]) if evaluation else None,
        "evaluation_samples": _samples(run, evaluation),
        "solved": int(solved.any()) if len(_known(_column(evaluation, "solved"))) else None,
        "solved_at_step": int(evaluation["step"][solved].min()) if solved.any() else None,
        "diverged_at_step": run.info.get("diverged_at_step"),
        "stopped": run.info.get("stopped"),
        "stopped_at_step": run.info.get("stopped_at_step"),
        **flow,
        **{name: _quantile(norms, share) for name, share in NORMS.items()},
        "overflow_at_timestep": (run.info.get("overflow") or {}).get("timestep"),
        "clipped_fraction": float((scales < 1).mean()) if len(scales) else None,
        "nonfinite_steps": None if run.is_probe or "watched" in run.info or not metrics else len(loss) - len(scales),
        "parameters": run.info["parameters"],
        "seconds": run.info.get("seconds"),
        "processor_seconds": run.info.get("processor_seconds"),
        "kind": run.info.get("kind", "training"),
    }


def _underflow(run: Run, gradients: Arrays) -> dict[str, Value]:
    """Compute the share of gradient entries that were denormal or 0, at the first and the last recorded step.

    Gradients that are 0 for another reason are left out; see `can_underflow`.
    """
    step, shares = (_column(gradients, name) for name in ("step", "underflow"))
    reached = can_underflow(run, gradients) if gradients else slice(None)
    step, shares = step[reached], shares[reached]
    if not len(_known(shares)):
        return {"underflow_at_init": None, "underflow": None}
    first, last = (float(shares[step == end].mean()) for end in (step.min(), step.max()))
    return {"underflow_at_init": first, "underflow": last}


def _largest_exponent(lyapunov: Arrays) -> float | None:
    """The largest Lyapunov exponent of layer 0, in nats per timestep; None if it is not known."""
    layer, exponents = (_column(lyapunov, name) for name in ("layer", "exponent"))
    known = _known(exponents[layer == 0])
    return float(known.max()) if len(known) else None


def can_underflow(run: Run, gradients: Arrays | pd.DataFrame) -> np.ndarray:
    """Which rows of gradients.csv can be 0 only because their values are too small, or those of inactive relu units.

    Left out are the timesteps that truncation keeps every loss from reaching, and the states that only the read-out
    uses: their gradient is exactly 0 before the last timestep, while that of another state in the layer is not. With a
    remedy that may block a state at single timesteps, such as h_detach, the same holds for each timestep.

    Args:
        run: The run.
        gradients: Its gradients.csv, by column.
    """
    step, layer, state, lag, norm = (np.asarray(gradients[name]) for name in BY_LAG)
    reached: np.ndarray = lag < reached_by_any_loss(run)
    earlier = reached & (lag > 0)
    flows = set(zip(layer[earlier & (norm != 0)], state[earlier & (norm != 0)], strict=True))
    layers = {of[0] for of in flows}
    read = [of in flows or of[0] not in layers for of in zip(layer, state, strict=True)]
    reached &= np.array(read, dtype=bool)
    if run.config.get("remedy") not in NEVER_BLOCKING:
        places = list(zip(step, layer, lag, strict=True))
        with_gradient = {place for place, size in zip(places, norm, strict=True) if size != 0}
        blocked = [size == 0 and place in with_gradient for place, size in zip(places, norm, strict=True)]
        reached &= ~np.array(blocked, dtype=bool)
    return reached


def _quantile(values: np.ndarray, share: float) -> float | None:
    """The smallest of the values that is at least as large as this share of them."""
    return float(np.quantile(values, share, method="inverted_cdf")) if len(values) else None


def _samples(run: Run, evaluation: Arrays) -> Value:
    """Number of sequences that an error is averaged over; older files do not record it, so it is the configured one."""
    if not evaluation:
        return None
    known = _known(_column(evaluation, "samples"))
    return int(known[0]) if len(known) else run.config.get("record.evaluate_samples")


def _column(table: Arrays, name: str) -> np.ndarray:
    return np.asarray(table[name] if table else [], float)


def _known(values: np.ndarray) -> np.ndarray:
    """Drop the missing values."""
    known: np.ndarray = values[~np.isnan(values)]
    return known


def _float(value: float) -> float | None:
    """Convert to a plain number; a missing one becomes None."""
    return None if np.isnan(value) else float(value)
