"""How far runs are, read from their files: the same for every reader, while the runs are trained and afterwards."""

import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import DamagedRun
from experiments.store.config_keys import compared_keys, differing_keys, format_value
from experiments.store.files import complete_lines
from experiments.store.integrity import changed_inputs, damage_of
from experiments.store.locks import read_info
from experiments.store.plans import read_plans
from experiments.store.status import ENDED, FINISHED, SKIPPED
from experiments.store.studies import Run, read_runs
from experiments.store.unseen import say_unseen


@dataclass(frozen=True)
class FollowedRun:
    """A run whose progress is followed.

    Attributes:
        folder: Folder of the run.
        label: Name of the run for the user.
        steps: Number of steps that it takes in all; 0 if a watched training did not say.
    """

    folder: Path
    label: str
    steps: int


def follow_runs(runs: Sequence[Run], steps: Sequence[int]) -> list[FollowedRun]:
    """Follow some runs, each labelled with the configuration keys that tell it apart from the others.

    Args:
        runs: Runs to follow.
        steps: Number of steps of each run.
    """
    differing = set(differing_keys(runs))
    keys = [*compared_keys(runs), *(["seed"] if "seed" in differing else [])]
    labels = [" ".join(f"{key}={format_value(run.config.get(key))}" for key in keys) or run.id for run in runs]
    return [FollowedRun(run.folder, label, number) for run, label, number in zip(runs, labels, steps, strict=True)]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        run: The run.
        status: Status from run.json; 'waiting' if the run has not started.
        step: Last step on disk; 0 before the first.
        loss: Loss at that step.
        grad_norm: Gradient norm over all parameters at that step.
        seconds: Time that the run has taken so far.
        speed: Steps per second, since it was last resumed; 0 if not known.
        flow: Gradient norm by lag at the last recorded step, for the state h of layer 0.
        error: Error of a failed run; of a damaged run, what is wrong with it.
        kept: Whether the run had ended before it was followed.
        changed: Files that the run was made from and that have changed since, such as "leaky.py".
        stopped: Why a rule ended the run early, such as "solved"; empty if none did.
        unseen: Why a watched run has nothing of any layer; empty if it has.
    """

    run: FollowedRun
    status: str = "waiting"
    step: int = 0
    loss: float = math.nan
    grad_norm: float = math.nan
    seconds: float = 0.0
    speed: float = 0.0
    flow: Sequence[float] = ()
    error: str = ""
    kept: bool = False
    changed: str = ""
    stopped: str = ""
    unseen: str = ""

    @property
    def left(self) -> float:
        """Seconds until the run ends at its current speed; infinite if speed or steps are not known."""
        return max(0, self.run.steps - self.step) / self.speed if self.speed and self.run.steps else math.inf


def progress_of_study(study: Path) -> list[Progress]:
    """Read how far each run of a study is, and each planned run that has not started.

    The tables of runs that have ended are not read: there may be thousands.
    """
    runs = read_runs(study)
    steps = [int(run.config["probe.batches" if run.is_probe else "steps"] or 0) for run in runs]
    waiting = {name: planned for sweep in read_plans(study) for name, planned in sweep.runs.items()}
    progress = []
    for run, followed in zip(runs, follow_runs(runs, steps), strict=True):
        if planned := waiting.pop(run.folder.name, None):
            followed = replace(followed, label=planned.label)
        status = run.info["status"]
        last_step = _last_step(run.info, followed.steps) if status in FINISHED else 0
        ended = Progress(
            followed,
            status,
            last_step,
            seconds=run.info.get("seconds", 0.0),
            error=run.info.get("error", ""),
            changed=changed_inputs(run.info) if status in SKIPPED else "",
            stopped=run.info.get("stopped") or "",
            unseen="" if run.info["timesteps"] else say_unseen(run.info),
        )
        progress.append(progress_of(followed) if status == "running" else ended)
    for folder, what in runs.damaged:
        planned = waiting.pop(folder.name, None)
        label = f"{planned.label} ({folder.name})" if planned else folder.name
        progress.append(Progress(FollowedRun(folder, label, planned.steps if planned else 0), "damaged", error=what))
    return progress + [Progress(FollowedRun(study / "runs" / name, *planned)) for name, planned in waiting.items()]


class Follower:
    """Follows runs by looking at their files.

    A run that was interrupted before the follower was created counts as waiting until it is resumed.

    Args:
        runs: Runs to follow.
    """

    def __init__(self, runs: Sequence[FollowedRun]) -> None:
        self._stale: dict[Path, int] = {}
        self._ended: dict[Path, Progress] = {}
        self._runs = runs
        for run in runs:
            try:
                info = read_info(run.folder)
                if info.get("status") in SKIPPED and (what := damage_of(run.folder, info)):
                    raise DamagedRun(run.folder, what)
            except DamagedRun as error:
                self._ended[run.folder] = Progress(run, "damaged", error=error.what)
                continue
            if info.get("status") in SKIPPED:
                self._ended[run.folder] = Progress(
                    run,
                    info["status"],
                    _last_step(info, run.steps),
                    error=info.get("error", ""),
                    kept=True,
                    stopped=info.get("stopped") or "",
                )
            elif info.get("status") == "interrupted":
                self._stale[run.folder] = modified_at(run.folder)

    def look(self) -> list[Progress]:
        """Read how far each run is now."""
        return [self._look_at(run) for run in self._runs]

    def _look_at(self, run: FollowedRun) -> Progress:
        if run.folder in self._ended:
            return self._ended[run.folder]
        if modified_at(run.folder) == self._stale.get(run.folder, 0):
            return Progress(run)
        progress = progress_of(run)
        if progress.status in ENDED:
            self._ended[run.folder] = progress
        return progress


def modified_at(folder: Path) -> int:
    """Time at which the run's run.json was last written, in nanoseconds; 0 if there is none."""
    try:
        return (folder / "run.json").stat().st_mtime_ns
    except OSError:
        return 0


