"""bptt list"""

import shutil
import textwrap
from typing import Annotated

import typer

from cli import completion
from cli.errors import one_line
from cli.options import ConfigDir

LEAST_WIDTH = 24
"""Columns that a text keeps on a narrow terminal."""


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
    """Print the choices of each group, and their options.

    Cells, initialisations, tasks, clips, optimisers, records, studies and figures. An option stands with its default
    and its meaning.

    Example: bptt list cell
    """
    from experiments.catalogue.choices import catalogue
    from experiments.catalogue.key_comments import options
    from experiments.errors import UsageError

    groups = catalogue(config_dir)
    if group is not None and (group := _singular(group)) not in groups:
        raise UsageError(f"{group}: there is no such group; choose from {', '.join(groups)}")
    for name in [group] if group else groups:
        typer.echo(name)
        width = max(map(len, groups[name]))
        for choice, line in groups[name].items():
            _print(f"  {choice:<{width}}  ", line)
            if name not in ("study", "figure"):  # a study sets keys of other groups, and a figure has none
                found = options(name, choice, config_dir)
                column = max((len(f"{one.key}={one.default}") for one in found), default=0)
                for one in found:
                    _print(f"{'':{width + 4}}{f'{one.key}={one.default}':<{column}}  ", one.comment)


def _singular(group: str) -> str:
    """The name of a group, also from its plural: 'cells', 'studies', 'optimisers'."""
    name = group.lower().replace("optimis", "optimiz")
    return name.removesuffix("ies") + "y" if name.endswith("ies") else name.removesuffix("s")


def _print(begin: str, text: str) -> None:
    """A text that goes on below where it began, or all of it below where there is no room; it breaks between words."""
    width = shutil.get_terminal_size((200, 24)).columns
    if width - len(begin) < LEAST_WIDTH:
        typer.echo(begin.rstrip())
        begin = " " * (len(begin) - len(begin.lstrip()) + 2)
    lines = textwrap.wrap(text, max(1, width - len(begin)), break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines or [""]):
        typer.echo(((" " * len(begin) if number else begin) + line).rstrip())
