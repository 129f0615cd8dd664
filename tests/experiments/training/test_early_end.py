"""Rules that end a run early: when they do, and that a stopped run is in all else a run of fewer steps."""

import json
import math

import pandas as pd
import pytest

from experiments.analysis.configuration_findings import describe_configurations
from experiments.analysis.findings import describe_run
from experiments.analysis.run_tables import RunTables
from experiments.analysis.summary import summarize_runs
from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.errors import UsageError
from experiments.figures import cost
from experiments.stopping import Evaluated, Hopeless, Solved, SolvedOrHopeless
from experiments.store.progress import Follower, follow_runs, progress_of_study
from experiments.store.studies import read_runs
from experiments.sweeps.replay import compare, prepare_replay
from experiments.tasks.adding import Adding
from experiments.training.run import run
from tests.experiments.training.test_seams import contents

SMALL = [
    *("task.length=12", "model.hidden_size=6", "batch_size=3", "steps=40", "record.every=6", "record.windows=3"),
    *("record.evaluate_samples=50", "record.evaluate_every=5", "checkpoint_seconds=0"),
]


class Easy(Adding):
    """The adding problem, whose criterion an untrained network meets."""

    solved_below = 0.99


@pytest.fixture
def choose(tmp_path):
    def compose_in(folder, *overrides, easy=False):
        config = compose([*SMALL, f"results_dir={tmp_path / folder}", *overrides])
        return config.model_copy(update={"task": {**config.task, "_target_": f"{__name__}.Easy"}}) if easy else config

    return compose_in


def info_of(config):
    return json.loads((config.run_folder / "run.json").read_text())


def ended(config):
    info = info_of(config)
    return info["status"], info["stopped"], info["stopped_at_step"]


def evaluations(*errors, every=10):
    """Evaluations at steps 1, 11, 21, ... with a criterion of 0.1 and a chance error of 0.5."""
    steps = range(1, every * len(errors) + 1, every)
    return [Evaluated(at, 1.0, error, int(error < 0.1), 1.0, 0.5, 9) for at, error in zip(steps, errors, strict=True)]


@pytest.mark.parametrize(
    ("errors", "said"),
    [((0.05,), None), ((0.5, 0.05), None), ((0.05, 0.2, 0.05), None), ((0.4, 0.05, 0.09), "solved")],
)
def test_solved_means_at_two_evaluations_in_a_row(errors, said):
    assert Solved()(evaluations(*errors)) == said
    assert SolvedOrHopeless(by=1000)(evaluations(*errors)) == said


def test_solved_may_ask_for_more_or_fewer_evaluations():
    assert Solved(1)(evaluations(0.5, 0.05)) == "solved"
    assert Solved(3)(evaluations(0.5, 0.05, 0.05)) is None
    assert Solved(3)(evaluations(0.05, 0.05, 0.05)) == "solved"


@pytest.mark.parametrize(
    ("errors", "by", "said"),
    [
        ((0.5, 0.5), 12, None),  # steps 1 and 11
        ((0.5, 0.5), 11, "hopeless"),
        ((0.5, 0.5, 0.5), 12, "hopeless"),
        ((0.5, 0.45, 0.5), 12, "hopeless"),  # 0.9 of chance is not below it
        ((0.5, 0.44, 0.5), 12, None),
        ((0.5, 0.5, 0.44), 12, None),
        ((0.5, math.nan, math.nan), 12, "hopeless"),
    ],
)
def test_hopeless_means_never_below_a_share_of_chance(errors, by, said):
    assert Hopeless(by)(evaluations(*errors)) == said
    assert SolvedOrHopeless(by)(evaluations(*errors)) == said


def test_the_share_of_chance_can_be_given():
    assert Hopeless(by=11, below=0.5)(evaluations(0.5, 0.3)) == "hopeless"
    assert Hopeless(by=11, below=0.7)(evaluations(0.5, 0.3)) is None


RULES = {
    "solved": (["stop=solved"], True, 7),
    "hopeless": (["stop=hopeless", "stop.by=12", "stop.below=0.1"], False, 17),
    "both, solved": (["stop=solved_or_hopeless", "stop.by=12", "stop.below=0.1"], True, 7),
    "both, hopeless": (["stop=solved_or_hopeless", "stop.by=12", "stop.below=0.1"], False, 17),
}


@pytest.mark.parametrize(
    ("record", "name"), [*(("default", name) for name in RULES), ("full", "both, solved"), ("none", "both, hopeless")]
)
def test_a_stopped_run_is_a_run_of_so_many_steps(choose, name, record):
    """All files are the same bytes, those of the last recorded step included."""
    overrides, easy, last = RULES[name]
    more = [f"record={record}", "record.evaluate_every=5", "record.evaluate_samples=50", "cell=lstm"]
    stopped = choose("stopped", *more, *overrides, easy=easy)
    short = choose("short", *more, f"steps={last}", easy=easy)
    whole = choose("whole", *more, easy=easy)
    for config in (stopped, short, whole):
        run(config)
    assert ended(stopped) == ("completed", name.split(" ")[-1], last)
    assert ended(short) == ended(whole) == ("completed", None, None)
    assert contents(stopped) == contents(short)
    assert (stopped.run_folder / "network.pt").read_bytes() == (short.run_folder / "network.pt").read_bytes()
    assert contents(whole)["metrics.csv"].startswith(contents(stopped)["metrics.csv"])
    evaluated = contents(stopped)["evaluation.csv"].splitlines()
    assert contents(whole)["evaluation.csv"].splitlines()[: len(evaluated) - 1] == evaluated[:-1]