def progress_of(run: FollowedRun) -> Progress:
    """Read how far a run is, from run.json and the last rows of metrics.csv and gradients.csv."""
    try:
        info = read_info(run.folder)
    except DamagedRun:
        info = {}
    if not info:
        return Progress(run)
    rows = _last_rows(run.folder / "metrics.csv", 2_000)
    last: dict[str, Any] = {str(key): value for key, value in rows.iloc[-1].items()} if len(rows) else {}
    step = int(last.get("step", 0))
    before, since = 0, info["started"]
    for stage in info.get("continued", []):
        before, since = stage["after_step"], stage["at"]
    seconds = info.get("seconds") or _seconds_since(since)
    flow: Sequence[float] = ()
    if info["status"] == "running":
        gradients = _last_rows(run.folder / "gradients.csv", 30_000)
        if len(gradients):
            recorded = gradients[gradients["step"] == gradients["step"].iloc[-1]]
            recorded = recorded[(recorded["layer"] == 0) & (recorded["state"] == "h")]
            flow = recorded.sort_values("lag")["grad_norm"].tolist()
    return Progress(
        run,
        info["status"],
        step,
        float(last.get("loss", math.nan)),
        float(last.get("grad_norm", math.nan)),
        seconds,
        max(0, step - before) / seconds if seconds else 0.0,
        flow,
        info.get("error", ""),
        stopped=info.get("stopped") or "",
    )


def _last_step(info: Mapping[str, Any], steps: int) -> int:
    """The last step of a run that has ended: that at which it diverged or was stopped, or the last of all its steps."""
    return int(info.get("diverged_at_step") or info.get("stopped_at_step") or steps)


def _seconds_since(moment: str) -> float:
    """Seconds since a moment in ISO format, at least one: the moment is written in whole seconds."""
    return max(1.0, time.time() - datetime.fromisoformat(moment).timestamp())


def _last_rows(path: Path, size: int) -> pd.DataFrame:
    """The complete rows in the last `size` bytes of a table; empty if there are none yet."""
    try:
        with path.open("rb") as file:
            header = file.readline()
            begin = file.tell()
            end = file.seek(0, io.SEEK_END)
            file.seek(max(begin, end - size))
            tail = file.read()
    except FileNotFoundError:
        return pd.DataFrame()
    if end - size > begin:
        tail = tail[tail.find(b"\n") + 1 :]
    tail = complete_lines(tail)
    return pd.read_csv(io.BytesIO(header + tail)) if tail else pd.DataFrame()
