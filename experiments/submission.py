"""submitit's executor for sweeps that lose workers, and go on."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import submitit
from submitit.core.utils import UncompletedJobError
from submitit.local.local import LocalJob

SECONDS_BETWEEN_LOOKS = 0.2


class EndedJob:
    """A job that is over, well or not."""

    def __init__(self, job: submitit.Job[Any]) -> None:
        self._job = job

    def results(self) -> list[Any]:
        """What its tasks returned; [None] where it was killed or cancelled, or its node was lost."""
        try:
            results: list[Any] = self._job.results()
        except UncompletedJobError:
            return [None]
        return results


class PatientExecutor(submitit.AutoExecutor):
    """Waits for all jobs of an array, whatever becomes of one of them; on an interrupt it cancels them all."""

    def map_array(self, fn: Callable[..., Any], *iterable: Iterable[Any]) -> list[Any]:
        """Submit an array, and wait for it."""
        with _deaf_to_ctrl_c():
            jobs = super().map_array(fn, *iterable)
        try:
            while not all(job.done() for job in jobs):
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except BaseException:
            for job in jobs:
                _cancel(job)
            raise
        return [EndedJob(job) for job in jobs]


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What is started meanwhile does not hear Ctrl-C in our terminal: it will be told by us."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cancel(job: submitit.Job[Any]) -> None:
    """As `job.cancel` does on a cluster; a local worker is told by the signal at which it records how far it came."""
    if isinstance(job, LocalJob):
        with suppress(ProcessLookupError):
            os.kill(int(job.job_id), signal.SIGTERM)
    else:
        job.cancel(check=False)
