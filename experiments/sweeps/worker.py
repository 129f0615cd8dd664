"""One worker of a sweep: a process that runs one configuration after another."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from experiments.config.schema import Config
from experiments.config.user_folder import extend_python_path
from experiments.errors import UsageError
from experiments.store.run_folders import folders_with_status
from experiments.sweeps.process_signals import exit_when_interrupted, exit_with_parent
from experiments.training.execution import Result
from experiments.training.probe import probe_folder
from experiments.training.run import run


class RunOne(Protocol):
    """Runs one configuration: `run` trains, `probe` looks at the untrained network."""

    def __call__(self, config: Config) -> Result:
        """Run the configuration, and return how it ended."""
        ...


def folder_of(config: Config, run_one: RunOne) -> Path:
    """The folder that `run_one` writes to."""
    return config.run_folder if run_one is run else probe_folder(config)


def run_worker(
    *, configs: Sequence[Config], config_dir: Path | None, run_one: RunOne, sweep_process: int
) -> list[Result]:
    """Run the configurations one after another, except those that another worker has started.

    Args:
        configs: Configurations that are left to run.
        config_dir: Folder with the user's own choices.
        run_one: Runs one configuration.
        sweep_process: Process id of the sweep, which may be this process.
    """
    extend_python_path(config_dir)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cancelling a job counts as interrupting it
    if os.getpid() != sweep_process:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        exit_with_parent(os.getppid())
        exit_when_interrupted()
    results = []
    for config in configs:
        folder = folder_of(config, run_one)
        if folders_with_status([folder], "running"):
            continue  # by another worker, or by one that was killed by this run: the sweep decides about that
        try:
            results.append(run_one(config))
        except UsageError as error:  # what it needs has changed since the sweep was planned
            results.append(Result(folder, "failed", str(error), 0.0, skipped=False))
    return results
