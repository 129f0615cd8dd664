"""Printing text: lines break between words in a terminal, and stay whole in a pipe."""

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED = 10_000
"""Width and height, in characters, of output that is not a terminal."""

ARGUMENT = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")
"""One argument of a shell command, with its quotes."""


def stdout_console() -> "Console":
    """A rich console on stdout: as wide as the terminal, of unlimited size for a pipe or a file."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=UNLIMITED, height=UNLIMITED)


def print_wrapped(text: Any, *, indent: str = "", err: bool = False) -> None:
    """Print a line, broken between words where the terminal is too narrow for it.

    Args:
        text: The line.
        indent: Prefix of each line but the first.
        err: Whether to print to stderr instead of stdout.
    """
    lines = [str(text)]
    if (sys.stderr if err else sys.stdout).isatty():
        from rich.console import Console

        lines = wrap(lines[0].split(" "), Console(stderr=err).width, indent)
    typer.echo("\n".join(lines), err=err)


def wrap(pieces: Sequence[str], width: int, indent: str = "", *, start: str = "") -> list[str]:
    """Join pieces of text to lines of at most `width` columns; a piece that is wider gets a line of its own.

    Args:
        pieces: Pieces that are never broken, such as the words of a sentence.
        width: Columns of the terminal; a Chinese, Japanese or Korean character takes two.
        indent: Prefix of each line but the first.
        start: Prefix of the first line.
    """
    from rich.cells import cell_len

    lines = [start + pieces[0]]
    for piece in pieces[1:]:
        if cell_len(longer := f"{lines[-1]} {piece}") <= width:
            lines[-1] = longer
        else:
            lines.append(indent + piece)
    return lines


def wrap_command(command: str, width: int, indent: str = "  ") -> list[str]:
    """Break a shell command between arguments, with a backslash at the end of each line but the last.

    The lines can be pasted into a shell as they are.
    """
    lines = wrap(ARGUMENT.findall(command), width - len(" \\"), indent)
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]
