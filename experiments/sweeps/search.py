"""A search: Optuna picks the points, a few at a time, by what came of those before. Each few are a sweep."""

import logging
import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import catch_warnings, simplefilter

from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.analysis.summary import summarize_runs
from experiments.config.extras import how_to_install
from experiments.config.grammar import parse_value
from experiments.config.grid import axes, deciding
from experiments.config.hydra_adapter import Composer, composing, explained
from experiments.config.hydra_keys import is_of_hydra
from experiments.errors import UsageError, in_a_line
from experiments.store.files import write_whole
from experiments.store.studies import read_runs
from experiments.sweeps.sweep import Plan, plan_points
from experiments.wording import counted

if TYPE_CHECKING:
    import optuna

    from experiments.sweeps.search_space import Space

OBJECTIVES = (
    *("final_loss", "best_error", "solved_at_step", "gain_per_timestep", "gain_at_init", "horizon", "horizon_at_init"),
    *("max_grad_norm", "clipped_fraction", "parameters", "seconds"),
)
"""The columns of summary.csv that can be minimised or, with hydra.sweeper.direction=maximize, maximised."""

RESULTS = "optimization_results.yaml"
POINT = "point"
"""Attribute of a trial in Optuna's storage: the overrides of its run."""

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


def search(
    overrides: Sequence[str],
    config_dir: Path | None,
    *,
    objective: str,
    jobs: int,
    sweep: Sweep,
    tell: Callable[[str], None] = lambda _: None,
) -> Found:
    """Search for the point with the smallest, or largest, value.

    Without a seed of the user's the sampler has the seed 0: the same search again picks the same points, and so resumes
    what was cut off. Trials in a storage count: the search goes on until there are `n_trials`.

    Args:
        overrides: The space, as lists, ranges and intervals; fixed values; and options of hydra.sweeper.
        config_dir: Folder with the user's own choices.
        objective: Column of summary.csv.
        jobs: Number of trials that are made side by side.
        sweep: Makes the runs of a plan.
        tell: Takes a line on how far the search is, before each few trials.

    Raises:
        UsageError: There is no such column, the space or the storage is wrong, or Optuna is not installed.
    """
    if objective not in OBJECTIVES:
        raise UsageError(f"--objective {objective}: there is no such column; choose from {', '.join(OBJECTIVES)}")
    if find_spec("optuna") is None:
        raise UsageError(f"hydra/sweeper=optuna: is not installed; {how_to_install('optuna')}")
    of_launcher = [override for override in overrides if is_of_hydra(override, "launcher")]
    said = [override for override in overrides if override not in of_launcher]
    with catch_warnings():
        simplefilter("ignore")  # Optuna 2 warns of itself
        with composing(config_dir) as composer:
            cfg, space = _compose(composer, said, jobs)
        trials = Trials(_open(cfg, space), cfg, space, objective)
        if trials.stored:
            with composing(config_dir) as composer:
                trials.read(trials.stored, plan_points(trials.stored, composer, of_launcher))
        if trials.is_over:
            tell(f"made before: {counted(len(trials.stored), 'trial')}; a larger hydra.sweeper.n_trials adds to them")
        while batch := trials.ask():
            tell(trials.progress(batch))
            points = [point for _, point in batch]
            with composing(config_dir) as composer:
                planned = plan_points(points, composer, of_launcher)
            once = dict(zip(planned.folders, planned.configs, strict=True))  # a trial may come twice
            sweep(planned._replace(folders=[*once], configs=[*once.values()]))
            trials.read(points, planned)
            trials.tell(batch, planned.folders)
    return trials.write()


