"""Text for a terminal: lines that break between words. A pipe gets each line whole."""

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED = 10_000
"""Columns of a pipe."""

ARGUMENT = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")


def stdout() -> "Console":
    """A console as wide as the terminal; of unlimited width for a pipe."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=UNLIMITED)


def say(text: Any, *, indent: str = "", err: bool = False) -> None:
    """Print a line, broken between words where the terminal is narrower.

    Args:
        text: The line.
        indent: What stands before each further line.
        err: Whether it goes to stderr.
    """
    lines = [str(text)]
    if (sys.stderr if err else sys.stdout).isatty():
        from rich.console import Console

        lines = wrap(lines[0].split(" "), Console(stderr=err).width, indent)
    typer.echo("\n".join(lines), err=err)


def wrap(pieces: Sequence[str], width: int, indent: str = "", *, start: str = "") -> list[str]:
    """Lines made of pieces that are never broken: one that is wider than the terminal gets a line of its own.

    Args:
        pieces: Such as the words of a sentence.
        width: Columns of the terminal; a Chinese, Japanese or Korean character takes two.
        indent: What stands before each line but the first.
        start: What stands before the first line.
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
    """The lines of a shell command, broken between arguments, each but the last ending in a backslash.

    They can be pasted into a shell as they are.
    """
    lines = wrap(ARGUMENT.findall(command), width - len(" \\"), indent)
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]
