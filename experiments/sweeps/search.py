"""A search: Optuna picks the points, a few at a time, from the results of those before. Each batch is a sweep."""

import logging
import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import catch_warnings, simplefilter

from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from experiments.analysis.summary import summarize_runs
from experiments.config.grid import Grid, SearchGrid
from experiments.config.hydra_composer import open_composer
from experiments.config.hydra_errors import explained
from experiments.config.hydra_internals import parse_value
from experiments.config.hydra_keys import is_of_hydra
from experiments.config.optional_packages import how_to_install
from experiments.config.overrides import key_of
from experiments.errors import UsageError, in_a_line
from experiments.store.files import write_whole
from experiments.store.studies import read_runs
from experiments.sweeps.plan import Plan, plan_points
from experiments.wording import counted

if TYPE_CHECKING:
    import optuna

    from experiments.sweeps.search_space import SearchSpace

OBJECTIVES = (
    *("final_loss", "best_error", "solved_at_step", "gain_per_timestep", "gain_at_init", "horizon", "horizon_at_init"),
    *("max_grad_norm", "clipped_fraction", "parameters", "seconds"),
)
"""The columns of summary.csv that can be minimised or, with hydra.sweeper.direction=maximize, maximised."""

RESULTS = "optimization_results.yaml"
POINT = "point"
"""Attribute of a trial in Optuna's storage that holds the overrides of its run."""


class SearchResult(NamedTuple):
    """The result of a search.

    Attributes:
        study: Folder of the study.
        folders: Folders of all runs, in the order of the trials.
        best: Folder of the best run; None if no run has a value.
        value: Value of the best run.
    """

    study: Path
    folders: list[Path]
    best: Path | None
    value: float


def search(
    grid: Grid,
    config_dir: Path | None,
    *,
    objective: str,
    jobs: int,
    sweep: Callable[[Plan], Any],
    report: Callable[[str], None] = lambda _: None,
) -> SearchResult:
    """Search for the point with the smallest, or largest, value.

    The sampler has the seed 0 unless the user gives another one. So the same search picks the same points again, and
    resumes what was interrupted. Trials in a storage count: the search continues until there are `n_trials`.

    Args:
        grid: Grid of the search, as `expand` returns it.
        config_dir: Folder with the user's own choices.
        objective: Column of summary.csv.
        jobs: Number of trials that run side by side, unless `hydra.sweeper.n_jobs` is set.
        sweep: Runs a plan.
        report: Takes a line about the progress before each batch of trials.

    Raises:
        UsageError: The column does not exist, the search space or the storage is wrong, or Optuna is not installed.
    """
    if objective not in OBJECTIVES:
        raise UsageError(f"--objective {objective}: there is no such column; choose from {', '.join(OBJECTIVES)}")
    if find_spec("optuna") is None:
        raise UsageError(f"hydra/sweeper=optuna: is not installed; {how_to_install('optuna')}")
    assert grid.search is not None
    cfg = _fill_in_defaults(grid.search, jobs)
    with catch_warnings():
        simplefilter("ignore")  # Optuna 2 uses deprecated parts of itself
        space = _build_space(grid.search, config_dir)
        trials = Trials(_open_study(cfg, space), cfg, space, objective)
        if trials.stored:
            with open_composer(config_dir) as composer:
                trials.read_values(trials.stored, plan_points(trials.stored, composer, grid.launcher))
        if trials.is_over:
            report(f"finished before: {counted(len(trials.stored), 'trial')}; raise hydra.sweeper.n_trials to add more")
        while batch := trials.ask():
            report(trials.describe(batch))
            points = [point for _, point in batch]
            with open_composer(config_dir) as composer:
                planned = plan_points(points, composer, grid.launcher)
            once = dict(zip(planned.folders, planned.configs, strict=True))  # a batch may hold a trial twice
            sweep(planned._replace(folders=[*once], configs=[*once.values()]))
            trials.read_values(points, planned)
            trials.tell(batch, planned.folders)
    return trials.write_best()


