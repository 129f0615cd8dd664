"""Workers, by Hydra's launchers: in this process, side by side on this machine, or on a cluster."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch
from warnings import catch_warnings, simplefilter

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from omegaconf import DictConfig

from experiments.errors import UsageError

LAUNCHERS = ("basic", "joblib", "submitit_local", "submitit_slurm")
MOST_SLURM_WORKERS = 256
"""As many as the launcher lets run at once, if not told otherwise."""

SECONDS_TO_END = 1.0
"""For a worker that has been interrupted, to record it."""

FOR_EVER = 60 * 24 * 365


def choose(launcher: str | None, jobs: int | None, runs: int) -> tuple[str, int]:
    """The launcher and the number of its workers, where the user did not say.

    Raises:
        UsageError: a launcher that there is not, or that is not installed.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = {"basic": 1, "submitit_slurm": MOST_SLURM_WORKERS}.get(launcher or "joblib", processors)
    jobs = max(1, min(jobs or most, runs))
    launcher = launcher or ("basic" if jobs == 1 else "joblib")
    if launcher not in LAUNCHERS:
        raise UsageError(f"--launcher {launcher}: there is no such launcher; choose from {', '.join(LAUNCHERS)}")
    if launcher.startswith("submitit") and find_spec("submitit") is None:
        raise UsageError(f"--launcher {launcher}: is not installed; pip install 'bptt[slurm]'")
    if launcher == "submitit_slurm" and shutil.which("srun") is None:
        raise UsageError(f"--launcher {launcher}: there is no Slurm on this machine: no srun on the path")
    if launcher == "basic" and jobs > 1:
        raise UsageError(f"--launcher basic: makes one run at a time, in this process; --jobs {jobs} needs another")
    return launcher, jobs


@contextmanager
def workers_ahead(launcher: str, jobs: int, given: Sequence[str]) -> Iterator[None]:
    """Let joblib's workers import what takes seconds, while this process does so and checks what they are to make.

    `launch` finds them where it comes to it within; afterwards they are gone.

    Args:
        launcher: of Hydra.
        jobs: how many workers.
        given: what the user says of the launcher: it may want workers of another kind, which then begin later.
    """
    if launcher != "joblib" or jobs == 1 or given:
        yield
        return
    alike = Parallel(n_jobs=jobs, prefer="processes", max_nbytes=None, return_as="generator")  # to Hydra's, that is
    with _own_packages_first(), _no_interrupts():
        imports = alike(delayed(_import_ahead)(os.getpid()) for _ in range(jobs))
    try:
        yield
    finally:
        end_workers()
        with catch_warnings():
            simplefilter("ignore")  # that nobody has waited for them
            imports.close()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Processes that are started within do not hear of interrupts, until they say that they want to."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@cache
def end_with(parent: int) -> None:
    """Interrupt this process when its parent is gone: nobody is there any more to tell it to stop."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        signal.raise_signal(signal.SIGTERM)
        time.sleep(SECONDS_TO_END)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _import_ahead(parent: int) -> None:
    end_with(parent)
    import torch._dynamo  # noqa: F401  by the first optimizer

    import experiments.sweep  # noqa: F401


def end_workers() -> None:
    """End those of joblib, which it keeps for more to do, and which would take their time at the end."""
    get_reusable_executor(reuse=True).shutdown(kill_workers=True)


def overrides_of(launcher: str, jobs: int, given: Sequence[str]) -> list[str]:
    """What Hydra is told of the launcher: what the user said of it comes last, and counts."""
    own = {
        "joblib": [f"hydra.launcher.n_jobs={jobs}"],
        # A worker makes runs as long as there are any.
        "submitit_local": [f"hydra.launcher.timeout_min={FOR_EVER}"],
        # One that Slurm stops at its time limit is queued again: its run goes on from its checkpoint.
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
        *given,
    ]


def launch(worker: Callable[[DictConfig], Any], jobs: int, overrides: Sequence[str]) -> list[Any]:
    """Let `jobs` workers do their work, within `composing`; what each returns, None for one that was lost on the way.

    Args:
        worker: called with Hydra's configuration, once in each.
        jobs: how many.
        overrides: of Hydra's configuration: the study's folder, and `overrides_of` the launcher.

    Raises:
        joblib.externals.loky.process_executor.TerminatedWorkerError: a worker of joblib was killed; the others are too.
    """
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    cfg = hydra.compose_config("config", list(overrides), run_mode=RunMode.MULTIRUN, with_log_configuration=False)
    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=worker, config=cfg)
    with _patient_submitit(), _own_packages_first():
        returns = launcher.launch([[]] * jobs, initial_job_idx=0)
    end_workers()
    return [job.return_value for job in returns if job is not None]


@contextmanager
def _own_packages_first() -> Iterator[None]:
    """Keep the current folder off a new Python's path: it may have a `models` or an `experiments` of its own."""
    with patch.dict(os.environ, {"PYTHONSAFEPATH": "1"}):
        yield


@contextmanager
def _patient_submitit() -> Iterator[None]:
    """Let submitit wait for all its jobs, also where one was lost, and cancel them on an interrupt."""
    if find_spec("submitit") is None:
        yield
        return
    from experiments.submission import PatientExecutor

    with patch("submitit.AutoExecutor", PatientExecutor):
        yield
