"""Workers, by Hydra's launchers: in this process, side by side on this machine, or on a cluster."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.backend.context import set_start_method
from omegaconf import DictConfig

from bptt_start import Portable
from experiments.config.extras import how_to_install
from experiments.errors import UsageError
from experiments.sweeps import fork_server as forkserver
from experiments.sweeps.fork_server import own_packages_first, processors

LAUNCHERS = ("basic", "joblib", "submitit_local", "submitit_slurm")
MOST_SLURM_WORKERS = 256
"""As many as the launcher lets run at once, if not told otherwise."""

PROCESSES = "bptt's workers are processes of joblib's default backend; leave this key out"
UNFIT = {
    "n_jobs": "is the number of workers; give --jobs N",
    "backend": PROCESSES,
    "prefer": PROCESSES,
    "require": PROCESSES,
    "timeout": "would end a worker with all its runs; Ctrl-C ends a sweep, and the same command resumes it",
}
"""Options of joblib that do not fit workers which make many runs each, and what to say about them."""

FOR_EVER = 60 * 24 * 365


def choose(launcher: str | None, jobs: int | None, runs: int) -> tuple[str, int]:
    """The launcher and the number of its workers, where the user did not say.

    Raises:
        UsageError: a launcher that there is not, or that is not installed.
    """
    most = {"basic": 1, "submitit_slurm": MOST_SLURM_WORKERS}.get(launcher or "joblib", processors())
    jobs = max(1, min(jobs or most, runs))
    launcher = launcher or ("basic" if jobs == 1 else "joblib")
    if launcher not in LAUNCHERS:
        raise UsageError(f"--launcher {launcher}: there is no such launcher; choose from {', '.join(LAUNCHERS)}")
    if launcher.startswith("submitit") and find_spec("submitit") is None:
        raise UsageError(f"--launcher {launcher}: is not installed; {how_to_install('slurm')}")
    if launcher == "submitit_slurm" and shutil.which("srun") is None:
        raise UsageError(f"--launcher {launcher}: there is no Slurm on this machine: no srun on the path")
    if launcher == "basic" and jobs > 1:
        raise UsageError(f"--launcher basic: makes one run at a time, in this process; --jobs {jobs} needs another")
    return launcher, jobs


def check_launcher(launcher: str, given: Sequence[str], folder: Path) -> None:
    """Refuse what a launcher cannot do with our workers, each of which makes many runs.

    Args:
        launcher: Name of the launcher.
        given: Overrides of its options.
        folder: The study's folder, in which submitit puts its jobs.

    Raises:
        UsageError: An option would break the sweep, or submitit would change the folder's path.
    """
    for override in given:
        key = override.lstrip("+~").partition("=")[0].removeprefix("hydra.launcher.")
        if launcher == "joblib" and key in UNFIT:
            raise UsageError(f"{override}: {UNFIT[key]}")
    placeholder = {"submitit_local": r"%[jtAa]", "submitit_slurm": r"%\d*[AabJjNnstux%]"}.get(launcher)
    if placeholder and (found := re.search(placeholder, str(folder.absolute()))):
        raise UsageError(
            f"{folder}: --launcher {launcher} puts a number in place of {found[0]} in a path; "
            "choose a results_dir and study without it"
        )


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
        *(override for override in given if not override.startswith("hydra/launcher=")),
    ]


def launch(launcher: str, worker: Callable[[DictConfig], Any], jobs: int, overrides: Sequence[str]) -> list[Any]:
    """Let `jobs` workers do their work, within `composing`; what each returns, None for one that was lost on the way.

    Args:
        launcher: of Hydra.
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
    work = Portable(worker)
    start = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=work, config=cfg).launch
    forked = launcher == "joblib" and cfg.hydra.launcher.n_jobs != 1  # one job joblib does in this process
    with _forked_workers() if forked else nullcontext(), _patient_submitit(), own_packages_first():
        returns = start([[]] * jobs, initial_job_idx=0)
    return [job.return_value for job in returns if job is not None]


@contextmanager
def _forked_workers() -> Iterator[None]:
    """Let joblib fork its workers where that is safe, and end them, which it would keep for more to do."""
    set_start_method("forkserver" if forkserver.start() else None, force=True)
    try:
        yield
        get_reusable_executor(reuse=True).shutdown(kill_workers=True)
    finally:
        set_start_method(None, force=True)


@contextmanager
def _patient_submitit() -> Iterator[None]:
    """Let submitit wait for all its jobs, also where one was lost, and cancel them on an interrupt."""
    if find_spec("submitit") is None:
        yield
        return
    from experiments.sweeps.submitit_executor import PatientExecutor

    with patch("submitit.AutoExecutor", PatientExecutor):
        yield
