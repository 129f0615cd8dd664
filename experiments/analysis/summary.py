"""From the CSV files of a study's runs to summary.csv. Reads files only, and imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.analysis.gradient_profile import (
    NOTHING,
    Profile,
    arriving,
    gain_per_timestep,
    gradient_profiles,
    horizon,
    jacobian_profile,
)
from experiments.store.config_keys import differing_keys
from experiments.store.files import Value, to_csv, write_whole
from experiments.store.reading import read_tables
from experiments.store.studies import Run, read_runs

ALWAYS = ("cell", "task", "task.length", "clip", "clip.threshold", "seed")
"""The configuration keys that summary.csv has even where they do not differ."""

Arrays = Mapping[str, np.ndarray]
"""The columns of one run's table; {} where it has no rows."""

READ = {
    "metrics": ("loss", "grad_norm", "clip_scale"),
    "evaluation": ("step", "error", "solved", "chance_error", "samples"),
    "gradients": ("step", "layer", "state", "lag", "grad_norm", "underflow"),
    "jacobian": ("layer", "lag", "log10_mean_squared_sv"),
}
"""The tables, and the columns of each, that summary.csv is made from."""

FLOW = (
    *("gain_per_timestep", "gain_at_init", "horizon", "horizon_at_init", "horizon_resolution"),
    *("arriving", "arriving_at_init"),
)
"""The columns that say how the gradient flows back; empty for a task with a loss at several timesteps."""

UNKNOWN: dict[str, Value] = dict.fromkeys(FLOW)

NORMS = {"median_grad_norm": 0.5, "p90_grad_norm": 0.9, "p99_grad_norm": 0.99, "max_grad_norm": 1.0}
"""The quantiles of grad_norm over the steps of metrics.csv."""

STATES = ("run_id", "layer", "state", *FLOW)
"""The columns of states.csv."""


def summarize(study: Path, runs: Sequence[Run] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write summary.csv, a row a run, and states.csv, a row for each state of each layer; return both.

    Args:
        study: its folder.
        runs: of the study, if they are read already.
    """
    summary, states = outcomes(read_runs(study) if runs is None else runs)
    write_whole(study / "summary.csv", to_csv(summary))
    write_whole(study / "states.csv", to_csv(states))
    return summary, states


def outcomes(runs: Sequence[Run], read: Callable[..., pd.DataFrame] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of summary.csv and of states.csv for some runs.

    Args:
        runs: of a study.
        read: gives a table of these runs, as `read_tables` does, where some are read already.
    """
    keys = list(dict.fromkeys([*ALWAYS, *differing_keys(runs)]))
    read = read or partial(read_tables, runs)
    tables = zip(
        *(_split(read(name, ends=name == "gradients"), runs, columns) for name, columns in READ.items()), strict=True
    )
    rows: list[dict[str, Value]] = []
    state_rows: list[dict[str, Value]] = []
    for run, (metrics, evaluation, gradients, jacobian) in zip(runs, tables, strict=True):
        config = {key: run.config.get(key) for key in keys}
        flows = _flows(run, gradients)
        outcome = _outcome(run, metrics, evaluation, flows.get((0, "h"), UNKNOWN), jacobian) | _underflow(gradients)
        rows.append({"run_id": run.id, "status": run.info["status"], **config, **outcome})
        state_rows += [{"run_id": run.id, "layer": of[0], "state": of[1], **flow} for of, flow in flows.items()]
    return pd.DataFrame(rows, dtype=object), pd.DataFrame(state_rows, columns=STATES, dtype=object)


def _split(table: pd.DataFrame, runs: Sequence[Run], names: Sequence[str]) -> list[Arrays]:
    """The part of each run; the table has the runs in their order. As arrays: thousands of frames would be slow."""
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


def _flows(run: Run, gradients: Arrays) -> dict[tuple[int, str], Flow]:
    """Gain and horizon of every layer's every state in gradients.csv.

    Empty where the loss is at several timesteps: each adds a gradient of its own, and the sum does not show how far any
    of them reaches.
    """
    if not gradients:
        return {}
    states = sorted(set(zip(gradients["layer"].tolist(), gradients["state"].tolist(), strict=True)))
    if run.info["readout_steps"] > 1:
        return dict.fromkeys(states, UNKNOWN)
    return {(layer, state): _flow(run, *gradient_profiles(gradients, layer, state)) for layer, state in states}


def smallest_normal(run: Run) -> float:
    """The smallest positive normal number that a gradient of this run can hold; a probe computes in float64."""
    dtype = "float64" if run.is_probe else run.config.get("dtype")
    return float(np.finfo(np.float64 if dtype == "float64" else np.float32).tiny)


def _flow(run: Run, first: Profile, last: Profile) -> Flow:
    """From the profiles of the first and the last recorded step."""
    smallest = smallest_normal(run)
    before, after = (horizon(profile, run.info["timesteps"], smallest) for profile in (first, last))
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
    """The numbers of summary.csv for one run, with the flow of h in layer 0; None where one cannot be had."""
    if run.is_probe:
        products = _flow(run, NOTHING, jacobian_profile(jacobian))
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
        **flow,
        **{name: _quantile(norms, share) for name, share in NORMS.items()},
        "overflow_at_timestep": (run.info.get("overflow") or {}).get("timestep"),
        "clipped_fraction": float((scales < 1).mean()) if len(scales) else None,
        "parameters": run.info["parameters"],
        "seconds": run.info.get("seconds"),
        "kind": run.info.get("kind", "training"),
    }


def _underflow(gradients: Arrays) -> dict[str, Value]:
    """The share of the recorded gradients' entries that were denormal or 0, at the first and the last recorded step."""
    step, shares = (_column(gradients, name) for name in ("step", "underflow"))
    if not len(_known(shares)):
        return {"underflow_at_init": None, "underflow": None}
    first, last = (float(shares[step == end].mean()) for end in (step.min(), step.max()))
    return {"underflow_at_init": first, "underflow": last}


def _quantile(values: np.ndarray, share: float) -> float | None:
    """The smallest of the values that is at least as large as this share of them."""
    return float(np.quantile(values, share, method="inverted_cdf")) if len(values) else None


def _samples(run: Run, evaluation: Arrays) -> Value:
    """How many sequences an error is the mean of: as many as were asked for, where the file does not say it."""
    if not evaluation:
        return None
    known = _known(_column(evaluation, "samples"))
    return int(known[0]) if len(known) else run.config.get("record.evaluate_samples")


def _column(table: Arrays, name: str) -> np.ndarray:
    return np.asarray(table[name] if table else [], float)


def _known(values: np.ndarray) -> np.ndarray:
    """Without the missing ones."""
    known: np.ndarray = values[~np.isnan(values)]
    return known


def _float(value: float) -> float | None:
    """A plain number; None for a missing one."""
    return None if np.isnan(value) else float(value)
