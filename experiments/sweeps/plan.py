"""The plan of a sweep: every run is composed and checked before anything is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra import compose
from omegaconf import OmegaConf

from experiments.config.composing import check_values
from experiments.config.grid import Grid, expand
from experiments.config.hydra_composer import HydraComposer, open_composer
from experiments.config.hydra_errors import explained
from experiments.config.hydra_keys import launcher_named
from experiments.config.overrides import normalize_overrides, quote
from experiments.config.parts import draft
from experiments.config.schema import Config
from experiments.config.user_folder import search_path_override
from experiments.errors import UsageError
from experiments.store.progress import FollowedRun, follow_runs
from experiments.store.run_folders import check_writable, folders_with_status
from experiments.store.status import UNFINISHED
from experiments.store.studies import Run, flatten
from experiments.sweeps.launchers import check_launcher, launcher_overrides
from experiments.sweeps.worker import RunOne, folder_of
from experiments.training.run import run


class Plan(NamedTuple):
    """A checked sweep.

    Attributes:
        configs: Configuration of each run, in the order of the grid.
        folders: Folder of each run.
        config_dir: Folder with the user's own choices.
        study_overrides: Overrides with which Hydra composes the first run, and so the study's folder and launcher.
        launcher: The user's overrides of the launcher.
        run_one: Runs one configuration: `run` or `probe`.
    """

    configs: list[Config]
    folders: list[Path]
    config_dir: Path | None
    study_overrides: list[str]
    launcher: list[str]
    run_one: RunOne

    @property
    def study_folder(self) -> Path:
        return self.configs[0].study_folder

    def only(self, folders: Sequence[Path]) -> "Plan":
        """The part of the plan with these run folders."""
        wanted = set(folders)
        kept = [pair for pair in zip(self.configs, self.folders, strict=True) if pair[1] in wanted]
        return self._replace(configs=[config for config, _ in kept], folders=[folder for _, folder in kept])

    def left_to_run(self) -> "Plan":
        """The part of the plan that has not come to an end yet."""
        return self.only(folders_with_status(self.folders, *UNFINISHED))

    def followed_runs(self) -> list[FollowedRun]:
        """The runs, labelled for the progress display."""
        runs = [
            Run(folder, flatten(config.model_dump(exclude={"study"})), {})
            for folder, config in zip(self.folders, self.configs, strict=True)
        ]
        return follow_runs(
            runs, [config.steps if self.run_one is run else config.probe.batches for config in self.configs]
        )


def plan(overrides: Sequence[str], config_dir: Path | None = None, run_one: RunOne = run) -> Plan:
    """Expand a sweep and check every run in it, before anything is written.

    Args:
        overrides: KEY=VALUE, as on the command line.
        config_dir: Folder with the user's own choices.
        run_one: Runs one configuration: `run` or `probe`.

    Raises:
        UsageError: Something is wrong with a run; the message names the first thing.
    """
    return plan_grid(expand(overrides, config_dir), config_dir, run_one)


def plan_grid(grid: Grid, config_dir: Path | None = None, run_one: RunOne = run) -> Plan:
    """Check every run of an expanded sweep.

    Args:
        grid: Runs of the sweep.
        config_dir: Folder with the user's own choices.
        run_one: Runs one configuration: `run` or `probe`.

    Raises:
        UsageError: Something is wrong with a run; the message names the first thing.
    """
    if grid.search is not None:
        raise UsageError(f"{grid.words}: is a search; use `bptt sweep`")
    if not grid.points:
        raise UsageError(f"{grid.words}: no runs; is a range empty?")
    with open_composer(config_dir) as composer:
        planned = plan_points(grid.points, composer, grid.launcher, run_one)
    if (different := len(set(planned.folders))) < len(planned.folders):
        raise UsageError(
            f"{grid.words}: {len(grid.points)} runs, but only {different} different; is a value given twice? (What is "
            "recorded does not make a run another one.)"
        )
    return planned


def plan_points(
    points: Sequence[Sequence[str]], composer: HydraComposer, launcher: Sequence[str], run_one: RunOne = run
) -> Plan:
    """Check the runs of a sweep.

    Args:
        points: Overrides of each run.
        composer: Composes the overrides.
        launcher: The user's overrides of the launcher.
        run_one: Runs one configuration: `run` or `probe`.

    Raises:
        UsageError: Something is wrong with a run; the message names the first thing.
    """
    configs = [check_values(cfg, choices) for cfg, choices in composer.compose_all(points)]
    if len({config.study_folder for config in configs}) > 1:
        raise UsageError("study and results_dir: all runs of a sweep belong to one study; give each key one value")
    for config in {config.model_dump_json(exclude={"seed"}): config for config in configs}.values():
        draft(config)
    check_writable(configs[0].study_folder)
    folders = [folder_of(config, run_one) for config in configs]
    # The ~ is expanded here, since Hydra would take it for the name of a folder.
    results_dir = f"results_dir={quote(configs[0].results_dir)}"
    first = normalize_overrides(points[0], composer.config_dir)
    study = [*search_path_override(composer.config_dir), *first, results_dir]
    return Plan(configs, folders, composer.config_dir, study, [*launcher], run_one)


def check_launcher_options(planned: Plan, launcher: str, jobs: int) -> None:
    """Check the user's options of the launcher, before anything is written.

    Args:
        planned: The sweep.
        launcher: Name of the launcher.
        jobs: Number of workers.

    Raises:
        UsageError: The launcher has no such option, or the option does not fit bptt's workers.
    """
    check_launcher(launcher, planned.launcher, planned.study_folder)
    if planned.launcher:
        compose_launcher_options(planned, launcher, jobs)


def compose_launcher_options(planned: Plan, launcher: str, jobs: int) -> dict[str, Any]:
    """Compose `hydra.launcher`, the options of a launcher.

    Args:
        planned: The sweep.
        launcher: Name of the launcher.
        jobs: Number of workers.

    Raises:
        UsageError: The launcher has no such option.
    """
    study = planned.study_overrides
    if launcher_named(planned.launcher) not in (None, launcher):
        # The study's YAML file sets options of another launcher, so only the place of the study is kept.
        place = {"results_dir": planned.configs[0].results_dir, "study.name": planned.configs[0].study.name}
        study = [f"{key}={quote(value)}" for key, value in place.items()]
    options = launcher_overrides(launcher, jobs, planned.launcher)
    with open_composer(planned.config_dir), explained(options):
        cfg = compose("config", [*study, *options], return_hydra_config=True)
        return cast(dict[str, Any], OmegaConf.to_container(cfg.hydra.launcher, resolve=True))
