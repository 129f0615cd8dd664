"""Sweeps on a real Slurm of two nodes: as an array job, with what happens on clusters on the way."""

import random
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.e2e.sweeps import contents, statuses, until, writing
from tests.slurm.cluster import PARTITION, missing, running

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

GRID = [
    "cell=rnn,lstm", "seed=0,1", "task.length=20", "model.hidden_size=8", "steps=500", "record.every=20",
    "record.evaluate_samples=50", "checkpoint_seconds=0.1",
]  # fmt: skip
LONG = ["task.length=60", "steps=1000000"]
SLURM = ["--launcher", "submitit_slurm", f"hydra.launcher.partition={PARTITION}"]
IMPATIENT = {
    "experiments.sweeps.submitit_jobs.SECONDS_BETWEEN_QUESTIONS": 0.5,
    "experiments.sweeps.submitit_jobs.SECONDS_OF_GRACE": 2.0,
}


@pytest.fixture(scope="module")
def slurm():
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, running(Path(folder) / "it") as cluster:
        yield cluster  # the paths of its sockets must be short


def queued(cluster):
    """The state of each job, and its node."""
    lines = cluster.says("squeue", "--noheader", "--array", "--format=%i %T %N").splitlines()
    return {job: (state, *node) for job, state, *node in map(str.split, lines)}


def test_an_array_job_that_loses_a_node_and_a_job_is_gone_on_with(tmp_path, sweep, slurm, bptt):
    (tmp_path / "unbroken").mkdir()
    done = bptt("sweep", *GRID, "--jobs", "1", cwd=tmp_path / "unbroken")
    assert done.returncode == 0, done.stderr
    unbroken = contents(tmp_path / "unbroken")

    cpus = "hydra.launcher.cpus_per_task=1"
    one = sweep(*GRID, *SLURM, cpus, "--jobs", "3", environment=slurm.environment, constants=IMPATIENT)
    until(lambda: writing(tmp_path / "results") >= 3)
    jobs = queued(slurm)
    assert sorted(jobs.values()) == [("RUNNING", "node1"), ("RUNNING", "node1"), ("RUNNING", "node2")]
    assert len({job.partition("_")[0] for job in jobs}) == 1
    slurm.kill_node("node2")
    slurm.says("scancel", random.choice([job for job, (_, node) in jobs.items() if node == "node1"]))
    until(lambda: re.match(r"\d/4 done, 1 running, [12] interrupted", bptt("status", "default").stdout))
    until(lambda: "down" in slurm.says("sinfo", "-h", "-N", "-n", "node2", "-o", "%T"))
    code, said = one.end(240)
    assert code == 1, said
    assert "interrupted; run the same command again to resume" in said
    assert "Traceback" not in said
    assert statuses(tmp_path)["interrupted"] >= 1
    until(lambda: not queued(slurm))  # a job may leave the queue a moment after its result is there

    slurm.start_node("node2")
    code, said = sweep(*GRID, *SLURM, "--jobs", "1", environment=slurm.environment).end(240)
    assert code == 0, said
    assert statuses(tmp_path) == {"completed": 4}
    assert contents(tmp_path / "results") == {
        path.removeprefix("results/"): content for path, content in unbroken.items()
    }


def test_an_interrupt_cancels_the_array(tmp_path, sweep, slurm):
    one = sweep("cell=rnn,lstm", *LONG, *SLURM, "--jobs", "2", environment=slurm.environment)
    until(lambda: writing(tmp_path) == 2)
    began = time.monotonic()
    one.send(signal.SIGINT)
    code, said = one.end(30)
    assert time.monotonic() - began < 5
    assert code == 130, said
    assert said.endswith("bptt: interrupted; results written so far are kept\n")
    until(lambda: not queued(slurm))
    assert statuses(tmp_path) == {"interrupted": 2}


def test_where_there_is_no_accounting_a_lost_job_is_not_waited_for(tmp_path, sweep, slurm):
    assert subprocess.run(["sacct"], env=slurm.without_accounting, capture_output=True, check=False).returncode
    one = sweep(*LONG, *SLURM, "--jobs", "1", environment=slurm.without_accounting, constants=IMPATIENT)
    until(lambda: writing(tmp_path) == 1)
    slurm.says("scancel", *queued(slurm))
    code, said = one.end(60)
    assert code == 1, said
    assert statuses(tmp_path) == {"interrupted": 1}
    assert "1 run interrupted" in said


def test_what_slurm_does_not_accept_is_one_line(bptt, slurm):
    for wrong, said in (
        ("partition=nope", "bptt: sbatch: error: invalid partition specified: nope"),
        ("nope=1", "bptt: hydra.launcher.nope=1: there is no such key\n"),
    ):
        done = bptt("sweep", *LONG, *SLURM, f"hydra.launcher.{wrong}", environment=slurm.environment)
        assert done.returncode == 2
        assert done.stderr.startswith(said)
        assert len(done.stderr.splitlines()) == 1
