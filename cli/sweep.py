"""bptt sweep"""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.confirm import confirm
from cli.errors import FAILED, one_line
from cli.options import ConfigDir, Jobs, Launcher, Overrides, Quiet, Resume, Retry, Yes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from experiments.lifecycle import Result
    from experiments.sweep import Plan

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
    goes on with what was cut off, and skips what is done. The study's folder, RESULTS_DIR/STUDY, with summary.csv and
    runs/, is the last line on stdout.

    Example: bptt sweep cell=rnn,lstm,gru task.length=50,100,200 'seed=range(5)' study=reach
    """
    from experiments.forkserver import start_early

    start_early(launcher, jobs)
    from cli.table import print_runs
    from experiments.composition import extend_path
    from experiments.errors import UsageError
    from experiments.grid import is_search
    from experiments.launching import choose
    from experiments.sweep import plan

    def make(planned: "Plan") -> list["Result"]:
        return make_all(
            planned, launcher=launcher, jobs=jobs, fresh=fresh, retry=retry, yes=yes, quiet=quiet, searching=searching
        )

    def tell(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    extend_path(config_dir)
    searching = is_search(overrides or [])
    if searching:
        from experiments.search import search

        if fresh:
            raise UsageError("--fresh: a search keeps what it has; give it another study=NAME")
        objective = objective or "best_error"
        _, side_by_side = choose(launcher, jobs, MOST_TRIALS)
        found = search(overrides or [], config_dir, objective=objective, jobs=side_by_side, sweep=make, tell=tell)
        study, folders = found.study, found.folders
    else:
        if objective is not None:
            raise UsageError(f"--objective {objective}: is of a search; say hydra/sweeper=optuna")
        planned = plan(overrides or [], config_dir)
        make(planned)
        study, folders = planned.study_folder, planned.folders
    print_runs(study, [folder.name for folder in folders], quiet=quiet)
    if searching and not quiet:
        typer.echo(f"best {objective}: {found.value:.4g}, {found.best}" if found.best else f"no run has a {objective}")
    unfinished = tell_unfinished(folders)
    typer.echo(study)
    if unfinished:
        raise typer.Exit(FAILED)


def make_all(
    planned: "Plan",
    *,
    launcher: str | None,
    jobs: int | None,
    fresh: bool,
    retry: bool,
    yes: bool,
    quiet: bool,
    searching: bool = False,
) -> list["Result"]:
    """Make the runs of a plan, shown as they are made; the options are those of `bptt sweep`."""
    from cli.progress import shown
    from experiments.launching import choose
    from experiments.status import of_status
    from experiments.sweep import reopen_all, sweep
    from experiments.wording import counted

    if fresh and (finished := of_status(planned.folders, "completed", "diverged")):
        confirm(f"--fresh deletes {counted(len(finished), 'finished run')} in {planned.study_folder}", yes=yes)
    reopen_all(planned, fresh=fresh, retry=retry)
    named, number = choose(launcher, jobs, len(planned.configs))
    with shown(planned.tasks(), quiet=quiet, may_be_fresh=not searching):
        return sweep(planned, launcher=named, jobs=number)


def tell_unfinished(folders: "Sequence[Path]") -> bool:
    """Say which runs are not as they should be, and what would do; whether there are any."""
    from experiments.results import read_json
    from experiments.status import of_status
    from experiments.wording import counted

    failed, cut_off = of_status(folders, "failed"), of_status(folders, "interrupted", None)
    for folder in failed:
        typer.echo(f"{folder.name} failed: {read_json(folder / 'run.json')['error']}", err=True)
    if cut_off:
        typer.echo(
            f"{counted(len(cut_off), 'run')} cut off; the same command resumes {'it' if len(cut_off) == 1 else 'them'}",
            err=True,
        )
    if any(not read_json(folder / "run.json").get("retry") for folder in failed):
        typer.echo("--retry starts over what failed", err=True)
    return bool(failed or cut_off)
