"""bptt clean"""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.confirmation import confirm
from cli.errors import one_line_errors
from cli.options import ResultsDir, Study, Yes
from cli.printing import print_wrapped

if TYPE_CHECKING:
    from experiments.store.status import Status


@one_line_errors
def clean(
    study: Study,
    failed: Annotated[bool, typer.Option("--failed", help="Delete runs that failed with an error.")] = False,
    interrupted: Annotated[bool, typer.Option("--interrupted", help="Delete runs that were interrupted.")] = False,
    damaged: Annotated[
        bool,
        typer.Option("--damaged", help="Delete runs whose files are missing or were changed, and copies of runs."),
    ] = False,
    yes: Yes = False,
    results_dir: ResultsDir = "results",
) -> None:
    """Delete failed, interrupted or damaged runs of a study.

    Asks for confirmation, deletes the runs and updates summary.csv. Finished runs that are not damaged, and runs that
    are still running, are never deleted.

    Example: bptt clean quickstart --failed
    """
    from experiments.analysis.cleaning import delete_runs, find_runs_to_delete
    from experiments.errors import UsageError
    from experiments.store.studies import find_study, read_runs
    from experiments.wording import counted

    statuses: list[Status] = []
    if failed:
        statuses.append("failed")
    if interrupted:
        statuses.append("interrupted")
    if damaged:
        statuses.append("damaged")
    if not statuses:
        raise UsageError("clean: which runs? give one or more of --failed, --interrupted, --damaged")
    folder = find_study(study, results_dir)
    if not damaged:
        for line in read_runs(folder).damage_report():
            typer.echo(line, err=True)
    folders = find_runs_to_delete(folder, statuses)
    if folders:
        for run_folder, problem in folders.items():
            typer.echo(f"{run_folder}: {problem}" if problem else run_folder, err=True)
        confirm(f"clean deletes {counted(len(folders), 'run')} of {folder}", yes=yes)
        delete_runs(folder, folders)
    print_wrapped(f"{folder}: {counted(len(folders), 'run')} deleted")
