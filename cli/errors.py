"""From an exception to one line and an exit code."""

import functools
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

import typer

from cli.interrupts import INTERRUPTED, STOPPED, answered
from cli.terminal import say
from experiments.errors import UsageError, is_out_of_memory

P = ParamSpec("P")
R = TypeVar("R")

FAILED, WRONG_USAGE = 1, 2


def one_line(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command: a usage error is one line and exit code 2, an interrupt (also SIGTERM) exit code 130."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with answered():
                return command(*args, **kwargs)
        except UsageError as error:
            say(f"bptt: {visible(str(error))}", err=True)
            raise typer.Exit(WRONG_USAGE) from None
        except KeyboardInterrupt:
            typer.echo(STOPPED, err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            _stop_printing()
            raise typer.Exit from None
        except SystemExit as error:
            if not isinstance(error.__context__, BrokenPipeError):
                raise
            _stop_printing()  # rich has met a broken pipe, and wants to exit with 1
            raise typer.Exit from None
        except OSError as error:
            say(f"bptt: {visible(str(error))}", err=True)
            raise typer.Exit(FAILED) from None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            typer.echo("bptt: out of memory", err=True)
            raise typer.Exit(FAILED) from None

    return wrapped


def visible(message: str) -> str:
    """A message in one line of a terminal: control characters, such as a carriage return, are spelt out."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], message)


def use_one_line() -> None:
    """Let Typer's own complaints, of an option that does not exist or has a wrong value, be one line as well."""

    def show(self: Any, file: Any = None) -> None:
        command = self.ctx.command_path if self.ctx else "bptt"
        said = " ".join(self.format_message().split()).removesuffix(".")
        typer.echo(f"bptt: {said[:1].lower()}{said[1:]}; see `{command} --help`", file, err=file is None)

    usage_error: Any = typer.BadParameter.__bases__[0]
    usage_error.show = show


def _stop_printing() -> None:
    """Send what is still to be printed nowhere: its reader, such as `head`, has seen enough."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
