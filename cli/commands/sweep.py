"""bptt sweep"""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.confirmation import confirm
from cli.errors import FAILED, one_line_errors
from cli.options import ConfigDir, Jobs, Launcher, Overrides, Quiet, Resume, Retry, Yes
from cli.printing import print_wrapped
from cli.resume_study import SweepRequest, earlier_sweeps
from cli.run_plan import requested_launcher, run_plan, warn_of_doubtful, warn_of_unfinished, warn_of_unrecorded

if TYPE_CHECKING:
    from pathlib import Path

    from experiments.sweeps.plan import Plan
    from experiments.sweeps.search import SearchResult
    from experiments.training.execution import Result

MOST_TRIALS = 1000
"""Upper limit of the trials that a search runs at a time."""


@one_line_errors
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
            help="For a search with hydra/sweeper=optuna: column of summary.csv to minimise.  [default: best_error]",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    quiet: Quiet = False,
) -> None:
    """Train all combinations of some settings.

    The settings are lists (cell=rnn,lstm), ranges (seed=range(5)), or those of a study (study=quickstart). bptt checks
    all combinations before it starts the first run. If a run fails, the others continue.

    Run the same command again to resume interrupted runs; finished runs are skipped. `bptt sweep study=NAME` resumes
    all sweeps of your own study NAME.

    With hydra/sweeper=optuna, a search chooses the settings of hydra.sweeper.n_trials=20 runs from lists, ranges and
    intervals ('optimizer.lr=tag(log,interval(1e-4,1e-1))'). With hydra.sweeper.storage=sqlite:///FILE it continues the
    search in that file.

    The last line on stdout is the study's folder, RESULTS_DIR/STUDY, which contains summary.csv and runs/.

    Example: bptt sweep cell=rnn,lstm,gru task.length=50,100,200 'seed=range(5)' study=reach
    """
    from experiments.config.user_folder import extend_python_path
    from experiments.sweeps.fork_server import start_fork_server_early

    launcher = requested_launcher(launcher, overrides or [])
    start_fork_server_early(launcher, jobs)
    extend_python_path(config_dir)
    request = SweepRequest(overrides or [], config_dir, launcher, jobs, objective)
    has_problems = False
    for one in earlier_sweeps(request) or [request]:
        study, has_problems_itself = _sweep(one, fresh=fresh, retry=retry, yes=yes, quiet=quiet)
        has_problems |= has_problems_itself
    typer.echo(study)
    if has_problems:
        raise typer.Exit(FAILED)


def _sweep(request: SweepRequest, *, fresh: bool, retry: bool, yes: bool, quiet: bool) -> "tuple[Path, bool]":
    """Run a sweep or a search; return the study's folder, and whether any run is unfinished, damaged or outdated."""
    from cli.print_results import print_runs
    from experiments.config.grid import expand
    from experiments.config.hydra_keys import launcher_named
    from experiments.config.user_folder import extend_python_path
    from experiments.errors import UsageError
    from experiments.sweeps.launchers import choose_launcher
    from experiments.sweeps.plan import plan_grid

    results: list[Result] = []

    def run(planned: "Plan") -> None:
        results.extend(
            run_plan(
                planned,
                launcher=launcher,
                jobs=request.jobs,
                fresh=fresh,
                retry=retry,
                yes=yes,
                quiet=quiet,
                command=request.command,
                searching=grid.search is not None,
            )
        )

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    extend_python_path(request.config_dir)
    grid = expand(request.overrides, request.config_dir)
    launcher = request.launcher or launcher_named(grid.launcher)
    if grid.search is not None:
        from experiments.sweeps.search import search

        if fresh:
            raise UsageError("--fresh: a search keeps its finished runs; for a new search, choose another study=NAME")
        objective = request.objective or "best_error"
        _, side_by_side = choose_launcher(launcher, request.jobs, MOST_TRIALS)
        found = search(grid, request.config_dir, objective=objective, jobs=side_by_side, sweep=run, report=tell)
        study, folders = found.study, found.folders
    else:
        if request.objective is not None:
            raise UsageError(f"--objective {request.objective}: only for a search; add hydra/sweeper=optuna")
        planned = plan_grid(grid, request.config_dir)
        study, folders = planned.study_folder, planned.folders
        if request.only_names_study and request.command is None:
            _confirm_default_run(request, folders[0], yes=yes)
        run(planned)
    print_runs(study, [folder.name for folder in folders], quiet=quiet)
    if grid.search is not None and not quiet:
        print_best_trial(found, objective)
    return study, warn_of_unfinished(folders) | warn_of_doubtful(results) | warn_of_unrecorded(results)


def _confirm_default_run(request: SweepRequest, folder: "Path", *, yes: bool) -> None:
    """Ask before a request that only names a study adds a run with the default values to the study's other runs."""
    from experiments.wording import counted

    study = folder.parent.parent
    others = sum(1 for _ in study.glob("runs/*/run.json"))
    if others and not (folder / "run.json").exists():
        action = f"adds 1 run with the default values to {study}, which has {counted(others, 'other run')}"
        confirm(f"{' '.join(request.overrides)}: {action}", yes=yes)


def print_best_trial(found: "SearchResult", objective: str) -> None:
    """Print the best trial of a search, and how its error compares with chance."""
    from experiments.analysis.configuration_findings import describe_best_trial
    from experiments.store.studies import read_runs
    from experiments.wording import counted

    if found.best is None:
        typer.echo(f"no run has a value of {objective}")
        return
    folders = set(found.folders)
    trials = [run for run in read_runs(found.study) if run.folder in folders]
    best = next(run for run in trials if run.folder == found.best)
    print_wrapped(f"best of {counted(len(trials), 'run')}: {objective} {found.value:.4g}, {found.best}")
    if verdict := describe_best_trial(trials, best):
        print_wrapped(f"its {verdict}")
