"""The process that workers are forked from."""

import subprocess
import sys

import pytest

from experiments.sweeps import fork_server

# What would begin to use a GPU: a process forked after that cannot use it any more.
IMPORTS = """
import importlib, sys, torch
def refuse(*_): raise AssertionError("a GPU is asked for by an import")
for name in ("is_available", "device_count", "current_device", "get_device_properties", "_lazy_init"):
    setattr(torch.cuda, name, refuse)
for name in sys.argv[1:]:
    importlib.import_module(name)
assert "torch._dynamo" in sys.modules
"""


def test_what_it_imports_leaves_the_gpu_alone():
    modules = [name for name in fork_server.PRELOADED if name != "__main__"]
    subprocess.run([sys.executable, "-c", IMPORTS, *modules, fork_server.PRELOADED_FOR_TRAINING], check=True)


@pytest.mark.parametrize(
    ("launcher", "jobs", "wanted"),
    [(None, 2, True), ("joblib", 2, True), (None, 1, False), ("basic", None, False), ("submitit_local", 2, False)],
)
def test_it_is_started_early_where_joblib_will_want_it(monkeypatch, launcher, jobs, wanted):
    started = []
    monkeypatch.setattr(fork_server, "start_fork_server", lambda **how: started.append(how))
    fork_server.start_fork_server_early(launcher, jobs)
    assert bool(started) == wanted
