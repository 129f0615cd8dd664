"""A sweep: the runs of a plan, made by workers that each take the next run that no other worker has."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from joblib.externals.loky.process_executor import TerminatedWorkerError

from experiments.config.schema import Config
from experiments.store.files import read_json
from experiments.store.locks import is_locked
from experiments.store.plans import PlannedRun, record_plan
from experiments.store.progress import modified_at
from experiments.store.run_folders import folders_with_status, prepare_folder, set_status
from experiments.store.status import UNFINISHED
from experiments.sweeps.launchers import start_workers
from experiments.sweeps.plan import Plan, compose_launcher_options
from experiments.sweeps.process_signals import SECONDS_TO_EXIT
from experiments.sweeps.worker import run_worker
from experiments.training.checkpoint import saved_at
from experiments.training.execution import Result, settled_result


def prepare_run_folders(planned: Plan, *, fresh: bool = False, retry: bool = False) -> None:
    """Prepare the folders of runs that are to run or to resume.

    Args:
        planned: The sweep.
        fresh: Delete all runs.
        retry: Delete failed runs.

    Raises:
        UsageError: A run would be deleted while another process runs it.
    """
    for folder in planned.folders:
        prepare_folder(folder, fresh=fresh, retry=retry)


def find_damaged_or_outdated(planned: Plan) -> list[Result]:
    """Find the finished runs whose files are damaged, or whose input files have changed since."""
    found = [settled_result(*run) for run in zip(planned.configs, planned.folders, strict=True)]
    return [result for result in found if result and result.is_doubtful]


def sweep(planned: Plan, *, launcher: str = "basic", jobs: int = 1, command: str | None = None) -> list[Result]:
    """Run everything in the plan that has not come to an end, in the plan's order.

    If another sweep is running one of the runs, this one waits for it, and takes the run over if that process dies. A
    run whose own process is killed resumes if the launcher is joblib, unless it is killed again without having come
    any further. With the other launchers, it is recorded as interrupted, and the next sweep resumes it.

    Args:
        planned: The sweep.
        launcher: Name of Hydra's launcher; 'basic' is this process.
        jobs: Number of workers.
        command: Command that planned the sweep; None: the command that started this process.

    Returns:
        How each run ended, in the plan's order.

    Raises:
        KeyboardInterrupt: The sweep was interrupted; its running runs are recorded as interrupted.
    """
    record_plan(
        planned.study_folder,
        {followed.folder.name: PlannedRun(followed.label, followed.steps) for followed in planned.followed_runs()},
        command,
    )
    results: dict[Path, Result] = {}
    died_at: dict[Path, float] = {}
    left = planned.left_to_run()
    with _interrupted_runs_recorded(planned):
        options = {} if launcher == "basic" or not left.configs else compose_launcher_options(planned, launcher, jobs)
        while left.configs:
            worker = partial(
                run_worker,
                configs=left.configs,
                config_dir=planned.config_dir,
                run_one=planned.run_one,
                sweep_process=os.getpid(),
            )
            before = {folder: modified_at(folder) for folder in left.folders}
            try:
                for returned in start_workers(launcher, worker, min(jobs, len(left.configs)), options):
                    results |= {result.folder: result for result in returned if not result.skipped}
            except TerminatedWorkerError:  # joblib has killed all workers
                started = [folder for folder in left.folders if modified_at(folder) != before[folder]]
                if not started:
                    raise
                _record_killed_runs([*_find_abandoned(started), *folders_with_status(started, "interrupted")], died_at)
                left = planned.only(
                    folders_with_status(planned.folders, None, "interrupted") or _wait_for_others(planned)
                )
            else:
                left = planned.only(_wait_for_others(planned))
        for folder in folders_with_status(planned.folders, "running"):
            set_status(folder, "interrupted")
    return [
        results.get(folder) or _read_result(config, folder)
        for config, folder in zip(planned.configs, planned.folders, strict=True)
    ]


def _record_killed_runs(folders: Sequence[Path], died_at: dict[Path, float]) -> None:
    """Record runs as interrupted; as failed where they were killed before without having come any further since.

    Args:
        folders: Folders of the runs.
        died_at: When each run had last saved a checkpoint as it was killed; is updated.
    """
    for folder in folders:
        if died_at.get(folder) == saved_at(folder):
            set_status(folder, "failed", "its process was killed twice; is there enough memory?")
        else:
            set_status(folder, "interrupted")
        died_at[folder] = saved_at(folder)


def _wait_for_others(planned: Plan) -> list[Path]:
    """Wait until no other process runs anything in the plan; the folders of the runs that it left unfinished."""
    others = [folder for folder in folders_with_status(planned.folders, "running") if is_locked(folder)]
    while any(map(is_locked, others)):
        time.sleep(0.2)
    for folder in others:
        prepare_folder(folder)
    return folders_with_status(others, *UNFINISHED)


def _find_abandoned(folders: Sequence[Path]) -> list[Path]:
    """Find the runs that say they are running but have no process, after giving ending processes some time."""
    running = folders_with_status(folders, "running")
    deadline = time.monotonic() + SECONDS_TO_EXIT
    while any(map(is_locked, running)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return [folder for folder in folders_with_status(running, "running") if not is_locked(folder)]


def _read_result(config: Config, folder: Path) -> Result:
    """Read how a run ended that this sweep did not run."""
    if settled := settled_result(config, folder):
        return settled
    info = read_json(folder / "run.json")
    return Result(folder, info.get("status", "interrupted"), info.get("error"), 0.0, skipped=True)


@contextmanager
def _interrupted_runs_recorded(planned: Plan) -> Iterator[None]:
    """On an interrupt, record the runs of workers that have ended as interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        for signum in (signal.SIGINT, signal.SIGTERM):  # a second interrupt must not prevent the recording
            signal.signal(signum, signal.SIG_IGN)
        for folder in _find_abandoned(planned.folders):
            set_status(folder, "interrupted")
        raise
