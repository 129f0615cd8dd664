"""What is counted over seeds is what each run's own advice says."""

import math

import numpy as np
import pytest

from experiments.analysis.advice import describe_safe_threshold, describe_spikes
from experiments.analysis.advice_over_runs import (
    say_cut_of_all,
    say_data_of_all,
    say_scale_of_all,
    say_spikes_of_all,
    say_threshold_of_all,
)
from tests.experiments.analysis.test_advice import truncations, updated
from tests.experiments.analysis.test_findings import metrics


def test_the_cut_is_the_median_of_the_runs_and_those_that_need_all_are_counted(write):
    def cut(seed, distances):
        rows = truncations({10: 0.01, 50: 0.0, 100: 0}, step=1) + truncations(distances)
        return write("rnn", seed, tables={"truncation": rows})

    few = [cut(0, {10: 0.05, 50: 0.0, 100: 0}), cut(1, {10: 0.5, 50: 0.01, 100: 0})]
    close = (
        "at the last recorded step, a cut after 30 (10 to 50) of 100 timesteps changes the gradient by at most 10% of "
        "its norm"
    )
    assert say_cut_of_all(few) == close
    none = cut(2, {10: 0.5, 50: 0.2, 100: 0})
    assert say_cut_of_all([*few, none]) == f"{close} in 2 of 3 runs, and no recorded cut does in the others"
    assert say_cut_of_all([none, none]) == (
        "at the last recorded step, every recorded cut changes the gradient by more than 10% of its norm"
    )
    assert say_cut_of_all([write("rnn", 3), write("rnn", 4)]) == ""


def test_the_threshold_is_safe_for_all_runs_and_those_that_went_too_far_are_counted(write):
    runs = [updated(write, 0), updated(write, 1, weight=8.0), updated(write, 2, weight=1e3)]
    alone = [describe_safe_threshold(run) for run in runs]
    assert [text.partition(",")[0] for text in alone] == ["with clip=norm at 50", "with clip=norm at 80", ""]
    assert say_threshold_of_all(runs) == (
        "in 2 of 3 runs a recorded update was larger than the weights; with clip=norm at 50, none would have been"
    )
    assert say_threshold_of_all(runs[2:] * 2) == ""


def test_the_scale_is_the_median_and_learning_rates_in_disguise_are_counted(write):
    runs = [
        updated(write, 0, norms=[2.0], threshold=1.0),
        updated(write, 1, norms=[4.0], threshold=1.0, optimizer="adam"),
    ]
    assert say_scale_of_all(runs) == (
        " to 0.375 (0.25 to 0.5) of their norm on average, and in 1 of 2 runs the threshold acts as a learning rate"
    )
    assert say_scale_of_all([updated(write, 2), updated(write, 3)]) == ""


def test_spikes_are_counted_by_run_and_the_farthest_is_named(write):
    def norms(seed, *spikes):
        values = np.full(100, 1.0)
        for step, value in spikes:
            values[step - 1] = value
        return write("rnn", seed, tables={"metrics": metrics(values)})

    runs = [norms(0, (60, 50.0)), norms(1), norms(2, (70, 20.0), (80, 80.0)), norms(3, (90, math.inf))]
    assert describe_spikes(runs[1]) == ""
    assert say_spikes_of_all(runs) == (
        "in 2 of 4 runs the gradient norm left its running distribution, the farthest to 80 times the running median "
        "(step 80 with seed 2)"
    )
    assert say_spikes_of_all(runs[1:2] * 2) == ""


@pytest.mark.parametrize(("reach", "words"), [(30, "reaches it in 1 of 2 runs"), (90, "reaches it in 0 of 2 runs")])
def test_the_reach_of_the_data_is_held_against_the_gradient_of_each_run(write, reach, words):
    lags = [
        {"lag": lag, "column": "a", "dependence": 0.5 * (lag == reach), "bound": 0.1, "rows": 500} for lag in range(100)
    ]
    fast, slow = ([factor**lag for lag in range(0, 100, 10)] for factor in (0.5, 0.85))
    runs = [
        write("rnn", seed, states={"h": (norms, norms)}, tables={"data_lags": lags}, task="csv", task__target="flow")
        for seed, norms in enumerate((fast, slow))
    ]
    assert say_data_of_all(runs) == f"flow depends on inputs up to lag {reach}, and the gradient {words}"
    assert say_data_of_all([write("rnn", 2), write("rnn", 3)]) == ""
