"""bptt list"""

from typing import Annotated

import typer

from cli import completion
from cli.errors import one_line
from cli.options import ConfigDir
from cli.terminal import say


@one_line
def list_choices(
    group: Annotated[
        str | None,
        typer.Argument(
            help="cell, init, task, clip, optimizer, record, study or figure.",
            show_default=False,
            autocompletion=completion.groups,
        ),
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Print what there is to choose from.

    Cells, initialisations, tasks, clips, optimisers, records, studies and figures, each with a line of what it is.
    """
    from experiments.catalogue import catalogue
    from experiments.errors import UsageError

    groups = catalogue(config_dir)
    if group is not None and group not in groups:
        raise UsageError(f"{group}: there is no such group; choose from {', '.join(groups)}")
    for name in [group] if group else groups:
        typer.echo(name)
        width = max(map(len, groups[name]))
        for choice, line in groups[name].items():
            say(f"  {choice:<{width}}  {line}", indent=" " * (width + 4))
