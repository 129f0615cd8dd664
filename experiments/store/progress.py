"""How far runs are, as their files tell: the same for whoever looks, from wherever, while they run and afterwards."""

import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import DamagedRun
from experiments.store.config_keys import compared_keys, differing_keys, format_value
from experiments.store.integrity import changed_inputs, damage_of
from experiments.store.locks import read_info
from experiments.store.plans import read_plans
from experiments.store.status import ENDED, SETTLED
from experiments.store.studies import Run, read_runs


@dataclass(frozen=True)
class FollowedRun:
    """A run that is to be followed.

    Attributes:
        folder: of the run.
        label: what it is called.
        steps: how many it is to make.
    """

    folder: Path
    label: str
    steps: int


def followed_runs(runs: Sequence[Run], steps: Sequence[int]) -> list[FollowedRun]:
    """Runs to follow, called by what tells them apart."""
    differing = set(differing_keys(runs))
    keys = [*compared_keys(runs), *(["seed"] if "seed" in differing else [])]
    labels = [" ".join(f"{key}={format_value(run.config.get(key))}" for key in keys) or run.id for run in runs]
    return [FollowedRun(run.folder, label, number) for run, label, number in zip(runs, labels, steps, strict=True)]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        task: the run.
        status: as in run.json; 'waiting' where it has not begun.
        step: the last one on the disk, 0 before the first.
        loss: at that step.
        grad_norm: of all parameters at that step.
        seconds: that it has been made for.
        speed: steps a second, 0 where not known; of a run that goes on, since it does.
        flow: the norm of the gradient by lag, at the last recorded step; layer 0's h.
        error: of a failed run; of a damaged one, what is wrong.
        kept: it was settled before it was followed.
        changed: The files that it was made from and that have changed since.
    """

    task: FollowedRun
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

    @property
    def left(self) -> float:
        """Seconds until it is done at its speed; infinite where that is not known."""
        return (self.task.steps - self.step) / self.speed if self.speed else math.inf


def progress_of_study(study: Path) -> list[Progress]:
    """The state of each run in a study, and of those that a sweep set out to make and has not come to.

    Of the runs that have ended no table is read: there may be thousands.
    """
    runs = read_runs(study)
    steps = [int(run.config["probe.batches" if run.is_probe else "steps"] or 0) for run in runs]
    waiting = {name: planned for sweep in read_plans(study) for name, planned in sweep.runs.items()}
    states = []
    for run, task in zip(runs, followed_runs(runs, steps), strict=True):
        if planned := waiting.pop(run.folder.name, None):
            task = replace(task, label=planned.label)
        status = run.info["status"]
        made = {"completed": task.steps, "diverged": run.info.get("diverged_at_step") or 0}.get(status, 0)
        ended = Progress(
            task,
            status,
            made,
            seconds=run.info.get("seconds", 0.0),
            error=run.info.get("error", ""),
            changed=changed_inputs(run.info) if status in SETTLED else "",
        )
        states.append(progress_of(task) if status == "running" else ended)
    for folder, what in runs.damaged:
        planned = waiting.pop(folder.name, None)
        label = f"{planned.label} ({folder.name})" if planned else folder.name
        states.append(Progress(FollowedRun(folder, label, planned.steps if planned else 0), "damaged", error=what))
    return states + [Progress(FollowedRun(study / "runs" / name, *planned)) for name, planned in waiting.items()]


class Follower:
    """Follows runs by looking at their files.

    A run that was cut off before the follower was made is waiting until it goes on.

    Args:
        tasks: the runs.
    """

    def __init__(self, tasks: Sequence[FollowedRun]) -> None:
        self._stale: dict[Path, int] = {}
        self._ended: dict[Path, Progress] = {}
        self._tasks = tasks
        for task in tasks:
            try:
                info = read_info(task.folder)
                if info.get("status") in SETTLED and (what := damage_of(task.folder, info)):
                    raise DamagedRun(task.folder, what)
            except DamagedRun as error:
                self._ended[task.folder] = Progress(task, "damaged", error=error.what)
                continue
            if info.get("status") in SETTLED:
                self._ended[task.folder] = Progress(
                    task, info["status"], task.steps, error=info.get("error", ""), kept=True
                )
            elif info.get("status") == "interrupted":
                self._stale[task.folder] = stamp(task.folder)

    def look(self) -> list[Progress]:
        """The state of each run, now."""
        return [self._look_at(task) for task in self._tasks]

    def _look_at(self, task: FollowedRun) -> Progress:
        if task.folder in self._ended:
            return self._ended[task.folder]
        if stamp(task.folder) == self._stale.get(task.folder, 0):
            return Progress(task)
        state = progress_of(task)
        if state.status in ENDED:
            self._ended[task.folder] = state
        return state


def stamp(folder: Path) -> int:
    """When run.json was last put in place; 0 if there is none."""
    try:
        return (folder / "run.json").stat().st_mtime_ns
    except OSError:
        return 0


def progress_of(task: FollowedRun) -> Progress:
    """How far a run is, from run.json and the last rows of metrics.csv and gradients.csv."""
    try:
        info = read_info(task.folder)
    except DamagedRun:
        info = {}
    if not info:
        return Progress(task)
    rows = _last_rows(task.folder / "metrics.csv", 2_000)
    last: dict[str, Any] = {str(key): value for key, value in rows.iloc[-1].items()} if len(rows) else {}
    step = int(last.get("step", 0))
    before, since = 0, info["started"]
    for stage in info.get("continued", []):
        before, since = stage["after_step"], stage["at"]
    seconds = info.get("seconds") or _age(since)
    flow: Sequence[float] = ()
    if info["status"] == "running":
        gradients = _last_rows(task.folder / "gradients.csv", 30_000)
        if len(gradients):
            recorded = gradients[gradients["step"] == gradients["step"].iloc[-1]]
            recorded = recorded[(recorded["layer"] == 0) & (recorded["state"] == "h")]
            flow = recorded.sort_values("lag")["grad_norm"].tolist()
    return Progress(
        task,
        info["status"],
        step,
        float(last.get("loss", math.nan)),
        float(last.get("grad_norm", math.nan)),
        seconds,
        max(0, step - before) / seconds if seconds else 0.0,
        flow,
        info.get("error", ""),
    )


def _age(since: str) -> float:
    """Seconds since a moment in ISO format, at least one: it is written in whole seconds."""
    return max(1.0, time.time() - datetime.fromisoformat(since).timestamp())


def _last_rows(path: Path, size: int) -> pd.DataFrame:
    """The whole rows in the last `size` bytes of a table; empty where there are none yet."""
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
    tail = tail[: tail.rfind(b"\n") + 1]
    return pd.read_csv(io.BytesIO(header + tail)) if tail else pd.DataFrame()
