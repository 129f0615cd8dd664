import signal
import subprocess

import pytest

from tests.e2e.sweeps import BPTT, Sweep


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
def sweep(tmp_path, warm):
    """Start a sweep; nothing of it is left when the test is over."""
    sweeps = []

    def begin(*arguments, before=None, **options):
        sweeps.append(Sweep(tmp_path, *arguments, before=before, warm=None if before else warm, **options))
        return sweeps[-1]

    yield begin
    for one in sweeps:
        one.kill(*one.processes())
        one.end()
