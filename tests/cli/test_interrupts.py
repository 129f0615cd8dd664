"""Ctrl-C where another error takes its place, or where Python drops it: the command still ends as interrupted."""

import signal
import time
import weakref

import pytest
import typer

from cli.errors import one_line_errors
from cli.interrupts import INTERRUPTED, INTERRUPTED_MESSAGE
from experiments.errors import UsageError


def as_a_library_does():
    """As in Hydra, which closes in a `finally` a file that an interrupt kept it from opening."""
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        raise UnboundLocalError("f")


def as_usage():
    try:
        signal.raise_signal(signal.SIGINT)
    except BaseException as error:
        raise UsageError("the configuration cannot be read") from error


def in_a_callback():
    """As in the import system, whose callbacks of weak references drop every error."""

    class Dropped:
        pass

    one = Dropped()
    reference = weakref.ref(one, lambda _: signal.raise_signal(signal.SIGINT))
    del one
    time.sleep(5)
    raise AssertionError(reference)


@pytest.mark.parametrize("command", [as_a_library_does, as_usage, in_a_callback])
def test_an_interrupt_ends_the_command_wherever_it_comes(command, capfd, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # SIGTERM keeps its handler in the process of the tests
    with pytest.raises(typer.Exit) as ended:
        one_line_errors(command)()
    assert ended.value.exit_code == INTERRUPTED
    assert capfd.readouterr().err == f"{INTERRUPTED_MESSAGE}\n"


def test_an_error_without_an_interrupt_stays_an_error(capfd):
    def wrong():
        """As Hydra's errors and ours do, each is the cause or the context of the other."""
        usage = UsageError("cell: no such cell")
        try:
            raise KeyError("cell") from usage
        except KeyError:
            raise usage from None

    with pytest.raises(typer.Exit) as ended:
        one_line_errors(wrong)()
    assert ended.value.exit_code == 2
    assert capfd.readouterr().err == "bptt: cell: no such cell\n"
