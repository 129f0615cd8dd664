"""From the CSV files of a study's runs to summary.csv. Reads files only, and imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from experiments.errors import UsageError
from experiments.results import Value, read_csv, read_json, to_csv, write_whole

ALWAYS = ("cell", "task", "task.length", "clip", "clip.threshold", "seed")
"""The configuration keys that summary.csv has even where they do not differ."""

STATES = ("run_id", "layer", "state", "gain_per_timestep", "gain_at_init", "horizon")
"""The columns of states.csv."""


@dataclass(frozen=True)
class Run:
    """A run's folder, as far as it is written.

    Attributes:
        folder: its name is the run's id.
        config: the configuration, flat: 'cell' is the choice's name, 'task.length' its option.
        info: what run.json holds.
    """

    folder: Path
    config: Mapping[str, Value]
    info: Mapping[str, Any] = field(repr=False)

    def table(self, name: str) -> pd.DataFrame:
        """NAME.csv; empty where the run has none."""
        try:
            return read_csv(self.folder / f"{name}.csv")
        except (FileNotFoundError, pd.errors.EmptyDataError):
            return pd.DataFrame()


def find_study(study: str, results_dir: str) -> Path:
    """The folder of a study, given by its name in results_dir or by its path.

    Raises:
        UsageError: there is none with runs in it.
    """
    for folder in (Path(results_dir) / study, Path(study)):
        if (folder / "runs").is_dir():
            return folder
    known = sorted(folder.parent.name for folder in Path(results_dir).glob("*/runs"))
    there = f"there is {', '.join(known)}" if known else "run `bptt run` or `bptt sweep` first"
    raise UsageError(f"{study}: no study of this name in {results_dir}, and no such folder; {there}")


def read_runs(study: Path) -> list[Run]:
    """All runs of a study, by id; folders in which a run has only just begun are left out."""
    runs = []
    for folder in sorted((study / "runs").iterdir()):
        info = read_json(folder / "run.json")
        if info:
            text = (folder / ".hydra" / "config.yaml").read_text(encoding="utf-8")
            runs.append(Run(folder, _flat(yaml.load(text, Loader=yaml.CSafeLoader)), info))
    return runs


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """{'cell': {'name': 'lstm', 'forget_bias': 1}} as {'cell': 'lstm', 'cell.forget_bias': 1}."""
    flat: dict[str, Value] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key == "name" and prefix:
            flat[prefix.removesuffix(".")] = value
        elif not key.startswith("_") and key != "results_dir":
            flat[prefix + key] = value
    return flat


def differing_keys(runs: Sequence[Run]) -> list[str]:
    """The configuration keys that have several values among those runs that have them, in the order of the config."""
    keys = dict.fromkeys(key for run in runs for key in run.config if key != "study")
    return [key for key in keys if len({run.config[key] for run in runs if key in run.config}) > 1]


def compared_keys(runs: Sequence[Run]) -> list[str]:
    """The keys that tell the runs apart: those that differ, but not the seed, nor options that only follow a choice.

    clip.threshold does, where it has one value for each choice of clip.
    """

    def follows(key: str) -> bool:
        group = key.partition(".")[0]
        by_choice: dict[Value, set[Value]] = {}
        for run in runs:
            by_choice.setdefault(run.config.get(group), set()).add(run.config.get(key))
        return group != key and len(by_choice) > 1 and all(len(values) == 1 for values in by_choice.values())

    return [key for key in differing_keys(runs) if key != "seed" and not follows(key)]


def summarize(study: Path, runs: Sequence[Run] | None = None) -> pd.DataFrame:
    """Write summary.csv, a row a run, and states.csv, a row for each state of each layer; return the summary.

    Args:
        study: its folder.
        runs: of the study, if they are read already.
    """
    runs = read_runs(study) if runs is None else runs
    keys = list(dict.fromkeys([*ALWAYS, *differing_keys(runs)]))
    rows: list[dict[str, Value]] = []
    state_rows: list[dict[str, Value]] = []
    for run in runs:
        gradients = run.table("gradients")
        config = {key: run.config.get(key) for key in keys}
        rows.append({"run_id": run.folder.name, "status": run.info["status"], **config, **_outcome(run, gradients)})
        state_rows += _states(run, gradients)
    summary = pd.DataFrame(rows, dtype=object)
    states = pd.DataFrame(state_rows, columns=STATES, dtype=object)
    write_whole(study / "summary.csv", to_csv(summary))
    write_whole(study / "states.csv", to_csv(states))
    return summary


def _states(run: Run, gradients: pd.DataFrame) -> list[dict[str, Value]]:
    """Gain and horizon of every layer's every state in gradients.csv, as summary.csv has them for h of layer 0."""
    if gradients.empty:
        return []
    rows: list[dict[str, Value]] = []
    for layer, state in sorted(set(zip(gradients["layer"], gradients["state"], strict=True))):
        first, last = gradient_profiles(gradients, layer, state)
        known = {"run_id": run.folder.name, "layer": int(layer), "state": state}
        rows.append({**known, **_flow(first, last, run.info["timesteps"])})
    return rows


