"""bptt sweep"""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from cli.confirm import confirm, confirm_fresh
from cli.errors import FAILED, one_line
from cli.options import ConfigDir, Jobs, Launcher, Overrides, Quiet, Resume, Retry, Yes
from cli.resuming import Asked, planned_before
from cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from experiments.sweeps.plan import Plan
    from experiments.sweeps.search import SearchResult
    from experiments.training.execution import Result

MOST_TRIALS = 1000
"""That a search makes side by side, if it has as many processors."""


@one_line
def sweep(
    overrides: Overrides = None,
    jobs: Jobs = None,
    launcher: Launcher = None,
    config_dir: ConfigDir = None,
    fresh: Resume = False,
    retry: Retry = False,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Of summary.csv: what hydra/sweeper=optuna minimises.  [default: best_error]",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    quiet: Quiet = False,
) -> None:
    """Train a grid of networks.

    Its axes are lists (cell=rnn,lstm), ranges (seed=range(5)), or those of a study (study=quickstart). With
    hydra/sweeper=optuna it is a search instead, also in intervals ('optimizer.lr=tag(log,interval(1e-4,1e-1))'), of
    hydra.sweeper.n_trials=20 runs. With hydra.sweeper.storage=sqlite:///FILE it adds to the trials in that file.

    All combinations are checked before the first one starts. One that fails does not stop the others. The same command
    goes on with what was cut off, and skips what is done; `bptt sweep study=NAME` resumes the sweeps of a study of your
    own. The study's folder, RESULTS_DIR/STUDY, with summary.csv and runs/, is the last line on stdout.

    Example: bptt sweep cell=rnn,lstm,gru task.length=50,100,200 'seed=range(5)' study=reach
    """
    from experiments.sweeps.fork_server import start_fork_server_early

    launcher = launcher_asked(launcher, overrides or [])
    start_fork_server_early(launcher, jobs)
    asked = Asked(overrides or [], config_dir, launcher, jobs, objective)
    unfinished = False
    for one in planned_before(asked) or [asked]:
        study, incomplete = _sweep(one, fresh=fresh, retry=retry, yes=yes, quiet=quiet)
        unfinished |= incomplete
    typer.echo(study)
    if unfinished:
        raise typer.Exit(FAILED)


def _sweep(asked: Asked, *, fresh: bool, retry: bool, yes: bool, quiet: bool) -> "tuple[Path, bool]":
    """Make the runs of a sweep or of a search; the study's folder, and whether any run is not as it should be."""
    from cli.table import print_runs
    from experiments.config.grid import expand
    from experiments.config.hydra_keys import launcher_named
    from experiments.config.user_folder import extend_python_path
    from experiments.errors import UsageError
    from experiments.sweeps.launchers import choose_launcher
    from experiments.sweeps.plan import plan_grid

    results: list[Result] = []

    def make(planned: "Plan") -> None:
        results.extend(
            make_all(
                planned,
                launcher=launcher,
                jobs=asked.jobs,
                fresh=fresh,
                retry=retry,
                yes=yes,
                quiet=quiet,
                command=asked.command,
                searching=grid.search is not None,
            )
        )

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    extend_python_path(asked.config_dir)
    grid = expand(asked.overrides, asked.config_dir)
    launcher = asked.launcher or launcher_named(grid.launcher)
    if grid.search is not None:
        from experiments.sweeps.search import search

        if fresh:
            raise UsageError("--fresh: a search keeps what it has; give it another study=NAME")
        objective = asked.objective or "best_error"
        _, side_by_side = choose_launcher(launcher, asked.jobs, MOST_TRIALS)
        found = search(grid, asked.config_dir, objective=objective, jobs=side_by_side, sweep=make, report=tell)
        study, folders = found.study, found.folders
    else:
        if asked.objective is not None:
            raise UsageError(f"--objective {asked.objective}: is of a search; say hydra/sweeper=optuna")
        planned = plan_grid(grid, asked.config_dir)
        study, folders = planned.study_folder, planned.folders
        if asked.only_names and asked.command is None:
            _confirm_default_run(asked, folders[0], yes=yes)
        make(planned)
    print_runs(study, [folder.name for folder in folders], quiet=quiet)
    if grid.search is not None and not quiet:
        tell_best(found, objective)
    return study, tell_unfinished(folders) | tell_doubtful(results)


def _confirm_default_run(asked: Asked, folder: "Path", *, yes: bool) -> None:
    """Ask before a run with the default values joins other runs, where only the name of their study is given."""
    from experiments.wording import counted

    study = folder.parent.parent
    others = sum(1 for _ in study.glob("runs/*/run.json"))
    if others and not (folder / "run.json").exists():
        what = f"adds 1 run with the default values to {study}, which has {counted(others, 'other run')}"
        confirm(f"{' '.join(asked.overrides)}: {what}", yes=yes)


