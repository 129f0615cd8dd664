"""Advice on truncation, clipping and spikes, on made-up tables for which a careless sentence would be false."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from experiments.analysis.advice import (
    describe_safe_threshold,
    describe_scale,
    describe_spikes,
    describe_truncation,
)
from experiments.spike_detector import WARMUP, SpikeDetector, find_spikes
from tests.experiments.analysis.conftest import LENGTH
from tests.experiments.analysis.test_findings import metrics


def truncations(distances, step=51):
    """Rows of truncation.csv; a parameter of its own has distances that must not be taken for those of all."""
    return [
        {"step": step, "parameter": name, "truncation": k, "grad_norm": 1, "distance": distance, "cosine": 1}
        for k, distance in distances.items()
        for name, distance in (("layers.0.weight_hh", 9.0), ("layers", distance))
    ]


def test_the_smallest_cut_is_the_one_from_which_on_all_are_close(write):
    """The gradient cut after 20 is close by chance: the next one is not."""
    rows = truncations({10: 0.5, 20: 0.05, 30: 0.2, 40: 0.0999, 100: 0.0})
    assert describe_truncation(write("rnn", tables={"truncation": rows})) == (
        "at step 51, a cut after 40 of 100 timesteps changes the gradient by at most 10% of its norm (after 30 by 20%)"
    )


def test_an_earlier_step_that_needs_more_is_named(write):
    rows = truncations({10: 0.5, 90: 0.01, 100: 0}, step=1) + truncations({10: 0.02, 90: 0.0, 100: 0})
    assert describe_truncation(write("rnn", tables={"truncation": rows})) == (
        "at step 51, a cut after 10 of 100 timesteps changes the gradient by at most 10% of its norm, "
        "at step 1 it takes 90"
    )


def test_the_runs_own_cut_is_judged(write):
    rows = truncations({8: 0.34, 10: 0.02, 100: 0})
    run = write("rnn", tables={"truncation": rows}, truncation=8)
    assert describe_truncation(run).endswith("; at step 51, truncation=8 changes it by 34%")
    beyond = write("rnn", 1, tables={"truncation": rows}, truncation=100)
    assert "truncation=" not in describe_truncation(beyond)


def test_nothing_is_promised_if_no_cut_is_close(write):
    rows = truncations({10: 1.2, 90: 0.4, 100: 0})
    said = describe_truncation(write("rnn", tables={"truncation": rows}))
    assert said.startswith("at step 51, every recorded cut changes the gradient by more than 10%")
    assert said.endswith("(after 90 by 40%)")
    assert describe_truncation(write("rnn", 1)) == ""


def updated(write, seed=0, *, factor=1.0, norms=(2.0, 100.0), threshold=math.inf, lr=0.1, weight=5.0, **config):
    """A run of SGD whose updates are `factor` times lr times the clipped norm, all of them recorded."""
    norms = np.resize(np.array(norms, float), 40)
    clipped = np.minimum(norms, threshold)
    rows = [
        {"step": step, "parameter": name, "grad_norm": 1, "weight_norm": size * share, "update_norm": update * share}
        for step, size, update in zip(range(1, 41), [weight] * 40, factor * lr * clipped, strict=True)
        for name, share in (("w", 0.6), ("b", 0.8), ("w[forget]", 50.0))
    ]
    table = metrics(norms) | {"clipped_grad_norm": clipped, "clip_scale": clipped / norms, "lr": lr}
    clip = {} if math.isinf(threshold) else {"clip": "norm", "clip__threshold": threshold}
    columns = {"spectral_radius": None, "sigma_max": None}
    tables = {"parameters": [row | columns for row in rows], "metrics": table}
    return write("rnn", seed, tables=tables, **{"optimizer": "sgd"} | clip | config)


def test_a_threshold_that_cuts_nearly_all_steps_is_a_learning_rate_for_plain_sgd_alone(write):
    acts = "acts as a learning rate"
    assert describe_scale(updated(write, 0, threshold=1.0)) == (
        " to 0.255 of their norm on average, so the threshold acts as a learning rate: these updates all have the "
        "length lr times the threshold"
    )
    assert acts not in describe_scale(updated(write, 1, threshold=3.0))  # cuts half of them
    assert acts not in describe_scale(updated(write, 2, threshold=1.0, optimizer="adam"))
    assert acts not in describe_scale(updated(write, 3, threshold=1.0, optimizer__momentum=0.9))
    assert acts not in describe_scale(updated(write, 4, threshold=1.0, factor=1.05))  # something else moves the weights
    assert acts not in describe_scale(updated(write, 5, threshold=1.0, clip="value"))
    assert describe_scale(updated(write, 6)) == ""


@pytest.mark.parametrize(("lr", "weight", "norms"), [(0.1, 5.0, (2, 100)), (0.3, 0.7, (3, 9)), (0.7, 1.9999, (50, 3))])
def test_the_threshold_said_keeps_every_update_within_the_weights_and_the_next_larger_does_not(
    write, lr, weight, norms
):
    said = describe_safe_threshold(updated(write, lr=lr, weight=weight, norms=norms))
    threshold = float(re.search(r"clip=norm at (\S+),", said)[1])
    sizes = [lr * min(norm, threshold) / weight for norm in norms]
    assert max(sizes) <= 1
    assert max(lr * min(norm, 1.01 * threshold) / weight for norm in norms) > 1


def test_no_threshold_is_said_where_none_is_known_or_needed(write):
    assert describe_safe_threshold(updated(write, 0, norms=(2.0, 49.0))) == ""  # no update as large as the weights
    assert describe_safe_threshold(updated(write, 1, optimizer="adam")) == ""
    assert describe_safe_threshold(updated(write, 2, factor=2.0)) == ""
    assert describe_safe_threshold(write("rnn", 3, tables={"metrics": metrics([1.0, 2.0])}, optimizer="sgd")) == ""


def healthy(steps=200, seed=0):
    return np.exp(np.random.default_rng(seed).normal(0, 0.3, steps))


def test_spikes_are_counted_from_the_norms_alone(write):
    norms = healthy()
    norms[[120, 150]] *= [50, 200]
    said = describe_spikes(write("rnn", tables={"metrics": metrics(norms)}))
    median = np.median(np.minimum(norms, 8)[50:150])
    assert said.startswith(
        f"the gradient norm left its running distribution at 2 steps, the farthest at 151: {norms[150] / median:.3g} "
        "times the running median"
    )
    assert describe_spikes(write("rnn", 1, tables={"metrics": metrics(healthy())})) == ""


def spike(step, **origin):
    unknown = dict.fromkeys(("timestep", "layer", "state", "parameter", "parameter_share", "sample", "sample_share"))
    return {"step": step, "grad_norm": 50.0, "median_grad_norm": 1, "limit": 8, "z_score": 9} | unknown | origin


def test_a_sequence_is_named_only_if_most_of_the_gradient_is_its_own(write):
    norms = healthy()
    norms[120] *= 50
    tables = {"metrics": metrics(norms)}
    place = {"timestep": 37, "layer": 1, "state": "c"}
    one = write("rnn", 0, tables=tables | {"spikes": [spike(121, **place, sample=5, sample_share=0.94)]})
    assert describe_spikes(one).endswith(
        f"(going back from the end, it leaves it at timestep 37 of {LENGTH}, in layer 1, state c; sequence 5 of the "
        "batch, counted from 0, has 94% of the squared norms of all sequences)"
    )
    several = write("rnn", 1, tables=tables | {"spikes": [spike(121, **place, sample=5, sample_share=0.3)]})
    assert "sequence" not in describe_spikes(several)
    other = write("rnn", 2, tables=tables | {"spikes": [spike(120, **place)]})  # not the step that is named
    assert "timestep" not in describe_spikes(other)


def test_norms_that_are_ordinary_are_no_spikes():
    """Normal logarithms, and logarithms that drift: none in 30 trainings of 2000 steps each."""
    for seed in range(30):
        noise = np.random.default_rng(seed).normal(0, 0.3, 2000)
        drift = np.linspace(0, -8, 2000)
        assert not find_spikes(np.exp(noise)) | find_spikes(np.exp(noise + drift)) | find_spikes(np.exp(drift))


def test_a_spike_does_not_hide_the_next_and_a_lasting_change_ends():
    norms = healthy(400)
    norms[[100, 101, 130]] = 1e6
    assert find_spikes(norms).keys() == {100, 101, 130}
    norms = healthy(400)
    norms[200:] *= 1e4
    found = find_spikes(norms)
    assert min(found) == 200
    assert max(found) < 250


def test_what_does_not_count():
    detector = SpikeDetector()
    assert [detector.judge(norm) for norm in (0.0, 1e9, 1e-9)] == [None] * 3  # too few to judge
    found = detector.judge(math.nan)
    assert (found.median, found.limit, found.z_score) == (None, None, None)
    assert detector.state_dict() == {"logs": [math.log(1e9), math.log(1e-9)]}
    steady = [1.0] * WARMUP
    assert not find_spikes([*steady, 1.8])  # norms that do not vary at all have a deviation of 0.1
    assert find_spikes([*steady, 1.9]).keys() == {WARMUP}
    assert not find_spikes([*steady[1:], 1e9])


def test_a_detector_goes_on_where_another_one_stopped():
    norms = healthy(300)
    norms[[120, 250]] *= 60
    first, second, whole = SpikeDetector(), SpikeDetector(), SpikeDetector()
    for norm in norms[:200].tolist():
        first.judge(norm)
    second.load_state_dict(first.state_dict())
    expected = [whole.judge(norm) for norm in norms.tolist()]
    assert [second.judge(norm) for norm in norms[200:].tolist()] == expected[200:]
    assert find_spikes(norms) == {place: one for place, one in enumerate(expected) if one}
    assert pd.Series(expected).notna().sum() == 2
