"""Reading how far runs are from their files."""

import json
import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from experiments.config.composing import compose
from experiments.store.locks import lock_run
from experiments.store.progress import FollowedRun, Follower, progress_of
from experiments.sweeps.plan import plan
from experiments.training.probe import probe
from experiments.training.run import run

SMALL = ["task.length=10", "model.hidden_size=4", "batch_size=2", "record.windows=5", "record.evaluate_samples=4"]


def made(tmp_path, *overrides):
    return run(compose([*SMALL, "steps=6", f"results_dir={tmp_path}", *overrides])).folder


def set_status(folder, **changes):
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, **changes}))


def test_a_run_that_has_not_begun_is_waiting(tmp_path):
    state = progress_of(FollowedRun(tmp_path / "none", "x", 5))
    assert (state.status, state.step, state.left) == ("waiting", 0, math.inf)


def test_a_state_is_what_the_last_rows_say(tmp_path):
    folder = made(tmp_path, "cell=lstm", "model.num_layers=2", "record.every=2")
    set_status(folder, status="running", seconds=2.0)
    with lock_run(folder):
        state = progress_of(FollowedRun(folder, "x", 9))
    metrics, gradients = (pd.read_csv(folder / f"{name}.csv") for name in ("metrics", "gradients"))
    assert (state.status, state.step) == ("running", 6)
    assert (state.loss, state.grad_norm) == (metrics["loss"].iloc[-1], metrics["grad_norm"].iloc[-1])
    flow = gradients.query("step == 6 and layer == 0 and state == 'h'").sort_values("lag")["grad_norm"]
    assert list(state.flow) == flow.tolist()
    assert len(flow) == 5
    assert state.speed == pytest.approx(3)
    assert state.left == pytest.approx(1)


def test_rows_that_are_being_written_do_not_disturb(tmp_path):
    folder = made(tmp_path)
    for name in ("metrics", "gradients"):
        with (folder / f"{name}.csv").open("a") as file:
            file.write("7,0.1")
    set_status(folder, status="running")
    with lock_run(folder):
        assert progress_of(FollowedRun(folder, "x", 9)).step == 6
    (folder / "run.json").write_text('{"status": "runn')
    assert progress_of(FollowedRun(folder, "x", 9)).status == "waiting"


def test_long_tables_are_read_from_their_end(tmp_path):
    folder = made(tmp_path, "steps=300", "record.every=1")
    assert (folder / "gradients.csv").stat().st_size > 30_000
    set_status(folder, status="running")
    with lock_run(folder):
        state = progress_of(FollowedRun(folder, "x", 300))
    assert state.step == 300
    assert len(state.flow) == 5


def test_an_earlier_attempt_is_waiting_until_it_begins_again(tmp_path):
    folder = made(tmp_path)
    task = FollowedRun(folder, "x", 6)
    set_status(folder, status="interrupted")
    follower = Follower([task])
    assert follower.look()[0].status == "waiting"
    set_status(folder, status="failed", error="it broke")
    assert follower.look()[0].error == "it broke"


@pytest.mark.parametrize("status", ["completed", "diverged", "failed"])
def test_what_is_settled_is_kept(tmp_path, status):
    task = FollowedRun(made(tmp_path), "x", 6)
    set_status(task.folder, status=status, error="it broke")
    kept = Follower([task]).look()[0]
    assert (kept.status, kept.kept, kept.step, kept.error) == (status, True, 6, "it broke")


def test_a_run_that_nobody_makes_any_more_was_interrupted(tmp_path):
    folder = made(tmp_path)
    set_status(folder, status="running")
    assert progress_of(FollowedRun(folder, "x", 9)).status == "interrupted"
    with lock_run(folder):
        assert progress_of(FollowedRun(folder, "x", 9)).status == "running"


def test_the_speed_of_a_run_that_goes_on_is_that_since_it_does(tmp_path):
    folder = made(tmp_path)
    at = (datetime.now(UTC) - timedelta(seconds=4)).isoformat(timespec="seconds")
    set_status(folder, status="running", seconds=None, continued=[{"after_step": 2, "at": at, "host": "x"}])
    with lock_run(folder):
        assert progress_of(FollowedRun(folder, "x", 9)).speed == pytest.approx(1, rel=0.5)


def test_tasks_are_called_by_what_tells_them_apart(tmp_path):
    planned = plan(["cell=rnn,lstm", "clip=norm", "seed=0,1", f"results_dir={tmp_path}", "steps=7", "probe.batches=3"])
    tasks = planned.followed_runs()
    assert [task.label for task in tasks] == [f"cell={cell} seed={seed}" for cell in ("rnn", "lstm") for seed in (0, 1)]
    assert [task.folder for task in tasks] == [config.run_folder for config in planned.configs]
    assert {task.steps for task in tasks} == {7}
    probes = plan(["cell=rnn,lstm", "probe.batches=3"], run_one=probe).followed_runs()
    assert {task.steps for task in probes} == {3}
    assert probes[0].folder.name.startswith("probe-")
