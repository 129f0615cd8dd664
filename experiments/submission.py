"""submitit's executor for sweeps that lose workers, and go on."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import submitit
from submitit.core.utils import UncompletedJobError

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
        jobs = super().map_array(fn, *iterable)
        try:
            while not all(job.done() for job in jobs):
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except BaseException:
            for job in jobs:
                job.cancel(check=False)
            raise
        return [EndedJob(job) for job in jobs]