def _flow(first: pd.Series, last: pd.Series, timesteps: int) -> dict[str, Value]:
    """The columns that say how the gradient flows, from the profiles of the first and the last recorded step."""
    return {
        "gain_per_timestep": gain_per_timestep(last),
        "gain_at_init": gain_per_timestep(first),
        "horizon": horizon(last, timesteps),
    }


def _outcome(run: Run, gradients: pd.DataFrame) -> dict[str, Value]:
    """The numbers of summary.csv for one run; None where one cannot be had."""
    metrics, evaluation = run.table("metrics"), run.table("evaluation")
    first, last = gradient_profiles(gradients)
    if run.info.get("kind") == "probe":
        last = jacobian_profile(run.table("jacobian"))
    solved = evaluation["solved"].dropna() if len(evaluation) else pd.Series(dtype=float)
    return {
        "final_loss": _float(metrics["loss"].iloc[-1]) if len(metrics) else None,
        "best_error": _float(evaluation["error"].min()) if len(evaluation) else None,
        "chance_error": _float(evaluation["chance_error"].iloc[0]) if len(evaluation) else None,
        "solved": int(solved.max()) if len(solved) else None,
        "solved_at_step": int(evaluation["step"][evaluation["solved"] == 1].min()) if solved.any() else None,
        "diverged_at_step": run.info.get("diverged_at_step"),
        **_flow(first, last, run.info["timesteps"]),
        "max_grad_norm": _float(metrics["grad_norm"].max()) if len(metrics) else None,
        "clipped_fraction": _float((metrics["clip_scale"].dropna() < 1).mean()) if len(metrics) else None,
        "parameters": run.info["parameters"],
        "seconds": run.info.get("seconds"),
        "kind": run.info.get("kind", "training"),
    }


def gradient_profiles(gradients: pd.DataFrame, layer: int = 0, state: str = "h") -> tuple[pd.Series, pd.Series]:
    """grad_norm of one state by lag: at the first and at the last recorded step. Layer 0 reads the input."""
    if gradients.empty:
        return pd.Series(dtype=float), pd.Series(dtype=float)
    rows = gradients[(gradients["layer"] == layer) & (gradients["state"] == state)]
    by_lag = [
        rows[rows["step"] == step].set_index("lag")["grad_norm"].sort_index()
        for step in (rows["step"].min(), rows["step"].max())
    ]
    return by_lag[0], by_lag[1]


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


def _float(value: Any) -> float | None:
    """A plain number; None for a missing one."""
    return None if pd.isna(value) else float(value)


def read_tables(runs: Sequence[Run], name: str) -> pd.DataFrame:
    """One table of many runs, one below the other, with run_id, config keys and theory's gain of each."""
    frames = []
    for run in runs:
        frame = run.table(name)
        if len(frame):
            theory = run.info.get("theory") or {}
            known = {"run_id": run.folder.name, **run.config}
            known |= {f"theory_{key}": theory.get(key) for key in ("state", "gain", "bound")}
            extra = pd.DataFrame(known, index=frame.index)
            frames.append(pd.concat([frame, extra.drop(columns=frame.columns, errors="ignore")], axis=1))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
