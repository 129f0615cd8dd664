"""Workers as jobs of submitit, on a Slurm cluster or this machine: submitted, awaited, cancelled."""

import io
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import fields
from typing import Any

import submitit
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from submitit.core.utils import FailedJobError
from submitit.local.local import LocalJob

from experiments.errors import UsageError

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_BETWEEN_QUESTIONS = 5.0
SECONDS_OF_GRACE = 15.0
"""Time that the result of a job may take to appear after the job has left Slurm's queue, on a slow file system."""

SECONDS_WITHOUT_ANSWER = 600.0


def run_jobs(cluster: str, worker: Callable[[], Any], jobs: int, options: Mapping[str, Any]) -> list[Any]:
    """Run the worker in each of several jobs and wait for all of them; on an interrupt, cancel them all.

    A job that is killed or cancelled, or whose node is lost, does not end the others.

    Args:
        cluster: 'local' or 'slurm'.
        worker: Function that each job calls; it can be pickled.
        jobs: Number of jobs.
        options: Options of Hydra's launcher, `hydra.launcher`.

    Returns:
        What the worker returned in each job that came to its end.

    Raises:
        UsageError: Slurm does not accept the jobs.
        OSError: Slurm does not answer any more.
    """
    executor = _make_executor(cluster, options)
    try:
        with _interrupts_blocked(), redirect_stderr(io.StringIO()):  # the error holds what sbatch prints there
            with executor.batch():
                submitted = [executor.submit(worker) for _ in range(jobs)]
            queue = SlurmQueue(job.job_id for job in submitted)
    except FailedJobError as error:
        raise UsageError(" ".join(str(error).split())) from None
    try:
        while not all(_is_over(job, queue) for job in submitted):
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except BaseException:
        for job in submitted:
            _cancel(job)
        raise
    return [job.results()[0] for job in submitted if job.paths.result_pickle.exists()]


class SlurmQueue:
    """The jobs that Slurm still has, according to squeue, which also works without accounting.

    Args:
        ids: Ids of the jobs, all of one array.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._asked = self._answered = time.monotonic()
        self._seen = dict.fromkeys(ids, self._asked)

    def has_lost(self, job_id: str) -> bool:
        """Whether a job has been out of the queue for longer than `SECONDS_OF_GRACE`.

        Raises:
            OSError: squeue has not answered for `SECONDS_WITHOUT_ANSWER`.
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


def _make_executor(cluster: str, options: Mapping[str, Any]) -> submitit.AutoExecutor:
    """Submitit's executor with the options of Hydra's launcher; those of one cluster get its name as a prefix."""
    shared = {field.name for field in fields(BaseQueueConf)}
    named = {key if key in shared else f"{cluster}_{key}": value for key, value in options.items()}
    timeouts = f"{cluster}_max_num_timeout"
    at_start = {timeouts: named.pop(timeouts)} if timeouts in named else {}
    executor = submitit.AutoExecutor(folder=named.pop("submitit_folder"), cluster=cluster, **at_start)
    executor.update_parameters(**named)
    return executor


def _is_over(job: submitit.Job[Any], queue: SlurmQueue) -> bool:
    """Whether a job has ended. `job.done` asks Slurm's sacct, and so waits forever on a cluster without accounting."""
    if isinstance(job, LocalJob):
        return job.done()
    return job.paths.result_pickle.exists() or queue.has_lost(job.job_id)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let processes that start within the context not receive Ctrl-C from the terminal: `_cancel` ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cancel(job: submitit.Job[Any]) -> None:
    """Cancel a job; a local one gets the signal upon which it records that its run was interrupted."""
    if isinstance(job, LocalJob):
        with suppress(ProcessLookupError):
            os.kill(int(job.job_id), signal.SIGTERM)
    else:
        job.cancel(check=False)
