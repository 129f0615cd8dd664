"""bptt list"""

import shutil
import textwrap
from collections.abc import Mapping
from typing import Annotated

import typer

from cli import completion
from cli.errors import one_line_errors
from cli.options import ConfigDir

LEAST_WIDTH = 24
"""Smallest number of columns for a description; on a narrower terminal it moves to a line of its own."""


@one_line_errors
def list_choices(
    group: Annotated[
        str | None,
        typer.Argument(
            metavar="GROUP",
            help="Print only this group, such as cell, task, study or figure.",
            show_default=False,
            autocompletion=completion.groups,
        ),
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Print the choices of each group, and their options.

    The groups are cell, task, optimizer and so on, the studies, the measures and the figures. Each option has its
    default and its meaning.

    Example: bptt list cell
    """
    from experiments.catalogue.choices import catalogue
    from experiments.catalogue.key_comments import options
    from experiments.errors import UsageError

    groups = catalogue(config_dir)
    if group is not None and _singular(group) not in groups:
        raise UsageError(f"{group}: {_advise(group, groups)}")
    group = group and _singular(group)
    for name in [group] if group else groups:
        typer.echo(name)
        width = max(map(len, groups[name]))
        for choice, description in groups[name].items():
            _print_hanging(f"  {choice:<{width}}  ", description)
            if name not in ("study", "measure", "figure"):  # a study sets keys of other groups; the others have none
                found = options(name, choice, config_dir)
                column = max((len(f"{one.key}={one.default}") for one in found), default=0)
                for one in found:
                    _print_hanging(f"{'':{width + 4}}{f'{one.key}={one.default}':<{column}}  ", one.comment)


def _advise(word: str, groups: Mapping[str, Mapping[str, str]]) -> str:
    """What would do in place of a word that is no group."""
    key, equals, choice = word.partition("=")
    if equals and (group := _singular(key)) in groups:
        known = choice in groups[group] and group not in ("measure", "figure")
        shown = f", `bptt show {group}={choice}` the keys of {choice}" if known else ""
        return f"give the group alone: `bptt list {group}` prints its choices{shown}"
    if having := [group for group, choices in groups.items() if word in choices]:
        return f"is no group, but a choice of {' and '.join(having)}: `bptt list {having[0]}` prints it"
    return f"there is no such group; choose from {', '.join(groups)}"


def _singular(group: str) -> str:
    """The name of a group for its plural or British spelling: 'cells', 'studies', 'optimisers'."""
    name = group.lower().replace("optimis", "optimiz")
    return name.removesuffix("ies") + "y" if name.endswith("ies") else name.removesuffix("s")


def _print_hanging(start: str, text: str) -> None:
    """Print a text after `start`, with further lines indented to the same column, or below it if there is no room."""
    width = shutil.get_terminal_size((200, 24)).columns
    if width - len(start) < LEAST_WIDTH:
        typer.echo(start.rstrip())
        start = " " * (len(start) - len(start.lstrip()) + 2)
    lines = textwrap.wrap(text, max(1, width - len(start)), break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines or [""]):
        typer.echo(((" " * len(start) if number else start) + line).rstrip())
