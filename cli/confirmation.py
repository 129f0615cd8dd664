"""Questions to the user before a command deletes or adds runs."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from experiments.store.status import FINISHED


def confirm(action: str, *, yes: bool) -> None:
    """Ask the user to confirm an action; return only if the answer is yes.

    Args:
        action: What the command is about to do, such as 'clean deletes 2 runs of results/mine'.
        yes: Whether the user confirmed with `--yes` on the command line.

    Raises:
        UsageError: stdin or stderr is not a terminal, so the question cannot be asked.
        typer.Abort: The answer is no.
    """
    from experiments.errors import UsageError

    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{action}: cannot ask for confirmation without a terminal; pass --yes")
    typer.confirm(f"{action}. Continue?", abort=True, err=True)


def confirm_fresh(folders: Sequence[Path], *, yes: bool) -> None:
    """Ask before `--fresh` deletes finished runs; ask nothing if none of them is finished.

    Args:
        folders: Folders of the runs that are about to start over.
        yes: Whether the user confirmed with `--yes` on the command line.
    """
    from experiments.store.run_folders import folders_with_status
    from experiments.wording import counted

    if finished := folders_with_status(folders, *FINISHED, "damaged"):
        confirm(f"--fresh deletes {counted(len(finished), 'finished run')} in {finished[0].parent.parent}", yes=yes)
