"""Signals and the end of processes: exit when interrupted or when the parent is gone. Imports nothing slow."""

import os
import signal
import threading
import time
from functools import cache

SECONDS_TO_EXIT = 1.0
"""Time that an interrupted worker has to record that its run was interrupted."""


@cache
def exit_with_parent(parent: int) -> None:
    """Interrupt this process, and soon after end it, when its parent process is gone.

    Args:
        parent: Process id of the parent.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        signal.raise_signal(signal.SIGTERM)
        time.sleep(SECONDS_TO_EXIT)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@cache
def exit_when_interrupted() -> None:
    """End this process soon after SIGINT or SIGTERM, even in the middle of a long computation."""
    signals = open_signal_pipe()

    def watch() -> None:
        while os.read(signals, 1)[0] not in (signal.SIGINT, signal.SIGTERM):
            pass
        time.sleep(SECONDS_TO_EXIT)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def open_signal_pipe() -> int:
    """Open a pipe from which the number of each signal can be read as it arrives, one byte each.

    Python runs a signal's handler only between two instructions of its own, so not before a call into torch returns. A
    thread that reads from this pipe notices the signal at once. `close_signal_pipe` ends the file.

    Returns:
        File descriptor of the reading end.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def close_signal_pipe() -> None:
    """Close the writing end of the pipe that `open_signal_pipe` opened."""
    os.close(signal.set_wakeup_fd(-1))
