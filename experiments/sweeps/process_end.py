"""Processes that end by themselves: when they are interrupted, or when the one that started them is gone."""

import os
import signal
import threading
import time
from functools import cache

STARTED_BY = "BPTT_STARTED_BY"
"""Of the environment: the process that starts a new one, which may be gone before that can ask who it was."""
SECONDS_TO_END = 1.0
"""For a worker that has been interrupted, to record it."""


@cache
def end_with(parent: int) -> None:
    """Interrupt this process when its parent is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        signal.raise_signal(signal.SIGTERM)
        time.sleep(SECONDS_TO_END)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def listen() -> int:
    """Open a file from which the number of each signal can be read as it arrives, a byte each.

    Python runs a signal's handler only between two of its own instructions: not before a call into torch returns. A
    thread that reads from here hears of it at once. The end of the file is the end of `stop_listening`.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def stop_listening() -> None:
    """Close what `listen` opened, from the side of the signals."""
    os.close(signal.set_wakeup_fd(-1))


@cache
def end_when_interrupted() -> None:
    """End this process soon after it is interrupted, also in the middle of a long computation."""
    signals = listen()

    def watch() -> None:
        while os.read(signals, 1)[0] not in (signal.SIGINT, signal.SIGTERM):
            pass
        time.sleep(SECONDS_TO_END)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
