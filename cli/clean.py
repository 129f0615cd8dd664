"""bptt clean"""

from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion
from cli.confirm import confirm
from cli.errors import one_line
from cli.options import ResultsDir, Yes
from cli.terminal import say

if TYPE_CHECKING:
    from experiments.status import Status


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
    yes: Yes = False,
    results_dir: ResultsDir = "results",
) -> None:
    """Delete the runs of a study that are of no more use.

    Asks first, and brings summary.csv up to date. Runs that ended well are never deleted, nor any that are being made.

    Example: bptt clean quickstart --failed
    """
    from experiments.errors import UsageError
    from experiments.housekeeping import clean as delete
    from experiments.housekeeping import unwanted
    from experiments.study import find_study

    statuses: list[Status] = []
    if failed:
        statuses.append("failed")
    if interrupted:
        statuses.append("interrupted")
    if not statuses:
        raise UsageError("clean: say what is to be deleted: --failed, --interrupted, or both")
    folder = find_study(study, results_dir)
    folders = unwanted(folder, statuses)
    if folders:
        for one in folders:
            typer.echo(one, err=True)
        confirm(f"clean deletes {len(folders)} runs of {folder}", yes=yes)
        delete(folder, folders)
    say(f"{folder}: {len(folders)} runs deleted")
