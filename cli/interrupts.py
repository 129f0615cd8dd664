"""Ctrl-C is answered at once, also while torch computes and Python cannot listen."""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cli.frame import Frame
from experiments.sweeps.process_signals import close_signal_pipe, open_signal_pipe

INTERRUPTED = 130
"""Exit code of an interrupted command."""

STOPPING = "bptt: stopping when the current step lets go; Ctrl-C again stops at once"
STOPPED = "bptt: interrupted; what is written stays"

SECONDS_TO_STOP = 0.3
"""An interrupted command has ended by then, unless it is inside a long computation."""


@contextmanager
def answered() -> Iterator[None]:
    """Say that an interrupt was heard where the command does not end at once; let a second one end the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = open_signal_pipe()
    thread = threading.Thread(target=_answer, args=(signals,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        close_signal_pipe()
        thread.join()
        os.close(signals)


def _answer(signals: int) -> None:
    if not _hear(signals):
        return
    if not _arrives(signals):
        _say(STOPPING)
    if not _hear(signals):
        return
    while _arrives(signals):
        if not os.read(signals, 1):
            return
    if frame := Frame.current:
        frame.__exit__()
    _say(STOPPED)
    os._exit(INTERRUPTED)  # it frees the run's lock: its run.json is then read as interrupted


def _hear(signals: int) -> bool:
    """Wait for an interrupt; False where the command ends first."""
    while number := os.read(signals, 1):
        if number[0] in (signal.SIGINT, signal.SIGTERM):
            return True
    return False


def _arrives(signals: int) -> bool:
    """Whether a signal, or the end of the command, comes soon."""
    return bool(select.select([signals], [], [], SECONDS_TO_STOP)[0])


def _say(line: str) -> None:
    """Write a line on the terminal's picture, or past Python's buffer, whose lock the interrupted thread may hold."""
    if frame := Frame.current:
        frame.write(f"{line}\n")
    else:
        os.write(2, f"{line}\n".encode())
