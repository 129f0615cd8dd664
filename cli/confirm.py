"""A question before anything is deleted."""

import sys

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
