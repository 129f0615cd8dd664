"""bptt clean"""

from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion
from cli.confirm import confirm
from cli.errors import one_line
from cli.options import ResultsDir, Yes
from cli.terminal import say

if TYPE_CHECKING:
    from experiments.store.status import Status


@one_line
def clean(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="By name or folder.", show_default=False, autocompletion=completion.studies
        ),
    ],
    failed: Annotated[bool, typer.Option("--failed", help="Runs that raised an error.")] = False,
    interrupted: Annotated[bool, typer.Option("--interrupted", help="Runs that were cut off.")] = False,
    damaged: Annotated[
        bool, typer.Option("--damaged", help="Runs whose files are not what the run wrote, and copies of runs.")
    ] = False,
    yes: Yes = False,
    results_dir: ResultsDir = "results",
) -> None:
    """Delete the runs of a study that are of no more use.

    Asks first, and brings summary.csv up to date. Runs that ended well are never deleted, nor any that are being made.
    Damaged runs are named; --damaged deletes them.

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
        raise UsageError("clean: say which runs to delete: --failed, --interrupted, --damaged")
    folder = find_study(study, results_dir)
    if not damaged:
        for line in read_runs(folder).damage_report():
            typer.echo(line, err=True)
    folders = find_runs_to_delete(folder, statuses)
    if folders:
        for one, what in folders.items():
            typer.echo(f"{one}: {what}" if what else one, err=True)
        confirm(f"clean deletes {counted(len(folders), 'run')} of {folder}", yes=yes)
        delete_runs(folder, folders)
    say(f"{folder}: {counted(len(folders), 'run')} deleted")
