"""Sweeps that are interrupted, killed, or beside each other: nothing is lost, made twice, or torn."""

import os
import random
import re
import signal
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from cli.interrupts import INTERRUPTED_MESSAGE, STOPPING_MESSAGE
from experiments.store.locks import read_info
from tests.e2e.sweeps import Sweep, contents, size, statuses, until, writing

LONG = ["cell=rnn,lstm", "seed=0,1", "task.length=60", "steps=100000"]
GRID = [
    "cell=rnn,lstm,gru", "seed=0,1", "task.length=10", "model.hidden_size=8", "batch_size=4", "steps=150",
    "record.every=8", "record.evaluate_samples=20", "checkpoint_seconds=0.02",
]  # fmt: skip

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="no /proc on this machine to find processes in"
)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, warm):
    """The CSV files of a sweep that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken")
    code, said = Sweep(folder, *GRID, "--jobs", "2", warm=warm).end()
    assert code == 0, said
    return contents(folder)


@pytest.mark.parametrize(
    ("launcher", "jobs", "signum", "whom"),
    [
        ("basic", 1, signal.SIGINT, os.killpg),
        ("basic", 1, signal.SIGTERM, os.kill),
        ("joblib", 2, signal.SIGINT, os.killpg),
        ("joblib", 2, signal.SIGTERM, os.kill),
        ("submitit_local", 2, signal.SIGINT, os.killpg),
        ("submitit_local", 1, signal.SIGTERM, os.kill),
    ],
)
def test_an_interrupt_ends_a_sweep_at_once_and_is_recorded(tmp_path, sweep, launcher, jobs, signum, whom):
    one = sweep(*LONG, "--launcher", launcher, "--jobs", str(jobs))
    until(lambda: writing(tmp_path) == jobs)
    began = time.monotonic()
    whom(one.pid, signum)
    code, said = one.end(20)
    assert time.monotonic() - began < 2
    assert code == 130, said
    assert statuses(tmp_path) == {"interrupted": jobs}
    assert said.endswith("bptt: interrupted; results written so far are kept\n")
    assert "Traceback" not in said
    until(lambda: not one.processes(), seconds=5)


@pytest.mark.parametrize(
    ("processes", "options"),
    [
        pytest.param(3, {"environment": {}}, id="fork server"),  # itself, a tracker; the server is to import torch
        pytest.param(5, {}, id="worker"),  # another tracker, the first worker
    ],
)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_processes_end_when_the_sweep_ends_while_they_start(sweep, processes, options, signum):
    one = sweep(*LONG, "--jobs", "2", **options)
    until(lambda: len(one.processes()) >= processes)
    time.sleep(0.1)
    (os.killpg if signum == signal.SIGINT else os.kill)(one.pid, signum)
    code, said = one.end(20)
    until(lambda: not one.processes(), seconds=5)
    assert code == (130 if signum == signal.SIGINT else -9), said
    assert "Traceback" not in said
    if signum == signal.SIGINT:
        begun = [line for line in said.splitlines() if re.fullmatch(r"\[\d/4\] .*: interrupted in 0\.\d s", line)]
        assert {*said.splitlines()} - {*begun} <= {STOPPING_MESSAGE, INTERRUPTED_MESSAGE}
        assert said.endswith(f"{INTERRUPTED_MESSAGE}\n")


def test_a_killed_fork_server_takes_no_run_with_it(tmp_path, sweep, unbroken):
    one = sweep(*GRID, "--jobs", "2")
    until(lambda: size(tmp_path) > 0)
    one.kill(one.fork_server())
    code, said = one.end()
    assert code == 0, said
    assert statuses(tmp_path) == {"completed": 6}
    assert contents(tmp_path) == unbroken


def test_workers_end_when_the_sweep_is_killed(tmp_path, sweep):
    one = sweep(*LONG, "--jobs", "2")
    until(lambda: writing(tmp_path) == 2)
    one.kill(one.pid)
    until(lambda: not one.processes(), seconds=5)
    assert statuses(tmp_path) == {"interrupted": 2}


def test_killed_at_twenty_random_moments_a_sweep_loses_nothing(tmp_path, sweep, unbroken):
    """Now the sweep, now one of its workers, now all of them at once; each time, the same command goes on."""
    moments = random.Random(1)
    kills = Counter()
    progress = [0]
    while kills.total() < 20:
        one = sweep(*GRID, "--jobs", "2")
        # Mostly it has begun to write, however slow the machine; else it may be killed as it starts.
        if moments.random() < 0.6:
            until(lambda one=one: one.is_over() or size(tmp_path) > progress[-1])
        while kills.total() < 20 and not one.is_over():
            time.sleep(moments.uniform(0, 0.15))
            processes = one.processes()
            victim = moments.choice(["sweep", "worker", "worker", "all"])
            doomed = {"sweep": [one.pid], "worker": processes[-1:], "all": processes}[victim]
            kills[victim] += one.kill(*doomed) > 0
        progress.append(size(tmp_path))
    one.end()
    assert len(kills) == 3
    assert progress[-1] > 0
    assert sum(later > earlier for earlier, later in pairwise(progress)) > 2
    code, said = sweep(*GRID, "--jobs", "2", "--retry").end()
    assert code == 0, said
    assert statuses(tmp_path) == {"completed": 6}
    assert contents(tmp_path) == unbroken


SWEEP = """
import sys
from experiments.sweeps.plan import plan
from experiments.sweeps.sweep import prepare_run_folders, sweep
planned = plan(sys.argv[1:])
prepare_run_folders(planned)
print(sum(not result.skipped for result in sweep(planned, launcher="joblib", jobs=2)))
"""


def test_two_sweeps_into_one_study_share_the_work(tmp_path, start, unbroken):
    sweeps = [start(*GRID, program=SWEEP) for _ in range(2)]
    assert [one.wait(120) for one in sweeps] == [0, 0]
    assert sum(int(one.stdout.read_text()) for one in sweeps) == 6
    assert contents(tmp_path) == unbroken


BUSY = """
import os
from pathlib import Path

