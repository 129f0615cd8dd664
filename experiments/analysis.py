"""From the CSV files of a study's runs to summary.csv. Reads files only, and imports no torch."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.results import Value, to_csv, write_whole
from experiments.study import Run, differing_keys, read_runs, read_tables

ALWAYS = ("cell", "task", "task.length", "clip", "clip.threshold", "seed")
"""The configuration keys that summary.csv has even where they do not differ."""

STATES = ("run_id", "layer", "state", "gain_per_timestep", "gain_at_init", "horizon", "horizon_at_init")
"""The columns of states.csv."""


def summarize(study: Path, runs: Sequence[Run] | None = None) -> pd.DataFrame:
    """Write summary.csv, a row a run, and states.csv, a row for each state of each layer; return the summary.

    Args:
        study: its folder.
        runs: of the study, if they are read already.
    """
    summary, states = outcomes(read_runs(study) if runs is None else runs)
    write_whole(study / "summary.csv", to_csv(summary))
    write_whole(study / "states.csv", to_csv(states))
    return summary


def outcomes(runs: Sequence[Run]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of summary.csv and of states.csv for some runs."""
    keys = list(dict.fromkeys([*ALWAYS, *differing_keys(runs)]))
    names = ("metrics", "evaluation", "gradients", "jacobian")
    tables = zip(*(_split(read_tables(runs, name), runs) for name in names), strict=True)
    rows: list[dict[str, Value]] = []
    state_rows: list[dict[str, Value]] = []
    for run, (metrics, evaluation, gradients, jacobian) in zip(runs, tables, strict=True):
        config = {key: run.config.get(key) for key in keys}
        outcome = _outcome(run, metrics, evaluation, gradients, jacobian)
        rows.append({"run_id": run.id, "status": run.info["status"], **config, **outcome})
        state_rows += _states(run, gradients)
    return pd.DataFrame(rows, dtype=object), pd.DataFrame(state_rows, columns=STATES, dtype=object)


def _split(table: pd.DataFrame, runs: Sequence[Run]) -> list[pd.DataFrame]:
    """The part of each run, empty where it has none; the table has the runs in their order."""
    if table.empty:
        return [table] * len(runs)
    number = {run.id: i for i, run in enumerate(runs)}
    bounds = np.searchsorted(table["run_id"].map(number).to_numpy(), np.arange(len(runs) + 1))
    return [table.iloc[begin:end] for begin, end in pairwise(bounds)]


def _states(run: Run, gradients: pd.DataFrame) -> list[dict[str, Value]]:
    """Gain and horizon of every layer's every state in gradients.csv, as summary.csv has them for h of layer 0."""
    if gradients.empty:
        return []
    rows: list[dict[str, Value]] = []
    for layer, state in sorted(set(zip(gradients["layer"], gradients["state"], strict=True))):
        first, last = gradient_profiles(gradients, layer, state)
        rows.append({"run_id": run.id, "layer": int(layer), "state": state, **_flow(run, first, last)})
    return rows


def _flow(run: Run, first: pd.Series, last: pd.Series) -> dict[str, Value]:
    """The columns that say how the gradient flows, from the profiles of the first and the last recorded step."""
    return {
        "gain_per_timestep": gain_per_timestep(last),
        "gain_at_init": gain_per_timestep(first),
        "horizon": horizon(last, run.info["timesteps"]),
        "horizon_at_init": horizon(first, run.info["timesteps"]),
    }


def _outcome(
    run: Run, metrics: pd.DataFrame, evaluation: pd.DataFrame, gradients: pd.DataFrame, jacobian: pd.DataFrame
) -> dict[str, Value]:
    """The numbers of summary.csv for one run; None where one cannot be had."""
    first, last = gradient_profiles(gradients)
    if run.is_probe:
        last = jacobian_profile(jacobian)
    solved = evaluation["solved"].dropna().to_numpy() if len(evaluation) else np.array([])
    scales = metrics["clip_scale"].dropna().to_numpy() if len(metrics) else np.array([])
    return {
        "final_loss": _float(metrics["loss"].iloc[-1]) if len(metrics) else None,
        "best_error": _float(evaluation["error"].min()) if len(evaluation) else None,
        "chance_error": _float(evaluation["chance_error"].iloc[0]) if len(evaluation) else None,
        "solved": int(solved.max()) if len(solved) else None,
        "solved_at_step": int(evaluation["step"][evaluation["solved"] == 1].min()) if solved.any() else None,
        "diverged_at_step": run.info.get("diverged_at_step"),
        **_flow(run, first, last),
        "max_grad_norm": _float(metrics["grad_norm"].max()) if len(metrics) else None,
        "clipped_fraction": float((scales < 1).mean()) if len(scales) else None,
        "parameters": run.info["parameters"],
        "seconds": run.info.get("seconds"),
        "kind": run.info.get("kind", "training"),
    }


