import signal
import subprocess

import pytest

from tests.e2e.sweeps import BPTT, Sweep


@pytest.fixture
def bptt(tmp_path, tmp_path_factory, warm):
    """Run the real command in an empty folder; with options of `subprocess.run`, such as `env`, from its very start."""

    def call(*arguments, cwd=tmp_path, environment=None, **options):
        if options:
            return subprocess.run(
                [BPTT, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=240, **options
            )
        process = warm.start(arguments, cwd, tmp_path_factory.mktemp("output"), environment=environment)
        code = process.wait(240)
        return subprocess.CompletedProcess(arguments, code, process.stdout.read_text(), process.stderr.read_text())

    return call


@pytest.fixture
def start(tmp_path):
    """Start the real command in the background; it is gone when the test is over."""
    processes = []

    def begin(*arguments):
        process = subprocess.Popen(
            [BPTT, *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell starts background jobs deaf to SIGINT, and whoever runs these tests there passes that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


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