import torch
from models.rnn import RNN

steps = 0
matrix = torch.ones(4000, 4000)

class Busy(RNN):
    \"\"\"After the evaluation of its first step it computes for long, without coming back to Python.\"\"\"

    def forward(self, x, state):
        global steps
        steps += torch.is_grad_enabled()
        if steps > 2:
            Path(f"busy-{os.getpid()}").touch()
            torch.linalg.svd(matrix)
        return super().forward(x, state)
"""


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_an_interrupt_is_answered_in_the_middle_of_a_step(tmp_path, sweep, launcher):
    """The first is answered at once; the second ends the sweep, where the first has not, with what was saved."""
    (tmp_path / "mine" / "cell").mkdir(parents=True)
    (tmp_path / "mine" / "cell" / "busy.yaml").write_text("# Busy\n_target_: busy_cell.Busy\n_partial_: true\n")
    (tmp_path / "busy_cell.py").write_text(BUSY)
    small = [
        "task.length=10",
        "model.hidden_size=4",
        "record=none",
        "record.evaluate_samples=1",
        "checkpoint_seconds=0",
    ]
    jobs = 2 if launcher == "joblib" else 1
    one = sweep("cell=busy", "seed=0,1", *small, "--config-dir", "mine", "--launcher", launcher, "--jobs", str(jobs))
    until(lambda: len([*tmp_path.glob("busy-*")]) == jobs)
    time.sleep(0.2)
    os.killpg(one.pid, signal.SIGINT)
    until(lambda: one.is_over() or "stopping after the current computation" in one.log.read_text(), seconds=2)
    if launcher == "basic":
        assert not one.is_over()
        began = time.monotonic()
        os.killpg(one.pid, signal.SIGINT)
        code, said = one.end(20)
        assert time.monotonic() - began < 1
    else:
        code, said = one.end(5)
    assert code == 130, said
    assert said.splitlines()[-1] == "bptt: interrupted; results written so far are kept"
    assert "Traceback" not in said
    until(lambda: not one.processes(), seconds=5)
    folders = [path.parent for path in tmp_path.glob("results/default/runs/*/checkpoint.pt")]
    assert len(folders) >= 1
    assert {read_info(folder)["status"] for folder in folders} == {"interrupted"}
