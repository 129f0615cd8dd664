"""The fork server: a process that imports torch once, and that joblib's workers are forked from.

It is Python's own (`multiprocessing.forkserver`). Without it, each worker imports torch itself. Imports nothing slow.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.forkserver import ensure_running, set_forkserver_preload

PRELOADED = ["bptt_start", "experiments.sweeps.fork_server_preload", "__main__", "experiments.sweeps.worker"]
PRELOADED_FOR_TRAINING = "torch._dynamo"
"""Module that torch imports with its first optimizer, which takes as long as importing torch itself."""

STARTED_BY = "BPTT_STARTED_BY"
"""Environment variable with the id of the process that starts the fork server."""


def start_fork_server(*, training: bool = True) -> bool:
    """Start the fork server unless it is running.

    Args:
        training: Whether the workers will train.

    Returns:
        Whether there is one. There is only on Linux: elsewhere, it is not safe to fork after importing some libraries.
    """
    if sys.platform != "linux":
        return False
    set_forkserver_preload(PRELOADED + [PRELOADED_FOR_TRAINING] * training)
    with own_packages_first(), _environment(STARTED_BY, str(os.getpid())), _interrupts_ignored():
        ensure_running()
    return True


def start_fork_server_early(launcher: str | None, jobs: int | None, *, training: bool = True) -> None:
    """Start the fork server before the sweep is planned, if joblib's workers will probably be needed.

    Args:
        launcher: Hydra's launcher, if the user chose one.
        jobs: Number of workers, if the user gave it.
        training: Whether the workers will train.
    """
    if launcher in (None, "joblib") and (jobs or usable_processors()) > 1:
        start_fork_server(training=training)


def usable_processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def own_packages_first() -> Iterator[None]:
    """Keep the current folder off the path of new Python processes: it may have a `models` or an `experiments` too."""
    with _environment("PYTHONSAFEPATH", "1"):
        yield


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for the processes that start within the context."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes that start within the context ignore Ctrl-C until they set a handler of their own."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
