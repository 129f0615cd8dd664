"""A search by Optuna's sweeper: what it picks, what it says is best, and that it repeats."""

import pytest
import yaml

from experiments.analysis.summary import summarize_runs
from experiments.config.grid import expand
from experiments.errors import UsageError
from experiments.store.studies import read_runs
from experiments.sweeps import search as searching
from experiments.sweeps.sweep import sweep

pytest.importorskip("optuna")

SMALL = [
    *("task.length=6", "model.hidden_size=4", "batch_size=4", "steps=10", "record.windows=3"),
    *("record.evaluate_samples=20", "hydra/sweeper=optuna"),
]
SPACE = ["cell=rnn,lstm", "optimizer.lr=tag(log,interval(1e-3,1))"]


def search(folder, *overrides, objective="final_loss", jobs=3, results=None, **more):
    def make(planned):
        made = sweep(planned)
        if results is not None:
            results.extend(made)
        return made

    grid = expand([*SMALL, f"results_dir={folder}", *overrides])
    return searching.search(grid, None, objective=objective, jobs=jobs, **{"sweep": make, **more})


@pytest.mark.parametrize(("objective", "direction"), [("final_loss", "minimize"), ("gain_at_init", "maximize")])
def test_the_best_is_that_of_summary_csv(tmp_path, objective, direction):
    options = ["hydra.sweeper.n_trials=7", f"hydra.sweeper.direction={direction}"]
    found = search(tmp_path, *SPACE, *options, objective=objective)
    runs = read_runs(found.study)
    assert {run.folder for run in runs} == set(found.folders)
    assert len(runs) == 7
    assert all(1e-3 <= run.config["optimizer.lr"] <= 1 for run in runs)
    rows = summarize_runs(runs)[0].set_index("run_id")[objective].astype(float)
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


def test_an_option_is_picked_only_where_the_choice_has_it(tmp_path):
    """As in a grid: a clipping threshold without clipping is no key."""
    space = ["clip=choice(none,norm)", "clip.threshold=interval(0.1,1)", "cell=rnn,lstm", "cell.forget_bias=2"]
    found = search(tmp_path, *space, "hydra.sweeper.n_trials=8", "hydra.sweeper.sampler.seed=1")
    configs = [run.config for run in read_runs(found.study)]
    assert {(c["clip"], "clip.threshold" in c) for c in configs} == {("none", False), ("norm", True)}
    assert {(c["cell"], c.get("cell.forget_bias")) for c in configs} == {("rnn", None), ("lstm", 2.0)}
    assert all(0.1 <= c["clip.threshold"] <= 1 for c in configs if c["clip"] == "norm")
    best = yaml.safe_load((found.study / "optimization_results.yaml").read_text())
    config = next(run.config for run in read_runs(found.study) if run.folder == found.best)
    assert best["best_value"] == found.value
    assert best["best_params"] == {key: config[key] for key in ("cell", "clip", "clip.threshold") if key in config}


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_ranges_hold_the_values_that_they_hold_in_a_grid(tmp_path, sampler):
    space = ["init=orthogonal", "init.gain=range(0.1,0.6,0.2)", "seed=range(1,6,3)", f"hydra/sweeper/sampler={sampler}"]
    found = search(tmp_path, *space, "hydra.sweeper.n_trials=12", jobs=6)
    configs = [run.config for run in read_runs(found.study)]
    assert {c["init.gain"] for c in configs} == {0.1, 0.3, 0.5}
    assert {c["seed"] for c in configs} == {1, 4}


def test_the_trials_are_counted(tmp_path):
    told = []
    search(tmp_path, *SPACE, "hydra.sweeper.n_trials=4", report=told.append)
    assert [line.partition(";")[0] for line in told] == ["trials 1 to 3 of 4", "trial 4 of 4"]
    assert "; best final_loss so far 0." in told[1]


def test_a_search_with_a_storage_resumes(tmp_path):
    """What was being made when it was cut off comes first; then there are as many trials as were asked for."""
    options = [*SPACE, f"hydra.sweeper.storage='sqlite:///{tmp_path}/trials.db'"]
    told = []

    def cut_off(planned):
        if len(told) == 2:
            raise KeyboardInterrupt
        return sweep(planned)

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, *options, "hydra.sweeper.n_trials=5", jobs=2, report=told.append, sweep=cut_off)
    assert told[1].startswith("trials 3 to 4 of 5")
    results, told = [], []
    found = search(tmp_path, *options, "hydra.sweeper.n_trials=5", jobs=2, report=told.append, results=results)
    assert [line.partition(";")[0] for line in told] == ["trials 3 to 4 of 5", "trial 5 of 5"]
    assert [result.skipped for result in results] == [False] * 3
    assert len(found.folders) == len(read_runs(found.study)) == 5
    rows = summarize_runs(read_runs(found.study))[0]["final_loss"].astype(float)
    assert found.value == rows.min()

    results, told = [], []
    assert search(tmp_path, *options, "hydra.sweeper.n_trials=5", report=told.append, results=results) == found
    assert (results, told[0].startswith("finished before: 5 trials;")) == ([], True)
    more = search(tmp_path, *options, "hydra.sweeper.n_trials=7", results=results)
    assert len(results) == 2
    assert len(more.folders) == 7


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["hydra.sweeper.storage='sqlite:////nowhere/x.db'"],
            "hydra.sweeper.storage=sqlite:////nowhere/x.db: cannot be",
        ),
        (["hydra.sweeper.storage=hpo.db"], "hydra.sweeper.storage=hpo.db: cannot be used: ArgumentError"),
        (
            ["hydra/sweeper/sampler=grid"],
            "optimizer.lr: is an interval, but hydra/sweeper/sampler=grid takes only",
        ),
        (["seed=range(0)"], r"seed=range\(0\): has no values; is a range empty"),
        (["study=gates"], "study=gates: has 2 grids, but a search needs one"),
        (["seed=range(0,1,0)"], "a range needs finite bounds"),
    ],
)
def test_a_space_or_storage_that_cannot_be_used_is_refused(tmp_path, overrides, said):
    with pytest.raises(UsageError, match=said) as error:
        search(tmp_path, *SPACE, *overrides)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_trials_that_end_early_have_their_value(tmp_path):
    """A trial is told the value of its own last step, whichever that is."""
    early = ["stop=none,hopeless", "stop.by=2", "stop.below=0.01", "steps=9", "record.evaluate_every=2"]
    found = search(tmp_path, *early, "hydra.sweeper.n_trials=6", jobs=6)
    rows = summarize_runs(read_runs(found.study))[0].set_index("run_id")
    assert sorted(rows["stopped_at_step"].dropna()) == [4]
    assert len(rows) == 2
    assert found.value == rows["final_loss"].astype(float).min() == rows.loc[found.best.name, "final_loss"]
