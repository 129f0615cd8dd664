"""Processes that end when the one that started them is gone: nobody is there any more to tell them to stop."""

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
