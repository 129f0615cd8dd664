"""A sweep: a grid of runs, planned and checked whole, then made by workers that each take what no other has."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from hydra import compose
from joblib.externals.loky.process_executor import TerminatedWorkerError
from omegaconf import DictConfig

from experiments.config.composing import check
from experiments.config.grid import Grid, expand
from experiments.config.hydra_adapter import (
    Composer,
    composing,
    explained,
    extend_path,
    name_study,
    quoted,
    search_path,
)
from experiments.config.hydra_keys import launcher_named
from experiments.config.parts import draft
from experiments.config.schema import Config
from experiments.errors import UsageError
from experiments.store.files import read_json
from experiments.store.locks import is_locked
from experiments.store.plans import PlannedRun, record_plan
from experiments.store.progress import FollowedRun, follow_runs, modified_at
from experiments.store.run_folders import check_writable, folders_with_status, prepare_folder, set_status
from experiments.store.status import UNFINISHED
from experiments.store.studies import Run, flatten
from experiments.sweeps.launchers import check_launcher, launch, overrides_of
from experiments.sweeps.process_end import SECONDS_TO_END, end_when_interrupted, end_with
from experiments.training.checkpoint import saved_at
from experiments.training.execution import Result, settled_result
from experiments.training.probe import probe_folder
from experiments.training.run import run


class Make(Protocol):
    """Makes one run of a configuration."""

    def __call__(self, config: Config) -> Result:
        """As `run` and `probe` do."""
        ...


class Plan(NamedTuple):
    """A sweep, checked and ready.

    Attributes:
        configs: of each run, in the sweeper's order.
        folders: of each run.
        config_dir: the user's own choices.
        base: overrides with which Hydra composes the first run: where the study is.
        launcher: what the user says of the launcher.
        make: makes one run: `run` or `probe`.
    """

    configs: list[Config]
    folders: list[Path]
    config_dir: Path | None
    base: list[str]
    launcher: list[str]
    make: Make

    @property
    def study_folder(self) -> Path:
        return self.configs[0].study_folder

    def base_of(self, launcher: str) -> list[str]:
        """`base`; without the study's YAML where that has options of another launcher."""
        if launcher_named(self.launcher) in (None, launcher):
            return self.base
        place = {"results_dir": self.configs[0].results_dir, "study.name": self.configs[0].study.name}
        return [f"{key}='" + value.replace("'", r"\'") + "'" for key, value in place.items()]

    def tasks(self) -> list[FollowedRun]:
        """What is to be followed while the runs are made."""
        runs = [
            Run(folder, flatten(config.model_dump(exclude={"study"})), {})
            for folder, config in zip(self.folders, self.configs, strict=True)
        ]
        return follow_runs(
            runs, [config.steps if self.make is run else config.probe.batches for config in self.configs]
        )


def plan(overrides: Sequence[str], config_dir: Path | None = None, make: Make = run) -> Plan:
    """Expand a sweep and check every run in it, before anything is written.

    Raises:
        UsageError: the first thing wrong with the first run that has something wrong.
    """
    return plan_grid(expand(overrides, config_dir), config_dir, make)


def plan_grid(grid: Grid, config_dir: Path | None = None, make: Make = run) -> Plan:
    """Check every run of a sweep that is expanded already.

    Raises:
        UsageError: the first thing wrong with the first run that has something wrong.
    """
    if grid.is_search:
        raise UsageError(f"{grid.words}: is a search; `bptt sweep` makes it")
    if not grid.points:
        raise UsageError(f"{grid.words}: no runs; is a range empty?")
    with composing(config_dir) as composer:
        planned = plan_points(grid.points, composer, grid.launcher, make)
    if (different := len(set(planned.folders))) < len(planned.folders):
        raise UsageError(
            f"{grid.words}: {len(grid.points)} runs, but only {different} different; is a value there twice?"
        )
    return planned


def plan_points(points: Sequence[Sequence[str]], composer: Composer, launcher: Sequence[str], make: Make = run) -> Plan:
    """Check a sweep of which each run's overrides are known; within `composing`.

    Raises:
        UsageError: the first thing wrong with the first run that has something wrong.
    """
    configs = [check(cfg, choices) for cfg, choices in composer.compose_all(points)]
    if len({config.study_folder for config in configs}) > 1:
        raise UsageError("study and results_dir: one sweep is one study; give each one value")
    for config in {config.model_dump_json(exclude={"seed"}): config for config in configs}.values():
        draft(config)
    check_writable(configs[0].study_folder)
    folders = [config.run_folder if make is run else probe_folder(config) for config in configs]
    here = f"results_dir={quoted(configs[0].results_dir)}"  # without ~, which Hydra would take for a folder's name
    base = [*search_path(composer.config_dir), *name_study(points[0], composer.config_dir), here]
    return Plan(configs, folders, composer.config_dir, base, [*launcher], make)


def check_launch(planned: Plan, launcher: str, jobs: int) -> None:
    """Check what the user says of the launcher, before anything is written.

    Raises:
        UsageError: The launcher has no such option, or cannot do what it asks.
    """
    check_launcher(launcher, planned.launcher, planned.study_folder)
    if planned.launcher:
        options = overrides_of(launcher, jobs, planned.launcher)
        with composing(planned.config_dir), explained(options):
            compose("config", [*planned.base_of(launcher), *options], return_hydra_config=True)


def reopen_all(planned: Plan, *, fresh: bool = False, retry: bool = False) -> None:
    """Make ready what the sweep is to make; see `reopen`."""
    for folder in planned.folders:
        prepare_folder(folder, fresh=fresh, retry=retry)


