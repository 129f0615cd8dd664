"""A disk that is full: the runs say so, what is written can be read, and once there is room they are finished."""

import resource
import subprocess

import pandas as pd
import pytest

from tests.e2e.sweeps import Sweep, contents, statuses

GRID = [
    "cell=rnn,lstm", "seed=0,1", "task.length=30", "model.hidden_size=8", "steps=100", "record.every=2",
    "record.windows=all", "record.evaluate_samples=50", "checkpoint_seconds=0.1", "--jobs", "2",
]  # fmt: skip


class Tmpfs:
    """A small file system of its own."""

    def __init__(self, folder):
        self.options = {}
        self._folder = folder
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], check=True, capture_output=True)

    def make_room(self):
        subprocess.run(["mount", "-o", "remount,size=50m", self._folder], check=True)

    def close(self):
        subprocess.run(["umount", "--lazy", self._folder], check=True)


class Limit:
    """Where none can be mounted: no file may grow beyond a size."""

    def __init__(self):
        self.options = {"before": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))}

    def make_room(self):
        self.options = {}

    def close(self):
        pass


@pytest.fixture
def disk(tmp_path):
    try:
        disk = Tmpfs(tmp_path / "results")
    except (OSError, subprocess.CalledProcessError):  # no `mount`; not root, or not allowed
        disk = Limit()
    yield disk
    disk.close()


def test_runs_on_a_full_disk_fail_stay_readable_and_are_finished(tmp_path, sweep, warm, disk):
    (tmp_path / "unbroken").mkdir()
    code, said = Sweep(tmp_path / "unbroken", *GRID, warm=warm).end()
    assert code == 0, said
    unbroken = contents(tmp_path / "unbroken" / "results")

    code, said = sweep(*GRID, **disk.options).end()
    assert code == 1, said
    assert "No space left on device" in said or "File too large" in said
    assert "Traceback" not in said
    assert "completed" not in statuses(tmp_path)
    for path, content in contents(tmp_path / "results").items():
        assert unbroken[path].startswith(content), path  # whole rows, and true ones
        assert content.endswith(b"\n"), path
        assert len(pd.read_csv(tmp_path / "results" / path))

    disk.make_room()
    code, said = sweep(*GRID, **disk.options).end()
    assert code == 0, said
    assert statuses(tmp_path) == {"completed": 4}
    assert contents(tmp_path / "results") == unbroken