class Trials:
    """The trials of a search and their values.

    Args:
        study: Optuna's study, in which trials of earlier searches may be stored.
        cfg: Hydra's configuration.
        space: Search space.
        objective: Column of summary.csv.

    Attributes:
        stored: Overrides of each trial that an earlier search finished.
    """

    def __init__(self, study: "optuna.Study", cfg: DictConfig, space: "SearchSpace", objective: str) -> None:
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
        interrupted = [trial for trial in known if trial.state == TrialState.RUNNING]
        self._to_resume = [(trial.number, trial.user_attrs[POINT]) for trial in interrupted]
        self._asked = len(self.stored) + len(interrupted)
        self._total = max(min(sweeper.n_trials, getattr(study.sampler, "_n_min_trials", math.inf)), self._asked)

    @property
    def is_over(self) -> bool:
        """Whether no trial is left to run."""
        return not self._to_resume and self._asked >= self._total

    def ask(self) -> list[tuple[int, Sequence[str]]]:
        """Pick the next batch of trials, interrupted ones first: their numbers and overrides. Empty at the end."""
        side_by_side = self._cfg.hydra.sweeper.n_jobs
        batch, self._to_resume = self._to_resume[:side_by_side], self._to_resume[side_by_side:]
        while len(batch) < side_by_side and self._asked < self._total:
            trial = self._optuna.ask()
            with explained([]):
                picked = self._space.pick_point(trial)
            if self._extend is not None:
                self._extend(self._cfg, trial)
                picked = trial.params | picked
            point = self._space.overrides_of(picked)
            trial.set_user_attr(POINT, point)
            batch.append((trial.number, point))
            self._asked += 1
        return batch

    def describe(self, batch: Sequence[tuple[int, Sequence[str]]]) -> str:
        """Say which trials of how many run next, and what the best value is so far."""
        last = self._asked - len(self._to_resume)
        first = last - len(batch) + 1
        trials = f"trial {first}" if first == last else f"trials {first} to {last}"
        known = [value for value in self._values.values() if math.isfinite(value)]
        best = f"; best {self._objective} so far {self._best(known):.4g}" if known else ""
        return f"{trials} of {self._total}{best}"

    def read_values(self, points: Sequence[Sequence[str]], planned: Plan) -> None:
        """Read the value of each planned run from its files.

        Args:
            points: Overrides of each trial.
            planned: The runs of the trials.
        """
        if not (self._study / "runs").is_dir():
            return
        wanted = dict(zip(planned.folders, points, strict=True))
        found = [run for run in read_runs(self._study) if run.folder in wanted]
        values = summarize_runs(found)[0][self._objective] if found else ()
        for run, value in sorted(zip(found, values, strict=True), key=lambda item: [*wanted].index(item[0].folder)):
            known = value is not None and not math.isnan(value) and run.info["status"] != "diverged"
            self._values[run.folder] = float(value) if known else self._worst
            self._points[run.folder] = wanted[run.folder]

    def tell(self, batch: Sequence[tuple[int, Sequence[str]]], folders: Sequence[Path]) -> None:
        """Tell Optuna the values of a batch of trials."""
        for (number, _), folder in zip(batch, folders, strict=True):
            try:
                self._optuna.tell(number, self._values.get(folder, self._worst))
            except RuntimeError:  # another search with this storage was faster, or Optuna's grid has come to its end
                continue

    def write_best(self) -> SearchResult:
        """Write the best trial to optimization_results.yaml.

        Raises:
            UsageError: All trials are in the storage, but none of their runs is in the study.
        """
        if not self._values:
            raise UsageError(
                f"hydra.sweeper.storage: has all {self._total} trials, but their runs are not in {self._study}; "
                "raise hydra.sweeper.n_trials or set another hydra.sweeper.study_name"
            )
        known = {folder: value for folder, value in self._values.items() if math.isfinite(value)}
        best = self._best(known, key=known.__getitem__, default=None)
        if best is not None:
            picked = [override.partition("=")[::2] for override in self._points[best]]
            values = {key: parse_value(value) for key, value in picked if key in self._space.distributions}
            content = {"name": "optuna", "best_params": values, "best_value": known[best]}
            write_whole(self._study / RESULTS, OmegaConf.to_yaml(OmegaConf.create(content)))
        return SearchResult(self._study, [*self._values], best, math.nan if best is None else known[best])


def _fill_in_defaults(grid: SearchGrid, jobs: int) -> DictConfig:
    """Check the options of the search, and fill in those that the user did not give."""
    cfg = grid.cfg
    sweeper = cfg.hydra.sweeper
    if _direction(cfg) not in ("minimize", "maximize"):
        raise UsageError(f"hydra.sweeper.direction={sweeper.direction}: must be minimize or maximize")
    if sweeper.search_space is not None:
        raise UsageError("hydra.sweeper.search_space: use hydra.sweeper.params, or overrides")
    if len(grid.grids) > 1:
        raise UsageError(
            f"study={cfg.study.name}: has {len(grid.grids)} grids, but a search needs one; give its keys yourself"
        )
    given = {key_of(override.lstrip("+")) for override in grid.given}
    with open_dict(sweeper):
        if "hydra.sweeper.n_jobs" not in given:
            sweeper.n_jobs = jobs
        if "hydra.sweeper.sampler.seed" not in given and "seed" in sweeper.sampler:
            sweeper.sampler.seed = 0
    return cfg


def _build_space(grid: SearchGrid, config_dir: Path | None) -> "SearchSpace":
    from experiments.sweeps.search_space import SearchSpace

    listed = grid.cfg.hydra.sweeper.sampler._target_.endswith("GridSampler")
    with open_composer(config_dir) as composer:
        overrides = [override for override in composer.parse(grid.grids[0]) if not is_of_hydra(override.key_or_group)]
        with explained(grid.given):
            return SearchSpace(
                overrides, grid.cfg, lambda choice: composer.compose([*grid.choices, choice]), listed=listed
            )


def _direction(cfg: DictConfig) -> str:
    direction = cfg.hydra.sweeper.direction
    return str(getattr(direction, "name", direction))


def _open_study(cfg: DictConfig, space: "SearchSpace") -> "optuna.Study":
    """Open Optuna's study, in its storage if the user gave one; its default name there is that of our study."""
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
    except Exception as error:  # any database, and its driver, may raise its own
        raise UsageError(f"hydra.sweeper.storage={storage}: cannot be used: {in_a_line(error)}") from error
    sampler = sweeper.sampler
    if sampler.get("seed") is not None:
        sampler.seed += len(study.get_trials(deepcopy=False))  # otherwise it would pick the stored points again
    made = instantiate(sampler)
    study.sampler = made(space.listed_values()) if sampler.get("_partial_") else made
    return study
