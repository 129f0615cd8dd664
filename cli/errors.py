"""From an exception to one line and an exit code."""

import functools
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from cli.terminal import say
from experiments.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


def one_line(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command: a usage error is one line and exit code 2, an interrupt (also SIGTERM) exit code 130."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return command(*args, **kwargs)
        except UsageError as error:
            say(f"bptt: {error}", err=True)
            raise typer.Exit(WRONG_USAGE) from None
        except KeyboardInterrupt:
            typer.echo("bptt: interrupted; what is written stays", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            sys.stderr.close()
            raise typer.Exit(FAILED) from None
        except OSError as error:
            say(f"bptt: {error}", err=True)
            raise typer.Exit(FAILED) from None

    return wrapped
