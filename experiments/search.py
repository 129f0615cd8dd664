"""A search: Optuna's sweeper picks the points, a few at a time, by what came of those before. Each few are a sweep."""

import logging
import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from warnings import catch_warnings, simplefilter

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode

from experiments.analysis import outcomes
from experiments.composition import Composer, composing, explained, name_study, search_path
from experiments.errors import UsageError
from experiments.extras import how_to_install
from experiments.hydra_keys import is_of_hydra
from experiments.study import read_runs
from experiments.sweep import Plan, plan_points

OBJECTIVES = (
    *("final_loss", "best_error", "solved_at_step", "gain_per_timestep", "gain_at_init", "horizon", "horizon_at_init"),
    *("max_grad_norm", "clipped_fraction", "parameters", "seconds"),
)
"""The columns of summary.csv that can be minimised or, with hydra.sweeper.direction=maximize, maximised."""

Sweep = Callable[[Plan], Any]


class Found(NamedTuple):
    """What a search came to.

    Attributes:
        study: the folder.
        folders: of all its runs, in the order of the trials.
        best: the run with the best value; None where none has one.
        value: of the best run.
    """

    study: Path
    folders: list[Path]
    best: Path | None
    value: float


class BatchLauncher:
    """What Optuna's sweeper takes for Hydra's launcher: makes each batch of its trials as a sweep.

    Args:
        objective: a column of summary.csv.
        worst: the value of a run that has none: it diverged, or solved nothing.
        config_dir: the user's own choices.
        launcher: what the user says of the launcher.
        sweep: makes the runs of a plan.
    """

    def __init__(
        self, objective: str, worst: float, config_dir: Path | None, launcher: Sequence[str], sweep: Sweep
    ) -> None:
        self.values: dict[Path, float] = {}
        self._objective, self._worst = objective, worst
        self._config_dir, self._launcher, self._sweep = config_dir, launcher, sweep

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Make some trials; each one's value."""
        with composing(self._config_dir) as composer:
            planned = plan_points(job_overrides, composer, self._launcher)
        once = dict(zip(planned.folders, planned.configs, strict=True))  # a trial may come twice
        self._sweep(planned._replace(folders=[*once], configs=[*once.values()]))
        made = [run for run in read_runs(planned.study_folder) if run.folder in once]
        for run, value in zip(made, outcomes(made)[0][self._objective], strict=True):
            known = value is not None and not math.isnan(value) and run.info["status"] != "diverged"
            self.values[run.folder] = float(value) if known else self._worst
        return [
            JobReturn(_return_value=self.values.get(folder, self._worst), status=JobStatus.COMPLETED)
            for folder in planned.folders
        ]


def search(overrides: Sequence[str], config_dir: Path | None, *, objective: str, jobs: int, sweep: Sweep) -> Found:
    """Search for the point with the smallest, or largest, value.

    Without a seed of the user's the sampler has the seed 0: the same search again picks the same points, and so goes on
    with what was cut off.

    Args:
        overrides: the space, as lists, ranges and intervals; fixed values; and options of hydra.sweeper.
        config_dir: the user's own choices.
        objective: a column of summary.csv.
        jobs: trials that are made side by side.
        sweep: makes the runs of a plan.

    Raises:
        UsageError: there is no such column, something is wrong with the space, or Optuna is not installed.
    """
    if objective not in OBJECTIVES:
        raise UsageError(f"--objective {objective}: there is no such column; choose from {', '.join(OBJECTIVES)}")
    if find_spec("optuna") is None:
        raise UsageError(f"hydra/sweeper=optuna: is not installed; {how_to_install('optuna')}")
    of_sweeper = [override for override in overrides if is_of_hydra(override, "sweeper")]
    of_launcher = [override for override in overrides if is_of_hydra(override, "launcher")]
    space = [override for override in overrides if override not in (*of_sweeper, *of_launcher)]
    with composing(config_dir) as composer, catch_warnings():
        simplefilter("ignore")  # Optuna 2 warns of itself
        fixed = [o.input_line for o in composer.parse(space) if o.input_line and not o.is_sweep_override()]
        sweeper, direction = _sweeper(composer, [*fixed, *_defaults(of_sweeper, jobs), *of_sweeper])
    worst = -math.inf if direction == "maximize" else math.inf
    launcher = BatchLauncher(objective, worst, config_dir, of_launcher, sweep)
    sweeper.sweeper.launcher = launcher
    with catch_warnings():
        simplefilter("ignore")
        try:
            with explained(overrides):
                sweeper.sweep(space)
        except (AssertionError, NotImplementedError) as error:
            raise UsageError(f"{' '.join(space)}: cannot be searched: {error}") from None
    known = {folder: value for folder, value in launcher.values.items() if math.isfinite(value)}
    best = (max if direction == "maximize" else min)(known, key=known.__getitem__, default=None)
    folders = [*launcher.values]
    return Found(folders[0].parent.parent, folders, best, math.nan if best is None else known[best])


def _defaults(given: Sequence[str], jobs: int) -> list[str]:
    """What the sweeper is told where the user does not say it."""
    keys = {override.lstrip("+").partition("=")[0] for override in given}
    seedless = any(override.startswith("hydra/sweeper/sampler=grid") for override in given)
    ours = {"hydra.sweeper.n_jobs": jobs, **({} if seedless else {"hydra.sweeper.sampler.seed": 0})}
    return [f"{key}={value}" for key, value in ours.items() if key not in keys]


def _sweeper(composer: Composer, overrides: Sequence[str]) -> tuple[Any, str]:
    """Hydra's plugin, ready to sweep, and the direction of its search."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    overrides = [*search_path(composer.config_dir), *name_study(overrides, composer.config_dir)]
    with explained(overrides):
        cfg = hydra.compose_config("config", overrides, run_mode=RunMode.MULTIRUN, with_log_configuration=False)
        direction = str(getattr(cfg.hydra.sweeper.direction, "name", cfg.hydra.sweeper.direction))
        if direction not in ("minimize", "maximize"):
            raise UsageError(f"hydra.sweeper.direction={direction}: must be minimize or maximize")
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
        sweeper = Plugins.instance().instantiate_sweeper(
            hydra_context=context, task_function=lambda _: None, config=cfg
        )
    return sweeper, direction
