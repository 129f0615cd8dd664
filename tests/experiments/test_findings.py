"""What is said of runs, for gradients that are made up."""

import pandas as pd
import pytest

from experiments.analysis import outcomes
from experiments.findings import by_configuration, finding
from experiments.study import Run

LENGTH = 100
"""Of every run, which is seen in ten windows: lags 0, 10, ..., 90."""


@pytest.fixture
def run(tmp_path):
    """A run whose gradients at the last of two recorded steps are these, by state; at the first they are 1."""

    def write(cell="lstm", seed=0, **states):
        rows = [
            {"step": step, "layer": 0, "state": state, "timestep": LENGTH - lag, "lag": lag, "grad_norm": norm}
            for step in (1, 51)
            for state, norms in states.items()
            for lag, norm in zip(range(0, LENGTH, LENGTH // len(norms)), norms if step > 1 else [1] * 10, strict=False)
        ]
        folder = tmp_path / f"{cell}{seed}"
        folder.mkdir()
        pd.DataFrame(rows).to_csv(folder / "gradients.csv", index=False)
        info = {"status": "completed", "timesteps": LENGTH, "readout_steps": 1, "parameters": 1}
        return Run(folder, {"cell": cell, "task": "adding", "seed": seed}, info)

    return write


def falling(by, until=1e-30):
    return [max(until, 10.0 ** (-by * i)) for i in range(10)]


def said(*runs):
    return by_configuration(runs, *outcomes(runs))


def test_an_lstm_reaches_as_far_as_its_cell_state(run):
    carried = run(h=falling(1), c=falling(0.1))
    assert finding(carried, outcomes([carried])[0].iloc[0]) == (
        "gradient of the cell state reaches back to step 10 of 100: 0.126 times its size at the end"
    )
    assert said(carried) == {
        "cell = lstm": "the gradient arrives at step 1 (gain a timestep 1.000 before training, 0.794 after); "
        "a thousandth of h is left up to lag 30, of the cell state up to lag 99"
    }


def test_a_gradient_that_falls_at_first_and_then_stays_has_vanished(run):
    fallen = run("rnn", h=falling(2, until=1e-4))
    assert finding(fallen, outcomes([fallen])[0].iloc[0]) == (
        "gradient falls to 1e-3 of its size within 20 steps back: "
        "inputs before step 80 of 100 do not train this network"
    )
    (sentence,) = said(fallen).values()
    assert "trained, it vanishes" in sentence
    assert sentence.endswith("a thousandth is left up to lag 10")


def test_a_gradient_that_dips_and_comes_back_has_not_vanished(run):
    dipped = run("rnn", h=[1, 1e-2, 1e-4, 1e-4, 1e-3, *[1e-2] * 5])
    assert finding(dipped, outcomes([dipped])[0].iloc[0]) == (
        "gradient reaches back to step 10 of 100: 0.01 times its size at the end"
    )
    (sentence,) = said(dipped).values()
    assert sentence == "the gradient arrives at step 1 (gain a timestep 1.000 before training, 0.999 after)"


def test_seeds_are_told_by_their_medians(run):
    seeds = [run("gru", seed, h=falling(by)) for seed, by in enumerate((0.5, 1, 1.5))]
    assert said(*seeds) == {
        "cell = gru": "untrained, the gradient arrives at step 1 (gain 1.000 a timestep); "
        "trained, it vanishes (0.794); a thousandth is left up to lag 30"
    }


def test_a_gradient_that_grows_explodes_however_far_it_reaches(run):
    (sentence,) = said(run("rnn", h=falling(-1))).values()
    assert sentence.endswith("trained, it explodes (1.259)")


@pytest.mark.parametrize(
    ("error", "samples", "words"),
    [
        (0.95, 200, "error 95.0%, where chance scores 64%: nothing was learned"),
        (0.62, 200, "error 62.0%, where chance scores 64%: no learning shows in 200 samples"),
        (1.0, 1, "error 100.0%, where chance scores 64%: no learning shows in 1 sample"),
        (0.2, 200, "error 20.0%, where chance scores 64%"),
    ],
)
def test_what_was_learned_is_held_against_the_noise_of_the_samples(run, error, samples, words):
    outcome = {"best_error": error, "chance_error": 0.64, "evaluation_samples": samples, "solved": 0}
    assert finding(run(h=falling(1)), outcome).endswith(f"; {words}")
