import signal
import sys
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from cli.main import app
from experiments.training.provenance import provenance

TINY = ["model.hidden_size=3", "batch_size=2", "steps=2", "task.length=6", "record.evaluate_samples=4"]


@contextmanager
def commands_in(folder):
    """Run commands in this process and in a folder, as if they were typed there."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setattr(sys, "path", [*sys.path])

        def call(*words):
            provenance.cache_clear()  # it has the command
            patched.setattr(sys, "argv", ["/bin/bptt", *map(str, words)])
            return CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)

        yield call
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def bptt(tmp_path):
    """Run a command in an empty folder."""
    with commands_in(tmp_path) as call:
        yield call
