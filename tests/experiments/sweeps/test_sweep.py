"""A sweep whose workers are lost: it goes on with what they were making, as long as that gets anywhere."""

import json
from functools import partial

import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from experiments.store.files import write_json
from experiments.sweeps import sweep as module
from experiments.sweeps.plan import plan
from experiments.sweeps.sweep import sweep
from experiments.training import loop as training

GRID = ["seed=0,1", "task.length=12", "model.hidden_size=6", "batch_size=3", "steps=20", "record.evaluate_samples=20"]


@pytest.fixture
def planned(tmp_path):
    return plan([*GRID, f"results_dir={tmp_path}"])


@pytest.fixture
def lost_in(monkeypatch):
    """Lose the workers of a sweep: of the first launch in the first way, and so on."""

    def lose(*ways):
        left = list(ways)

        def start_workers(_launcher, worker, _jobs, _options):
            if left:
                left.pop(0)(worker)
                raise TerminatedWorkerError("lost")
            return [worker()]

        monkeypatch.setattr(module, "start_workers", start_workers)

    return lose


def before_it_begins(_):
    pass


def between_two_runs(worker):
    partial(worker.func, **{**worker.keywords, "configs": worker.keywords["configs"][:1]})()


def with_time_to_record_it(worker):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "backpropagate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker()


def without_any(worker):
    with_time_to_record_it(worker)
    path = next(worker.keywords["configs"][0].study_folder.glob("runs/*/run.json"))
    write_json(path, {**json.loads(path.read_text()), "status": "running"})


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("way", [between_two_runs, with_time_to_record_it, without_any])
def test_runs_are_gone_on_with(planned, lost_in, way):
    lost_in(way)
    assert [result.status for result in sweep(planned, launcher="joblib", jobs=2)] == ["completed"] * 2


@pytest.mark.parametrize("way", [with_time_to_record_it, without_any])
def test_a_run_that_is_lost_twice_at_the_same_step_failed(planned, lost_in, way):
    lost_in(way, way)
    first, second = sweep(planned, launcher="joblib", jobs=2)
    assert (first.status, first.error) == ("failed", "its process was killed twice; is there enough memory?")
    assert second.status == "completed"


def test_workers_that_do_not_get_to_begin_are_an_error(planned, lost_in):
    lost_in(before_it_begins)
    with pytest.raises(TerminatedWorkerError):
        sweep(planned, launcher="joblib", jobs=2)
