import signal
import sys

import pytest
from typer.testing import CliRunner

from cli.main import app
from experiments.training.provenance import provenance

TINY = ["model.hidden_size=3", "batch_size=2", "steps=2", "task.length=6", "record.evaluate_samples=4"]


@pytest.fixture
def bptt(tmp_path, monkeypatch):
    """Run a command in this process and in an empty folder, as if it were typed there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = signal.getsignal(signal.SIGTERM)

    def call(*words):
        provenance.cache_clear()  # it has the command
        monkeypatch.setattr(sys, "argv", ["/bin/bptt", *map(str, words)])
        return CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)

    yield call
    signal.signal(signal.SIGTERM, before)
