"""Ctrl-C and SIGTERM: a command answers at once, even while torch computes and Python cannot run a signal handler."""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cli.redrawn_text import RedrawnText
from experiments.sweeps.process_signals import close_signal_pipe, open_signal_pipe

INTERRUPTED = 130
"""Exit code of an interrupted command."""

STOPPING_MESSAGE = "bptt: stopping after the current computation; press Ctrl-C again to stop at once"
INTERRUPTED_MESSAGE = "bptt: interrupted; results written so far are kept"

SECONDS_TO_STOP = 0.3
"""Time in which an interrupted command normally ends; one that takes longer is inside a long computation."""


@contextmanager
def answer_interrupts() -> Iterator[None]:
    """Answer interrupts while a command runs.

    If the command does not end soon after the first interrupt, a message says that it is stopping. The second interrupt
    ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = open_signal_pipe()
    thread = threading.Thread(target=_answer_signals, args=(signals,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        close_signal_pipe()
        thread.join()
        os.close(signals)


def _answer_signals(signals: int) -> None:
    if not _wait_for_interrupt(signals):
        return
    if not _is_readable_soon(signals):
        _write_line(STOPPING_MESSAGE)
    if not _wait_for_interrupt(signals):
        return
    while _is_readable_soon(signals):
        if not os.read(signals, 1):
            return
    if text := RedrawnText.current:
        text.__exit__()
    _write_line(INTERRUPTED_MESSAGE)
    os._exit(INTERRUPTED)  # this releases the run's lock, after which its run.json reads as interrupted


def _wait_for_interrupt(signals: int) -> bool:
    """Block until an interrupt arrives; return False if the command ends first."""
    while number := os.read(signals, 1):
        if number[0] in (signal.SIGINT, signal.SIGTERM):
            return True
    return False


def _is_readable_soon(signals: int) -> bool:
    """Whether another signal arrives, or the command ends, within `SECONDS_TO_STOP`."""
    return bool(select.select([signals], [], [], SECONDS_TO_STOP)[0])


def _write_line(line: str) -> None:
    """Write a line to stderr without Python's buffer, whose lock the interrupted thread may hold."""
    if text := RedrawnText.current:
        text.write(f"{line}\n")
    else:
        os.write(2, f"{line}\n".encode())
