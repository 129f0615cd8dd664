"""submitit's executor for sweeps that lose workers, and go on."""

import io
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Any

import submitit
from submitit.core.utils import FailedJobError
from submitit.local.local import LocalJob

from experiments.errors import UsageError

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_BETWEEN_QUESTIONS = 5.0
SECONDS_OF_GRACE = 15.0
"""For the result of a job that Slurm no longer has to come into sight: file systems of clusters are slow."""

SECONDS_WITHOUT_ANSWER = 600.0


class EndedJob:
    """A job that is over, well or not."""

    def __init__(self, job: submitit.Job[Any]) -> None:
        self._job = job

    def results(self) -> list[Any]:
        """What its tasks returned; [None] where it was killed or cancelled, or its node was lost."""
        if not self._job.paths.result_pickle.exists():
            return [None]
        results: list[Any] = self._job.results()
        return results


class Queue:
    """Which jobs Slurm still has, as squeue says: it knows also where there is no accounting.

    Args:
        ids: of the jobs, all of one array.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._asked = self._answered = time.monotonic()
        self._seen = dict.fromkeys(ids, self._asked)

    def has_lost(self, job_id: str) -> bool:
        """Whether a job is there no more, and has not been for a while.

        Raises:
            OSError: squeue has not answered for long.
        """
        if time.monotonic() - self._asked > SECONDS_BETWEEN_QUESTIONS:
            self._ask()
        return self._answered - self._seen[job_id] > SECONDS_OF_GRACE

    def _ask(self) -> None:
        array = next(iter(self._seen)).partition("_")[0]
        command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={array}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self._asked = time.monotonic()
        if done.returncode == 0 or "Invalid job id" in done.stderr:
            self._answered = self._asked
            self._seen |= dict.fromkeys(self._seen.keys() & set(done.stdout.split()), self._asked)
        elif self._asked - self._answered > SECONDS_WITHOUT_ANSWER:
            raise OSError(f"squeue has not answered for {SECONDS_WITHOUT_ANSWER / 60:g} minutes: {done.stderr.strip()}")


class PatientExecutor(submitit.AutoExecutor):
    """Waits for all jobs of an array, whatever becomes of one of them; on an interrupt it cancels them all."""

    def map_array(self, fn: Callable[..., Any], *iterable: Iterable[Any]) -> list[Any]:
        """Submit an array, and wait for it.

        Raises:
            UsageError: Slurm does not accept it.
            OSError: Slurm does not answer any more.
        """
        try:
            with _deaf_to_ctrl_c(), redirect_stderr(io.StringIO()):  # what sbatch says there is in the error, too
                jobs = super().map_array(fn, *iterable)
        except FailedJobError as error:
            raise UsageError(" ".join(str(error).split())) from None
        queue = Queue(job.job_id for job in jobs)
        try:
            while not all(_is_over(job, queue) for job in jobs):
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except BaseException:
            for job in jobs:
                _cancel(job)
            raise
        return [EndedJob(job) for job in jobs]


def _is_over(job: submitit.Job[Any], queue: Queue) -> bool:
    """Not as `job.done` says of Slurm's: that asks sacct, and waits for ever where there is no accounting."""
    if isinstance(job, LocalJob):
        return job.done()
    return job.paths.result_pickle.exists() or queue.has_lost(job.job_id)


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
