"""A question before anything is deleted."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer


def confirm(what: str, *, yes: bool) -> None:
    """Ask whether it is to be done, on a terminal.

    Args:
        what: is going to be done.
        yes: the answer was given on the command line.

    Raises:
        UsageError: there is nobody to ask.
        typer.Abort: the answer is no.
    """
    from experiments.errors import UsageError

    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{what}: nobody is there to be asked; add --yes")
    typer.confirm(f"{what}. Go on?", abort=True, err=True)


def confirm_fresh(folders: Sequence[Path], *, yes: bool) -> None:
    """Ask before --fresh deletes finished runs; nothing is asked if none is finished.

    Args:
        folders: Folders of the runs that are about to be made again.
        yes: the answer was given on the command line.
    """
    from experiments.store.run_folders import folders_with_status
    from experiments.store.status import FINISHED

    if finished := folders_with_status(folders, *FINISHED, "damaged"):
        runs = "1 finished run" if len(finished) == 1 else f"{len(finished)} finished runs"
        confirm(f"--fresh deletes {runs} in {finished[0].parent.parent}", yes=yes)
