"""A sweep: many runs through Hydra's sweeper and launchers. The one file that drives Hydra's multirun."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from hydra import initialize_config_module
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.composition import Composer, composing, name_study, search_path
from experiments.config import Config, build, check
from experiments.errors import UsageError
from experiments.probe import probe_folder
from experiments.run import Result, check_writable, run
from experiments.status import Task, tasks_of
from experiments.study import Run, flatten


class Make(Protocol):
    """Makes one run of a configuration."""

    def __call__(self, config: Config, *, fresh: bool = ...) -> Result:
        """As `run` and `probe` do."""
        ...


class Plan(NamedTuple):
    """A sweep, checked and ready.

    Attributes:
        overrides: what Hydra's sweeper gets, the study's own axes included.
        configs: of each run, in the sweeper's order.
        config_dir: the user's own choices.
    """

    overrides: list[str]
    configs: list[Config]
    config_dir: Path | None

    @property
    def study_folder(self) -> Path:
        return self.configs[0].study_folder

    def tasks(self, *, probe: bool = False) -> list[Task]:
        """What is to be followed while the runs, or probes, are made."""
        folders = [probe_folder(config) if probe else config.run_folder for config in self.configs]
        steps = [config.probe.batches if probe else config.steps for config in self.configs]
        runs = [
            Run(folder, flatten(config.model_dump(exclude={"study"})), {})
            for folder, config in zip(folders, self.configs, strict=True)
        ]
        return tasks_of(runs, steps)


def plan(overrides: Sequence[str], config_dir: Path | None = None) -> Plan:
    """Expand a sweep and check every run in it, before anything is written.

    Raises:
        UsageError: the first thing wrong with the first run that has something wrong.
    """
    with composing(config_dir) as composer:
        axes = _with_study_axes(overrides, composer)
        (points,) = BasicSweeper.split_arguments(composer.parse(axes), max_batch_size=None)
        composed = [composer.compose(point) for point in points]
    configs = [check(cfg, cfg.hydra.runtime.choices) for cfg in composed]
    different = len({config.run_id for config in configs})
    if different < len(configs):
        raise UsageError(
            f"{' '.join(overrides)}: {len(configs)} runs, but only {different} different ones; is a value there twice?"
        )
    if len({config.study_folder for config in configs}) > 1:
        raise UsageError("study and results_dir: one sweep is one study; give each one value")
    for config in {config.model_dump_json(exclude={"seed"}): config for config in configs}.values():
        build(config)
    check_writable(configs[0].study_folder)
    return Plan([*search_path(config_dir), *name_study(axes, config_dir)], configs, config_dir)


def sweep(planned: Plan, *, jobs: int, fresh: bool = False, make: Make = run) -> list[Result]:
    """Make all runs, `jobs` at a time, in the order of the plan.

    Args:
        planned: what to run.
        jobs: 1 runs them in this process, by Hydra's basic launcher; more in as many workers, by joblib.
        fresh: make again what is finished.
        make: makes one run: `run` or `probe`.
    """
    launcher = ["hydra/launcher=basic"] if jobs == 1 else ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
    task = partial(_run_one, config_dir=planned.config_dir, fresh=fresh, make=make)
    with initialize_config_module("conf", version_base="1.3", job_name="sweep"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        batches = hydra.multirun("config", task, [*planned.overrides, "hydra.sweeper.params=null", *launcher])
    return [job.return_value for batch in batches for job in batch]


def _run_one(cfg: DictConfig, *, config_dir: Path | None, fresh: bool, make: Make) -> Result:
    """One run of the sweep, in whichever process the launcher makes it."""
    extend_path(config_dir)
    job = HydraConfig.get()
    config = check(cfg, job.runtime.choices)
    try:
        return make(config, fresh=fresh)
    except UsageError as error:  # what was right when the sweep was planned, but is so no longer
        return Result(config.run_folder, "failed", str(error), 0.0, skipped=False)


def extend_path(config_dir: Path | None) -> None:
    """Let Python find the user's own modules, beside or in their config folder, after ours."""
    if config_dir is not None:
        sys.path += [
            folder for folder in map(str, (config_dir.resolve(), config_dir.resolve().parent)) if folder not in sys.path
        ]


def _with_study_axes(overrides: Sequence[str], composer: Composer) -> list[str]:
    """The study's own sweep axes that the user did not set, then the user's overrides."""
    parsed = composer.parse(overrides)
    fixed = [o.input_line for o in parsed if o.input_line and not o.is_sweep_override()]
    axes = composer.compose(fixed).hydra.sweeper.params or {}
    given = {o.key_or_group for o in parsed}
    return [f"{key}={value}" for key, value in axes.items() if key not in given] + list(overrides)
