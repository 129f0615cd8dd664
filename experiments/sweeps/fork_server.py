"""The process that imports torch once, and that joblib's workers are forked from. Imports nothing slow itself."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.forkserver import ensure_running, set_forkserver_preload
from unittest.mock import patch

from experiments.sweeps.process_end import STARTED_BY

PRELOADED = ["bptt_start", "experiments.sweeps.forked_process", "__main__", "experiments.sweeps.sweep"]
FOR_TRAINING = "torch._dynamo"
"""What torch imports with its first optimizer, which takes as long as torch itself."""


def start(*, training: bool = True) -> bool:
    """Start it, unless it is running; whether it can be.

    Only on Linux: elsewhere, what libraries do when they are imported is not safely forked.
    """
    if sys.platform != "linux":
        return False
    set_forkserver_preload(PRELOADED + [FOR_TRAINING] * training)
    with own_packages_first(), patch.dict(os.environ, {STARTED_BY: str(os.getpid())}), _no_interrupts():
        ensure_running()
    return True


def start_early(launcher: str | None, jobs: int | None, *, training: bool = True) -> None:
    """Start it where joblib's workers are likely to be wanted, before it is known what for.

    Args:
        launcher: of Hydra, if the user said so.
        jobs: how many workers, if the user said so.
        training: whether they are to train.
    """
    if launcher in (None, "joblib") and (jobs or processors()) > 1:
        start(training=training)


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def own_packages_first() -> Iterator[None]:
    """Keep the current folder off a new Python's path: it may have a `models` or an `experiments` of its own."""
    with patch.dict(os.environ, {"PYTHONSAFEPATH": "1"}):
        yield


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Processes that are started within do not hear of interrupts, until they say that they want to."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
