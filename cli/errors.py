"""Errors as a user sees them: one line on stderr and an exit code.

| Exit code | Meaning |
| --- | --- |
| 0 | Success. |
| 1 | A run failed, or an input or output error, such as a full disk. |
| 2 | Wrong usage: the command line, the configuration or a path. |
| 130 | Interrupted by Ctrl-C or SIGTERM. |
"""

import functools
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

import typer

from cli.interrupts import INTERRUPTED, INTERRUPTED_MESSAGE, answer_interrupts
from cli.printing import print_wrapped
from experiments.errors import UsageError, is_out_of_memory

P = ParamSpec("P")
R = TypeVar("R")

FAILED, WRONG_USAGE = 1, 2


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command so that an expected error prints one line and sets the exit code."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with answer_interrupts():
                return command(*args, **kwargs)
        except UsageError as error:
            print_wrapped(f"bptt: {escape_control_characters(str(error))}", err=True)
            raise typer.Exit(WRONG_USAGE) from None
        except KeyboardInterrupt:
            typer.echo(INTERRUPTED_MESSAGE, err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            _discard_output()
            raise typer.Exit from None
        except SystemExit as error:
            if not isinstance(error.__context__, BrokenPipeError):
                raise
            _discard_output()  # rich turns a broken pipe into an exit with code 1
            raise typer.Exit from None
        except OSError as error:
            print_wrapped(f"bptt: {escape_control_characters(str(error))}", err=True)
            raise typer.Exit(FAILED) from None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            typer.echo("bptt: out of memory", err=True)
            raise typer.Exit(FAILED) from None

    return wrapped


def escape_control_characters(message: str) -> str:
    r"""Replace control characters by their escapes, such as `\r`, so that the message stays on one line."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], message)


def print_usage_errors_in_one_line() -> None:
    """Make Typer print its own errors, such as an unknown option, in one line like all other errors."""

    def show(self: Any, file: Any = None) -> None:
        command = self.ctx.command_path if self.ctx else "bptt"
        message = " ".join(self.format_message().split()).removesuffix(".")
        separator = "" if message.endswith("?") else ";"
        typer.echo(
            f"bptt: {message[:1].lower()}{message[1:]}{separator} see `{command} --help`", file, err=file is None
        )

    usage_error: Any = typer.BadParameter.__bases__[0]
    usage_error.show = show


def _discard_output() -> None:
    """Send the rest of the output to nowhere: the reader of the pipe, such as `head`, has closed it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
