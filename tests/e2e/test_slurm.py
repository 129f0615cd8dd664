"""Sweeps on a real Slurm of two nodes: as an array job, with what happens on clusters on the way."""

import os
import random
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.e2e.sweeps import Sweep, contents, statuses, until, writing
from tests.slurm.cluster import NODES, PARTITION, missing, running

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

GRID = [
    "cell=rnn,lstm,gru", "seed=0,1", "task.length=20", "model.hidden_size=8", "steps=900", "record.every=40",
    "record.evaluate_samples=50", "checkpoint_seconds=0.1",
]  # fmt: skip
LONG = ["cell=rnn,lstm", "task.length=60", "steps=1000000"]
SLURM = ["--launcher", "submitit_slurm", f"hydra.launcher.partition={PARTITION}"]


@pytest.fixture(scope="module")
def folder():
    """For a cluster: the paths of its sockets must be short."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as scratch:
        yield Path(scratch)


@pytest.fixture(scope="module")
def slurm(folder):
    with running(folder / "with") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def slurm_without_accounting(folder):
    with running(folder / "without", accounting=False) as cluster:
        yield cluster


def queued(cluster):
    """The state of each job, and its node."""
    lines = cluster.says("squeue", "--noheader", "--array", "--format=%i %T %N").splitlines()
    return {job: (state, *node) for job, state, *node in map(str.split, lines)}


def test_an_array_job_that_loses_a_node_and_a_job_is_gone_on_with(tmp_path, sweep, slurm, bptt):
    (tmp_path / "unbroken").mkdir()
    code, said = Sweep(tmp_path / "unbroken", *GRID, "--jobs", "2").end()
    assert code == 0, said
    unbroken = contents(tmp_path / "unbroken")

    one = sweep(*GRID, *SLURM, "hydra.launcher.cpus_per_task=1", "--jobs", "4", environment=slurm.environment)
    until(lambda: writing(tmp_path / "results") >= 4)
    jobs = queued(slurm)
    assert {node for _, *nodes in jobs.values() for node in nodes} == set(NODES)
    assert len({job.partition("_")[0] for job in jobs}) == 1
    slurm.kill_node("node1")
    survivor = random.choice([job for job, (state, node) in jobs.items() if (state, node) == ("RUNNING", "node2")])
    slurm.says("scancel", survivor)
    assert re.match(r"\d/6 done, 1 running, [1-3] interrupted", bptt("status", "default").stdout)
    until(lambda: "down" in slurm.says("sinfo", "-h", "-N", "-n", "node1", "-o", "%T"))
    code, said = one.end(240)
    assert code == 1, said
    assert "interrupted; run the same command again to resume" in said
    assert "Traceback" not in said
    assert statuses(tmp_path)["interrupted"] >= 1
    until(lambda: not queued(slurm))  # a job may leave the queue a moment after its result is there

    slurm.start_node("node1")
    code, said = sweep(*GRID, *SLURM, "--jobs", "2", environment=slurm.environment).end(240)
    assert code == 0, said
    assert statuses(tmp_path) == {"completed": 6}
    assert contents(tmp_path / "results") == {
        path.removeprefix("results/"): content for path, content in unbroken.items()
    }


def test_an_interrupt_cancels_the_array(tmp_path, sweep, slurm):
    one = sweep(*LONG, *SLURM, "--jobs", "2", environment=slurm.environment)
    until(lambda: writing(tmp_path) == 2)
    began = time.monotonic()
    one.send(signal.SIGINT)
    code, said = one.end(30)
    assert time.monotonic() - began < 5
    assert code == 130, said
    assert said.endswith("bptt: interrupted; results written so far are kept\n")
    until(lambda: not queued(slurm))
    assert statuses(tmp_path) == {"interrupted": 2}


def test_where_there_is_no_accounting_a_lost_job_is_not_waited_for(tmp_path, sweep, slurm_without_accounting):
    cluster = slurm_without_accounting
    assert subprocess.run(["sacct"], env=cluster.environment, capture_output=True, check=False).returncode
    one = sweep(*LONG, *SLURM, "--jobs", "2", environment=cluster.environment)
    until(lambda: writing(tmp_path) == 2)
    cluster.says("scancel", *queued(cluster))
    code, said = one.end(60)
    assert code == 1, said
    assert statuses(tmp_path) == {"interrupted": 2}
    assert "2 runs interrupted" in said


def test_what_slurm_does_not_accept_is_one_line(bptt, slurm):
    environment = os.environ | slurm.environment
    done = bptt("sweep", *LONG, *SLURM, "hydra.launcher.partition=nope", env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("bptt: sbatch: error: invalid partition specified: nope")
    assert len(done.stderr.splitlines()) == 1
    done = bptt("sweep", *LONG, "--launcher", "submitit_slurm", "hydra.launcher.nope=1", env=environment)
    assert done.returncode == 2
    assert done.stderr == "bptt: hydra.launcher.nope=1: there is no such key\n"