def gradient_profiles(gradients: pd.DataFrame, layer: int = 0, state: str = "h") -> tuple[pd.Series, pd.Series]:
    """grad_norm of one state by lag: at the first and at the last recorded step. Layer 0 reads the input."""
    if gradients.empty:
        return pd.Series(dtype=float), pd.Series(dtype=float)
    of_state = ((gradients["layer"] == layer) & (gradients["state"] == state)).to_numpy()
    step, lag, norm = (gradients[column].to_numpy()[of_state] for column in ("step", "lag", "grad_norm"))
    at = [step == end for end in ((step.min(), step.max()) if len(step) else ())] or [np.array([], bool)] * 2
    first, last = (pd.Series(norm[rows], index=lag[rows]).sort_index() for rows in at)
    return first, last


def gain_by_step(gradients: pd.DataFrame, layer: int = 0, state: str = "h") -> pd.Series:
    """The gain per timestep of one state at each recorded step of one run; nan where there is none."""
    of_state = ((gradients["layer"] == layer) & (gradients["state"] == state)).to_numpy()
    step, lag, norm = (gradients[column].to_numpy()[of_state] for column in ("step", "lag", "grad_norm"))
    gains = {at: gain_per_timestep(pd.Series(norm[step == at], index=lag[step == at]).sort_index()) for at in set(step)}
    return pd.Series(gains, dtype=float).sort_index()


def jacobian_profile(jacobian: pd.DataFrame) -> pd.Series:
    """The root mean squared singular value of ds_T/ds_t in layer 0, by lag."""
    if jacobian.empty:
        return pd.Series(dtype=float)
    by_lag = jacobian[jacobian["layer"] == 0].set_index("lag")["log10_mean_squared_sv"].sort_index()
    return 10 ** (by_lag / 2)


def gain_per_timestep(profile: pd.Series) -> float | None:
    """exp of the least-squares slope of ln grad_norm against lag.

    From lag 0 back to where the norm is 0 (underflow) or not finite: beyond that it has no logarithm. None where fewer
    than two points are left.

    Args:
        profile: grad_norm by lag, rising.
    """
    usable = (profile > 0) & np.isfinite(profile)
    reach = len(profile) if usable.all() else int(np.argmin(usable))
    if reach < 2:
        return None
    lags, logs = profile.index[:reach].to_numpy(float), np.log(profile.iloc[:reach].to_numpy(float))
    lags, logs = lags - lags.mean(), logs - logs.mean()
    return float(np.exp(lags @ logs / (lags @ lags)))


def horizon(profile: pd.Series, timesteps: int) -> int | None:
    """The largest lag at which grad_norm is still at least 1e-3 of its value at lag 0; T - 1 when it never falls below.

    It is as fine as the windows: only the recorded lags are looked at.
    """
    if profile.empty or not np.isfinite(profile.iloc[0]) or profile.iloc[0] == 0:
        return None
    reached = profile >= 1e-3 * profile.iloc[0]
    return timesteps - 1 if reached.all() else int(profile.index[reached].max())


def wilson(successes: np.ndarray, trials: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % score interval of a proportion (Wilson 1927): in place also at 0, at 1 and for few trials.

    Args:
        successes: how many succeeded.
        trials: out of how many, at least 1.
        z: the normal quantile; 1.96 is that of 95 %.
    """
    share, spread = successes / trials, z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return centre - half, centre + half


def _float(value: Any) -> float | None:
    """A plain number; None for a missing one."""
    return None if pd.isna(value) else float(value)