class Trials:
    """The trials of a search, and what came of them.

    Args:
        study: Optuna's, in which trials of earlier searches may be stored.
        cfg: Hydra's configuration.
        space: What is searched.
        objective: Column of summary.csv.

    Attributes:
        stored: Overrides of each trial that an earlier search finished.
    """

    def __init__(self, study: "optuna.Study", cfg: DictConfig, space: "Space", objective: str) -> None:
        from optuna.trial import TrialState

        sweeper = cfg.hydra.sweeper
        self._optuna, self._cfg, self._space, self._objective = study, cfg, space, objective
        self._study = Path(cfg.results_dir).expanduser() / cfg.study.name
        self._best: Any
        self._best, self._worst = (max, -math.inf) if _direction(cfg) == "maximize" else (min, math.inf)
        self._extend = get_method(sweeper.custom_search_space) if sweeper.custom_search_space else None
        self._values: dict[Path, float] = {}
        self._points: dict[Path, Sequence[str]] = {}
        known = [trial for trial in study.get_trials(deepcopy=False) if POINT in trial.user_attrs]
        self.stored = [trial.user_attrs[POINT] for trial in known if trial.state == TrialState.COMPLETE]
        cut_off = [trial for trial in known if trial.state == TrialState.RUNNING]
        self._left = [(trial.number, trial.user_attrs[POINT]) for trial in cut_off]
        self._begun = len(self.stored) + len(cut_off)
        self._total = max(min(sweeper.n_trials, getattr(study.sampler, "_n_min_trials", math.inf)), self._begun)

    @property
    def is_over(self) -> bool:
        """Whether there is no trial to make."""
        return not self._left and self._begun >= self._total

    def ask(self) -> list[tuple[int, Sequence[str]]]:
        """The next few trials: their numbers and overrides; those that were cut off come first. Empty at the end."""
        side_by_side = self._cfg.hydra.sweeper.n_jobs
        batch, self._left = self._left[:side_by_side], self._left[side_by_side:]
        while len(batch) < side_by_side and self._begun < self._total:
            trial = self._optuna.ask()
            with explained([]):
                picked = self._space.pick(trial)
            if self._extend is not None:
                self._extend(self._cfg, trial)
                picked = trial.params | picked
            point = self._space.point(picked)
            trial.set_user_attr(POINT, point)
            batch.append((trial.number, point))
            self._begun += 1
        return batch

    def progress(self, batch: Sequence[tuple[int, Sequence[str]]]) -> str:
        """Which trials come now, of how many, and the best value so far."""
        first, last = (self._begun - len(self._left) - len(batch) + 1, self._begun - len(self._left))
        trials = f"trial {first}" if first == last else f"trials {first} to {last}"
        known = [value for value in self._values.values() if math.isfinite(value)]
        best = f"; best {self._objective} so far {self._best(known):.4g}" if known else ""
        return f"{trials} of {self._total}{best}"

    def read(self, points: Sequence[Sequence[str]], planned: Plan) -> None:
        """Take the value of each run that the trials made from the disk."""
        if not (self._study / "runs").is_dir():
            return
        wanted = dict(zip(planned.folders, points, strict=True))
        made = [run for run in read_runs(self._study) if run.folder in wanted]
        values = summarize_runs(made)[0][self._objective] if made else ()
        for run, value in sorted(zip(made, values, strict=True), key=lambda item: [*wanted].index(item[0].folder)):
            known = value is not None and not math.isnan(value) and run.info["status"] != "diverged"
            self._values[run.folder] = float(value) if known else self._worst
            self._points[run.folder] = wanted[run.folder]

    def tell(self, batch: Sequence[tuple[int, Sequence[str]]], folders: Sequence[Path]) -> None:
        """Let Optuna know the values of some trials."""
        for (number, _), folder in zip(batch, folders, strict=True):
            try:
                self._optuna.tell(number, self._values.get(folder, self._worst))
            except RuntimeError:  # another search with this storage was faster, or Optuna's grid has come to its end
                continue

    def write(self) -> Found:
        """Write the best trial to optimization_results.yaml.

        Raises:
            UsageError: All trials are in the storage, and none of their runs is in the study.
        """
        if not self._values:
            raise UsageError(
                f"hydra.sweeper.storage: has all {self._total} trials, but their runs are not in {self._study}; "
                "raise hydra.sweeper.n_trials, or give it another hydra.sweeper.study_name"
            )
        known = {folder: value for folder, value in self._values.items() if math.isfinite(value)}
        best = self._best(known, key=known.__getitem__, default=None)
        if best is not None:
            picked = [override.partition("=")[::2] for override in self._points[best]]
            values = {key: parse_value(value) for key, value in picked if key in self._space.distributions}
            content = {"name": "optuna", "best_params": values, "best_value": known[best]}
            write_whole(self._study / RESULTS, OmegaConf.to_yaml(OmegaConf.create(content)))
        return Found(self._study, [*self._values], best, math.nan if best is None else known[best])


