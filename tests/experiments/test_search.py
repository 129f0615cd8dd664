"""A search by Optuna's sweeper: what it picks, what it says is best, and that it repeats."""

import pytest

from experiments import search as searching
from experiments.analysis import outcomes
from experiments.errors import UsageError
from experiments.study import read_runs
from experiments.sweep import sweep

pytest.importorskip("optuna")

SMALL = [
    *("task.length=6", "model.hidden_size=4", "batch_size=4", "steps=10", "record.windows=3"),
    *("record.evaluate_samples=20", "hydra/sweeper=optuna"),
]
SPACE = ["cell=rnn,lstm", "optimizer.lr=tag(log,interval(1e-3,1))"]


def search(folder, *overrides, objective="final_loss", jobs=3, results=None):
    def make(planned):
        made = sweep(planned)
        if results is not None:
            results.extend(made)
        return made

    space = [*SMALL, f"results_dir={folder}", *overrides]
    return searching.search(space, None, objective=objective, jobs=jobs, sweep=make)


@pytest.mark.parametrize(("objective", "direction"), [("final_loss", "minimize"), ("gain_at_init", "maximize")])
def test_the_best_is_that_of_summary_csv(tmp_path, objective, direction):
    options = ["hydra.sweeper.n_trials=7", f"hydra.sweeper.direction={direction}"]
    found = search(tmp_path, *SPACE, *options, objective=objective)
    runs = read_runs(found.study)
    assert {run.folder for run in runs} == set(found.folders)
    assert len(runs) == 7
    assert all(1e-3 <= run.config["optimizer.lr"] <= 1 for run in runs)
    rows = outcomes(runs)[0].set_index("run_id")[objective].astype(float)
    pick = rows.idxmin if direction == "minimize" else rows.idxmax
    assert found.value == rows.loc[pick()]
    assert found.value == rows.loc[found.best.name]


def test_the_same_search_goes_on_with_what_is_there(tmp_path):
    first, again = [], []
    options = [*SPACE, "hydra.sweeper.n_trials=4"]
    one = search(tmp_path, *options, results=first)
    two = search(tmp_path, *options, results=again)
    assert one == two
    assert [result.skipped for result in first] == [False] * 4
    assert [result.skipped for result in again] == [True] * 4
    other = search(tmp_path / "other", *options, "hydra.sweeper.sampler.seed=1")
    assert {f.name for f in other.folders} != {f.name for f in one.folders}


def test_a_trial_that_comes_twice_is_made_once(tmp_path):
    results = []
    found = search(tmp_path, "cell=rnn,lstm", "hydra.sweeper.n_trials=6", jobs=6, results=results)
    assert len(results) == len(found.folders) == 2


def test_what_has_no_value_is_the_worst(tmp_path):
    """A learning rate so large that the loss overflows, and one that does not."""
    space = ["cell.nonlinearity=identity", "optimizer=sgd", "optimizer.lr=0.001,1e30", "hydra.sweeper.n_trials=6"]
    found = search(tmp_path, *space, jobs=6)
    statuses = {run.folder: run.info["status"] for run in read_runs(found.study)}
    assert sorted(statuses.values()) == ["completed", "diverged"]
    assert statuses[found.best] == "completed"


@pytest.mark.parametrize(
    ("overrides", "objective", "wrong"),
    [
        (SPACE, "loss", "--objective loss: there is no such column; choose from final_loss"),
        (["cell=lstn,rnn"], "final_loss", "cell=lstn: there is no such cell; choose from"),
        (["optimizer.lrr=interval(0,1)"], "final_loss", "optimizer.lrr=.*: there is no such key"),
        ([*SPACE, "hydra.sweeper.n_trial=3"], "final_loss", "hydra.sweeper.n_trial=3: there is no such key"),
        (
            [*SPACE, "hydra.sweeper.direction=up"],
            "final_loss",
            "hydra.sweeper.direction=up: must be minimize or maximize",
        ),
    ],
)
def test_what_is_wrong_with_a_search(tmp_path, overrides, objective, wrong):
    with pytest.raises(UsageError, match=wrong):
        search(tmp_path, *overrides, objective=objective)
    assert not list(tmp_path.iterdir())
