import os
import signal
import subprocess

import pytest
import torch

from experiments.config.composing import compose
from experiments.store.studies import read_runs
from experiments.training.run import run
from tests.e2e.warm import BPTT, WarmServer

# Scripts that tests start would each use all cores, and wait for each other there.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_wait_for_the_disk(monkeypatch):
    """No test cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture(scope="session")
def warm():
    """The process that commands are forked from."""
    with WarmServer() as server:
        yield server


@pytest.fixture
def start(tmp_path, tmp_path_factory, warm):
    """Start a command in the background, in an empty folder; it is gone when the test is over."""
    processes = []

    def begin(*arguments, cwd=tmp_path, **options):
        processes.append(warm.start(arguments, cwd, tmp_path_factory.mktemp("output"), **options))
        return processes[-1]

    yield begin
    for process in processes:
        if process.poll() is None:
            process.send(signal.SIGKILL)


@pytest.fixture
def bptt(tmp_path, start):
    """Run a command in an empty folder; with options of `subprocess.run`, such as `env`, from its very start."""

    def call(*arguments, cwd=tmp_path, environment=None, **options):
        if options:
            return subprocess.run(
                [BPTT, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=240, **options
            )
        process = start(*arguments, cwd=cwd, environment=environment)
        code = process.wait(240)
        return subprocess.CompletedProcess(arguments, code, process.stdout.read_text(), process.stderr.read_text())

    return call


@pytest.fixture
def python(start):
    """Run `SCRIPT ARGS` or `-c CODE` as Python does, in an empty folder."""

    def call(*arguments):
        process = start(*arguments, program="be_python()")
        code = process.wait(240)
        return subprocess.CompletedProcess(arguments, code, process.stdout.read_text(), process.stderr.read_text())

    return call


@pytest.fixture
def make_run(tmp_path):
    """Make a run in a folder of the test's own, and read it back."""

    def make(*overrides, results="results"):
        result = run(compose([*overrides, f"results_dir={tmp_path / results}"]))
        return next(found for found in read_runs(result.folder.parent.parent) if found.folder == result.folder)

    return make