@pytest.mark.parametrize(("steps", "stops"), [(6, False), (7, False), (8, True)])
def test_a_run_that_is_at_its_end_is_not_stopped(choose, steps, stops):
    """The rule says 'solved' at step 6, and would make step 7 the last."""
    config = choose("x", "stop=solved", f"steps={steps}", easy=True)
    run(config)
    assert ended(config) == ("completed", *(("solved", 7) if stops else (None, None)))


@pytest.mark.parametrize("cut", [4, 7, 12, 16, 17])
def test_a_run_that_resumes_is_stopped_at_the_same_step(choose, cut_off, cut):
    """Step 17 is the last: the rule decides at step 16."""
    overrides = ["stop=hopeless", "stop.by=12", "stop.below=0.1"]
    unbroken, broken = (choose(folder, *overrides) for folder in ("unbroken", "broken"))
    run(unbroken)
    cut_off(broken, cut)
    run(broken)
    assert info_of(broken)["continued"][0]["after_step"] == cut - 1
    assert ended(broken) == ended(unbroken) == ("completed", "hopeless", 17)
    assert contents(broken) == contents(unbroken)


def test_a_stopped_run_is_replayed_and_not_run_again(choose, tmp_path):
    config = choose("x", "stop=hopeless", "stop.by=12", "stop.below=0.1")
    run(config)
    assert run(config).skipped
    again = prepare_replay(config.run_folder, tmp_path / "again")
    assert again.run().status == "completed"
    assert compare(config.run_folder, again.folder) is None
    assert ended(config) == ("completed", "hopeless", 17)


def test_summary_findings_and_status_say_where_a_run_was_stopped(choose):
    overrides = ["stop=hopeless", "stop.by=12", "stop.below=0.1"]
    configs = [choose("x", *overrides, f"seed={seed}") for seed in (0, 1)] + [choose("x")]
    for config in configs:
        run(config)
    runs = read_runs(configs[0].study_folder)
    runs = sorted(runs, key=lambda run: (run.config["stop"], run.config["seed"]))
    summary, states = summarize_runs(runs)
    assert summary["stopped"].tolist() == ["hopeless", "hopeless", None]
    assert summary["stopped_at_step"].tolist() == [17, 17, None]
    assert summary["status"].tolist() == ["completed"] * 3
    first = describe_run(runs[0], summary.iloc[0].to_dict())
    assert first.startswith(
        "stopped at step 17 of 40: hopeless, no error below 0.1 of chance by step 12; at step 17, the gradient "
    )
    assert "stopped" not in describe_run(runs[2], summary.iloc[2].to_dict())
    of_one, of_both = describe_configurations(runs, summary, states).values()
    assert of_both.endswith("; 2 of 2 runs stopped early: hopeless")
    assert "at the last recorded step" in of_both
    assert "stopped" not in of_one
    assert "at step 40" in of_one
    followed = Follower(follow_runs(runs, [40] * 3)).look()
    for progress in (progress_of_study(configs[0].study_folder), followed):
        assert sorted((one.step, one.stopped) for one in progress) == [(17, "hopeless"), (17, "hopeless"), (40, "")]
    times = cost.select_rows({"summary": RunTables(runs)["summary"]})["summary"]["milliseconds"] / 1000
    assert (times * [17, 17, 40]).tolist() == pytest.approx(summary["processor_seconds"].tolist())


def test_a_run_that_diverges_was_not_stopped(choose):
    config = choose(
        "x", "stop=hopeless", "stop.by=1", "cell.nonlinearity=identity", "optimizer=sgd", "optimizer.lr=1e30"
    )
    assert run(config).status == "diverged"
    assert ended(config) == ("diverged", None, None)


def test_a_task_without_a_criterion_is_never_solved(choose):
    for name, more in (("solved", []), ("solved_or_hopeless", ["stop.by=3"])):
        wrong = f"stop={name}: task=digits has no criterion for being solved; use stop=hopeless or stop=none"
        with pytest.raises(UsageError, match=f"^{wrong}$"):
            build(compose(["task=digits", f"stop={name}", *more]))
    build(compose(["task=digits", "stop=hopeless", "stop.by=3"]))


class Chatty:
    def __call__(self, evaluations):
        return True


class Third:
    """A rule of the user's own."""

    def __call__(self, evaluations):
        assert [one.step for one in evaluations] == [1, 6, 11][: len(evaluations)]
        return "third evaluation" if len(evaluations) == 3 else None


def with_rule(config, name):
    return config.model_copy(update={"stop": {"name": "mine", "_target_": f"{__name__}.{name}"}})


def test_a_rule_of_ones_own(choose, cut_off):
    unbroken, broken = (with_rule(choose(folder), "Third") for folder in ("unbroken", "broken"))
    run(unbroken)
    cut_off(broken, 9)
    run(broken)
    assert ended(unbroken) == ended(broken) == ("completed", "third evaluation", 12)
    assert contents(unbroken) == contents(broken)
    assert len(pd.read_csv(unbroken.run_folder / "metrics.csv")) == 12


def test_a_rule_returns_a_word_or_none(choose):
    result = run(with_rule(choose("x"), "Chatty"))
    assert result.status == "failed"
    assert result.error.startswith("TypeError: Chatty returned True; a stop rule returns a word or None")
    with pytest.raises(UsageError, match=r"^stop=mine: must be callable with the evaluations so far$"):
        build(with_rule(choose("y"), "Uncallable"))


class Uncallable:
    pass
