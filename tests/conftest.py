import os

import pytest
import torch

from experiments.config.composing import compose
from experiments.store.studies import read_runs
from experiments.training.run import run
from tests.e2e.warm import WarmServer


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
def make_run(tmp_path):
    """Make a run in a folder of the test's own, and read it back."""

    def make(*overrides, results="results"):
        result = run(compose([*overrides, f"results_dir={tmp_path / results}"]))
        return next(found for found in read_runs(result.folder.parent.parent) if found.folder == result.folder)

    return make
