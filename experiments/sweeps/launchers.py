"""The workers of a sweep, started in this process, side by side on this machine by joblib, or by submitit.

Hydra's launcher plugins define the options of each launcher, `hydra.launcher`.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.backend.context import set_start_method

from bptt_start import Portable
from experiments.config.optional_packages import how_to_install
from experiments.errors import UsageError
from experiments.sweeps.fork_server import own_packages_first, start_fork_server, usable_processors

LAUNCHERS = ("basic", "joblib", "submitit_local", "submitit_slurm")
MOST_SLURM_WORKERS = 256
"""Largest number of Slurm jobs that run at once unless the user gives another one."""

PROCESSES = "bptt's workers are processes of joblib's default backend; leave this key out"
REFUSED_JOBLIB_OPTIONS = {
    "n_jobs": "is the number of workers; give --jobs N",
    "backend": PROCESSES,
    "prefer": PROCESSES,
    "require": PROCESSES,
    "timeout": "would end a worker with all its runs; Ctrl-C ends a sweep, and the same command resumes it",
}
"""Options of joblib that do not fit workers with many runs each, and the message about each of them."""

ONE_YEAR = 60 * 24 * 365
"""In minutes, as submitit takes its time limit."""


def choose_launcher(launcher: str | None, jobs: int | None, runs: int) -> tuple[str, int]:
    """Choose the launcher and the number of its workers where the user did not.

    Args:
        launcher: Hydra's launcher, if the user chose one.
        jobs: Number of workers, if the user gave it.
        runs: Number of runs.

    Raises:
        UsageError: The launcher is unknown, not installed, or not available on this machine.
    """
    most = {"basic": 1, "submitit_slurm": MOST_SLURM_WORKERS}.get(launcher or "joblib", usable_processors())
    jobs = max(1, min(jobs or most, runs))
    launcher = launcher or ("basic" if jobs == 1 else "joblib")
    if launcher not in LAUNCHERS:
        raise UsageError(f"--launcher {launcher}: there is no such launcher; choose from {', '.join(LAUNCHERS)}")
    if launcher.startswith("submitit") and find_spec("submitit") is None:
        raise UsageError(f"--launcher {launcher}: is not installed; {how_to_install('slurm')}")
    if launcher == "submitit_slurm" and shutil.which("srun") is None:
        raise UsageError(f"--launcher {launcher}: Slurm is not available on this machine: srun is not on the PATH")
    if launcher == "basic" and jobs > 1:
        raise UsageError(f"--launcher basic: has one worker, this process; --jobs {jobs} needs another launcher")
    return launcher, jobs


def check_launcher(launcher: str, given: Sequence[str], folder: Path) -> None:
    """Refuse options that do not fit workers with many runs each.

    Args:
        launcher: Name of the launcher.
        given: Overrides of its options.
        folder: Folder of the study, in which submitit puts its jobs.

    Raises:
        UsageError: An option would break the sweep, or submitit would change the folder's path.
    """
    for override in given:
        key = override.lstrip("+~").partition("=")[0].removeprefix("hydra.launcher.")
        if launcher == "joblib" and key in REFUSED_JOBLIB_OPTIONS:
            raise UsageError(f"{override}: {REFUSED_JOBLIB_OPTIONS[key]}")
    placeholder = {"submitit_local": r"%[jtAa]", "submitit_slurm": r"%\d*[AabJjNnstux%]"}.get(launcher)
    if placeholder and (found := re.search(placeholder, str(folder.absolute()))):
        raise UsageError(
            f"{folder}: --launcher {launcher} replaces {found[0]} in a path by a number; "
            "choose a results_dir and study without it"
        )


def launcher_overrides(launcher: str, jobs: int, given: Sequence[str]) -> list[str]:
    """The overrides of Hydra's launcher: bptt's own values, and then the user's, which win.

    Args:
        launcher: Name of the launcher.
        jobs: Number of workers.
        given: The user's overrides of the launcher.
    """
    own = {
        # A worker runs until no run is left.
        "submitit_local": [f"hydra.launcher.timeout_min={ONE_YEAR}"],
        # Slurm queues a worker again that it stops at its time limit; its run resumes from the checkpoint.
        "submitit_slurm": [
            "hydra.launcher.max_num_timeout=1000",
            f"hydra.launcher.array_parallelism={jobs}",
            "hydra.launcher.name=bptt",
        ],
    }
    keys = {override.lstrip("+").partition("=")[0] for override in given}
    return [
        f"hydra/launcher={launcher}",
        *(override for override in own.get(launcher, ()) if override.partition("=")[0] not in keys),
        *(override for override in given if not override.startswith("hydra/launcher=")),
    ]


def start_workers(launcher: str, worker: Callable[[], Any], jobs: int, options: Mapping[str, Any]) -> list[Any]:
    """Start the workers and wait until they end.

    Args:
        launcher: Name of the launcher.
        worker: Function that each worker calls; it can be pickled.
        jobs: Number of workers.
        options: Options of the launcher, `hydra.launcher`.

    Returns:
        What each worker returned, except those that submitit lost.

    Raises:
        joblib.externals.loky.process_executor.TerminatedWorkerError: One of joblib's workers was killed, upon which
            joblib kills the others.
    """
    if launcher == "basic" or (launcher == "joblib" and jobs == 1):
        return [worker()]
    options = {name: value for name, value in options.items() if name != "_target_"}
    with own_packages_first():
        if launcher == "joblib":
            return _run_in_processes(Portable(worker), jobs, options)
        from experiments.sweeps.submitit_jobs import run_jobs

        return run_jobs(launcher.removeprefix("submitit_"), Portable(worker), jobs, options)


def _run_in_processes(worker: Callable[[], Any], jobs: int, options: Mapping[str, Any]) -> list[Any]:
    # Hydra's plugin declares all of these as texts.
    numbers = {name: int(value) for name, value in options.items() if isinstance(value, str) and value.isdigit()}
    with _forked_workers():
        parallel = joblib.Parallel(**{**options, **numbers, "n_jobs": jobs, "backend": "loky"})
        returned: list[Any] = parallel(joblib.delayed(worker)() for _ in range(jobs))
        return returned


@contextmanager
def _forked_workers() -> Iterator[None]:
    """Let joblib fork its workers where that is safe, and end them afterwards; joblib would keep them for reuse."""
    set_start_method("forkserver" if start_fork_server() else None, force=True)
    try:
        yield
        get_reusable_executor(reuse=True).shutdown(kill_workers=True)
    finally:
        set_start_method(None, force=True)