def _compose(composer: Composer, overrides: Sequence[str], jobs: int) -> "tuple[DictConfig, Space]":
    """Hydra's configuration, and the space."""
    from experiments.sweeps.search_space import Space

    parsed = composer.parse(overrides)
    of_sweeper = [override for override in overrides if is_of_hydra(override, "sweeper")]
    fixed = [*_defaults(of_sweeper, jobs), *deciding(parsed, composer.config_dir)]
    cfg = composer.compose(fixed)
    sweeper = cfg.hydra.sweeper
    if _direction(cfg) not in ("minimize", "maximize"):
        raise UsageError(f"hydra.sweeper.direction={sweeper.direction}: must be minimize or maximize")
    if sweeper.search_space is not None:
        raise UsageError("hydra.sweeper.search_space: say it as hydra.sweeper.params, or as overrides")
    with explained(overrides):
        grids = axes(parsed, cfg)
    if len(grids) > 1:
        raise UsageError(
            f"study={cfg.study.name}: has {len(grids)} grids, and a search needs one; say its keys yourself"
        )
    space = [override for override in composer.parse(grids[0]) if not is_of_hydra(override.key_or_group)]
    listed = sweeper.sampler._target_.endswith("GridSampler")
    with explained(overrides):
        return cfg, Space(space, cfg, lambda choice: composer.compose([*fixed, choice]), listed=listed)


def _defaults(given: Sequence[str], jobs: int) -> list[str]:
    """What the sweeper is told where the user does not say it."""
    keys = {override.lstrip("+").partition("=")[0] for override in given}
    seedless = any(override.startswith("hydra/sweeper/sampler=grid") for override in given)
    ours = {"hydra.sweeper.n_jobs": jobs, **({} if seedless else {"hydra.sweeper.sampler.seed": 0})}
    return [f"{key}={value}" for key, value in ours.items() if key not in keys]


def _direction(cfg: DictConfig) -> str:
    direction = cfg.hydra.sweeper.direction
    return str(getattr(direction, "name", direction))


def _open(cfg: DictConfig, space: "Space") -> "optuna.Study":
    """Optuna's study, from its storage if it has one; by default under the name of our study."""
    import optuna
    from optuna.storages import RDBStorage

    optuna.logging.set_verbosity(logging.WARNING)
    sweeper = cfg.hydra.sweeper
    storage, name = sweeper.storage, sweeper.study_name
    try:
        if isinstance(storage, str) and not storage.startswith("redis"):
            # Optuna 2 relies on SQLAlchemy 1, which committed by itself.
            opened = RDBStorage(storage, engine_kwargs={"isolation_level": "AUTOCOMMIT"})
        else:
            opened = instantiate(storage)
        name = name or (None if storage is None else cfg.study.name)
        study = optuna.create_study(opened, study_name=name, direction=_direction(cfg), load_if_exists=True)
    except Exception as error:  # of whatever database, and its driver
        raise UsageError(f"hydra.sweeper.storage={storage}: cannot be used: {in_a_line(error)}") from error
    sampler = sweeper.sampler
    if sampler.get("seed") is not None:
        sampler.seed += len(study.get_trials(deepcopy=False))  # else it would pick what it picked before
    made = instantiate(sampler)
    study.sampler = made(space.listed()) if sampler.get("_partial_") else made
    return study