def launcher_asked(launcher: str | None, overrides: "Sequence[str]") -> str | None:
    """The launcher of `--launcher`, or else of `hydra/launcher=` among the overrides."""
    from experiments.config.hydra_keys import launcher_named
    from experiments.errors import UsageError

    named = launcher_named(overrides)
    if launcher and named and launcher != named:
        raise UsageError(f"hydra/launcher={named}: --launcher says {launcher}; give one of them")
    return launcher or named


def make_all(
    planned: "Plan",
    *,
    launcher: str | None,
    jobs: int | None,
    fresh: bool,
    retry: bool,
    yes: bool,
    quiet: bool,
    command: str | None = None,
    searching: bool = False,
) -> list["Result"]:
    """Make the runs of a plan, shown as they are made; the options are those of `bptt sweep`.

    Args:
        command: Earlier command that is resumed.
        searching: Whether a search picks the runs, which cannot start over.
    """
    from cli.progress import show_progress
    from experiments.config.hydra_keys import launcher_named
    from experiments.store.run_folders import discard
    from experiments.sweeps.launchers import choose_launcher
    from experiments.sweeps.plan import check_launcher_options
    from experiments.sweeps.sweep import find_damaged_or_outdated, prepare_run_folders, sweep

    named, number = choose_launcher(launcher or launcher_named(planned.launcher), jobs, len(planned.configs))
    check_launcher_options(planned, named, number)
    if fresh:
        confirm_fresh(planned.folders, yes=yes)
    if retry and not fresh and (again := find_damaged_or_outdated(planned)):
        confirm(f"--retry deletes finished runs in {planned.study_folder}: {reasons(again)}", yes=yes)
        for result in again:
            discard(result.folder)
    prepare_run_folders(planned, fresh=fresh, retry=retry)
    with show_progress(planned.followed_runs(), quiet=quiet, may_be_fresh=not searching):
        return sweep(planned, launcher=named, jobs=number, command=command)


def tell_doubtful(results: "Sequence[Result]", option: str = "--retry") -> bool:
    """Say how many finished runs are damaged, or made from files that have changed since; whether any is.

    Args:
        results: How the runs ended.
        option: Option that makes them again.
    """
    doubtful = list({result.folder: result for result in results if result.is_doubtful}.values())
    if doubtful:
        say(f"{reasons(doubtful)}; {option} makes {'it' if len(doubtful) == 1 else 'them'} again", err=True)
    return bool(doubtful)


def reasons(doubtful: "Sequence[Result]") -> str:
    """What is wrong with how many runs: '1 run is damaged, 2 runs were made from another version of sensor.csv'."""
    from experiments.wording import counted

    said = []
    for files, number in Counter("" if one.status == "damaged" else one.changed for one in doubtful).items():
        is_, was = ("is", "was") if number == 1 else ("are", "were")
        what = f"{was} made from another version of {files}" if files else f"{is_} damaged"
        said.append(f"{counted(number, 'run')} {what}")
    return ", ".join(said)


def tell_best(found: "SearchResult", objective: str) -> None:
    """Say which trial of a search is the best, and whether its error is better than chance."""
    from experiments.analysis.configuration_findings import best_of
    from experiments.store.studies import read_runs
    from experiments.wording import counted

    if found.best is None:
        typer.echo(f"no run has a {objective}")
        return
    folders = set(found.folders)
    trials = [run for run in read_runs(found.study) if run.folder in folders]
    best = next(run for run in trials if run.folder == found.best)
    say(f"best of {counted(len(trials), 'run')}: {objective} {found.value:.4g}, {found.best}")
    if verdict := best_of(trials, best):
        say(f"its {verdict}")


def tell_unfinished(folders: "Sequence[Path]") -> bool:
    """Say which runs are not as they should be, and what would do; whether there are any."""
    from experiments.store.files import read_json
    from experiments.store.status import of_status
    from experiments.wording import counted

    failed, cut_off = of_status(folders, "failed"), of_status(folders, "interrupted", None)
    for folder in failed:
        say(f"{folder.name} failed: {read_json(folder / 'run.json')['error']}", err=True)
    if cut_off:
        again = "it" if len(cut_off) == 1 else "them"
        say(f"{counted(len(cut_off), 'run')} cut off; the same command resumes {again}", err=True)
    if any(not read_json(folder / "run.json").get("retry") for folder in failed):
        typer.echo("--retry starts over what failed", err=True)
    return bool(failed or cut_off)