def sweep(planned: Plan, *, launcher: str = "basic", jobs: int = 1, command: str | None = None) -> list[Result]:
    """Make all runs that are not settled, `jobs` at a time, in the order of the plan; how each ended.

    A run that another sweep is making is waited for, and taken over where that one dies. A run whose process is killed
    is gone on with where the launcher is joblib, unless it is killed again before it came any further; with the others
    it is left as interrupted, and the next sweep goes on with it.

    Args:
        planned: what to run.
        launcher: of Hydra; 'basic' is this process.
        jobs: how many workers; each takes the next run that no other has.
        command: Command that planned the sweep; None: the one that this process was started with.

    Raises:
        KeyboardInterrupt: as it came; what was being made is recorded as interrupted.
    """
    record_plan(
        planned.study_folder,
        {task.folder.name: PlannedRun(task.label, task.steps) for task in planned.tasks()},
        command,
    )
    made: dict[Path, Result] = {}
    died_at: dict[Path, float] = {}
    left = _only(planned, folders_with_status(planned.folders, *UNFINISHED))
    with _settled_on_interrupt(planned), composing(planned.config_dir):
        while left.configs:
            worker = partial(
                work, configs=left.configs, config_dir=planned.config_dir, make=planned.make, by=os.getpid()
            )
            workers = min(jobs, len(left.configs))
            options = overrides_of(launcher, workers, planned.launcher)
            before = {folder: modified_at(folder) for folder in left.folders}
            try:
                with explained(options):
                    for results in launch(launcher, worker, workers, [*planned.base_of(launcher), *options]):
                        made |= {result.folder: result for result in results if not result.skipped}
            except TerminatedWorkerError:  # joblib has killed all others, too
                begun = [folder for folder in left.folders if modified_at(folder) != before[folder]]
                if not begun:
                    raise
                _settle_lost([*_abandoned(begun), *folders_with_status(begun, "interrupted")], died_at)
                left = _only(
                    planned, folders_with_status(planned.folders, None, "interrupted") or _wait_for_others(planned)
                )
            else:
                left = _only(planned, _wait_for_others(planned))
        for folder in folders_with_status(planned.folders, "running"):
            set_status(folder, "interrupted")
    return [
        made.get(folder) or _result_on_disk(config, folder)
        for config, folder in zip(planned.configs, planned.folders, strict=True)
    ]


def work(_: DictConfig, *, configs: Sequence[Config], config_dir: Path | None, make: Make, by: int) -> list[Result]:
    """One worker, which may be this process: makes one run after the other, each that no other worker has begun."""
    extend_path(config_dir)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be cancelled is to be interrupted
    if os.getpid() != by:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        end_with(os.getppid())
        end_when_interrupted()
    results = []
    for config in configs:
        folder = config.run_folder if make is run else probe_folder(config)
        if folders_with_status([folder], "running"):
            continue  # by another worker; or by one that was killed over it, which is not for this one to risk
        try:
            results.append(make(config))
        except UsageError as error:  # what was right when the sweep was planned, but is so no longer
            results.append(Result(folder, "failed", str(error), 0.0, skipped=False))
    return results


def _settle_lost(folders: Sequence[Path], died_at: dict[Path, float]) -> None:
    """Record that runs were cut off; that they failed where they came no further than when they died before."""
    for folder in folders:
        if died_at.get(folder) == saved_at(folder):
            set_status(folder, "failed", "its process was killed, twice; is there enough memory?")
        else:
            set_status(folder, "interrupted")
        died_at[folder] = saved_at(folder)


def _wait_for_others(planned: Plan) -> list[Path]:
    """Wait while other processes make runs of the plan; those that they left unfinished."""
    others = [folder for folder in folders_with_status(planned.folders, "running") if is_locked(folder)]
    while any(map(is_locked, others)):
        time.sleep(0.2)
    for folder in others:
        prepare_folder(folder)
    return folders_with_status(others, *UNFINISHED)


def _only(planned: Plan, folders: Sequence[Path]) -> Plan:
    wanted = set(folders)
    kept = [
        (config, folder) for config, folder in zip(planned.configs, planned.folders, strict=True) if folder in wanted
    ]
    return planned._replace(configs=[config for config, _ in kept], folders=[folder for _, folder in kept])


def doubtful(planned: Plan) -> list[Result]:
    """The finished runs of a sweep whose files are damaged, or that were made from files that have changed since."""
    found = [settled_result(*run) for run in zip(planned.configs, planned.folders, strict=True)]
    return [result for result in found if result and result.is_doubtful]


def _result_on_disk(config: Config, folder: Path) -> Result:
    if settled := settled_result(config, folder):
        return settled
    info = read_json(folder / "run.json")
    return Result(folder, info.get("status", "interrupted"), info.get("error"), 0.0, skipped=True)


@contextmanager
def _settled_on_interrupt(planned: Plan) -> Iterator[None]:
    """Record as interrupted what the workers were making when an interrupt ended them, and pass it on."""
    try:
        yield
    except KeyboardInterrupt:
        for signum in (signal.SIGINT, signal.SIGTERM):  # a second one shall not keep the first from being recorded
            signal.signal(signum, signal.SIG_IGN)
        for folder in _abandoned(planned.folders):
            set_status(folder, "interrupted")
        raise


def _abandoned(folders: Sequence[Path]) -> list[Path]:
    """The runs that nobody makes any more, though they say so: workers that were told to end are given their time."""
    running = folders_with_status(folders, "running")
    deadline = time.monotonic() + SECONDS_TO_END
    while any(map(is_locked, running)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [folder for folder in folders_with_status(running, "running") if not is_locked(folder)]
