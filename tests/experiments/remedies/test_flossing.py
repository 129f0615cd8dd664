"""Gradient flossing: the exponents against closed forms and determinants, their gradient, and the episodes."""

import math

import pytest
import torch

from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.errors import UsageError
from experiments.remedies import Flossing
from experiments.training.run import run
from models.lyapunov import lyapunov_exponents


def test_a_scaled_rotation_has_equal_exponents(small):
    parts, batch = small("cell.nonlinearity=identity", "init=orthogonal", "init.gain=0.8", "task.length=30")
    cell = parts.network.cells[0]
    exponents = lyapunov_exponents(cell, batch.inputs, 3, transient=5)
    torch.testing.assert_close(exponents, torch.full_like(exponents, math.log(0.8)), rtol=0, atol=1e-12)
    assert Flossing(3, 0).loss(parts.network, batch.inputs).item() == pytest.approx(math.log(0.8) ** 2, rel=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_all_exponents_add_up_to_the_logarithm_of_the_determinant(small, cell):
    parts, batch = small(f"cell={cell}")
    layer = parts.network.cells[0]
    state = layer.initial_state(3)
    size = sum(one.shape[1] for one in state)
    unrolled = layer.unroll(batch.inputs, state, [(1, 7)])
    expected = torch.linalg.slogdet(unrolled.jacobians(3, 7)).logabsdet.mean(dim=0)
    exponents = lyapunov_exponents(layer, batch.inputs, size, transient=2)
    torch.testing.assert_close(exponents.sum(dim=1), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_gradient_of_the_loss_is_that_of_central_differences(small, cell):
    parts, batch = small(f"cell={cell}", "task.length=14")
    flossing, weight = Flossing(3, 0), parts.network.cells[0].weight_hh

    def loss():
        torch.manual_seed(0)  # the same first directions
        return flossing.loss(parts.network, batch.inputs[:, :1])

    (gradient,) = torch.autograd.grad(loss(), weight)
    direction = torch.randn(weight.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values = []
    for shift in (1e-5, -1e-5):
        with torch.no_grad():
            weight += shift * direction
        values.append(loss().item())
        with torch.no_grad():
            weight -= shift * direction
    assert (gradient * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6)


def test_an_episode_pushes_the_exponents_towards_zero(small):
    parts, batch = small("model.hidden_size=10", "task.length=30", "init=gaussian", "init.gain=0.4")
    readout = parts.network.readout.weight.clone()
    flossing = Flossing(exponents=5, before=60, lr=0.02)
    flossing.attach(parts.network)
    before = flossing.loss(parts.network, batch.inputs).item()
    flossing.before_step(1, parts.network, batch.inputs)
    assert flossing.loss(parts.network, batch.inputs).item() < 0.1 * before
    assert torch.equal(parts.network.readout.weight, readout)


def test_episodes_come_before_training_and_at_intervals():
    flossing = Flossing(exponents=2, before=7, during=3, every=10)
    due = {step: flossing._updates_before(step) for step in range(1, 32) if flossing._updates_before(step)}
    assert due == {1: 7, 11: 3, 21: 3, 31: 3}
    assert {Flossing(2, 7)._updates_before(step) for step in range(2, 50)} == {0}


def test_what_cannot_be_flossed_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"^remedy=flossing: remedy.exponents=9: must be at most 8, the si"):
        build(compose(["remedy=flossing", "remedy.exponents=9", "model.hidden_size=8"]))
    small = ["model.hidden_size=8", "task.length=20", "steps=2", "remedy=flossing", f"results_dir={tmp_path}"]
    result = run(compose([*small, "cell.nonlinearity=relu", "remedy.exponents=8"]))
    assert result.status == "failed"
    assert "a Lyapunov exponent is not finite, because a direction of the state collapsed; use fewer" in result.error


@pytest.mark.parametrize("override", ["remedy.during=5", "remedy.every=10", "remedy.before=0"])
def test_options_that_make_no_update_are_refused(override):
    with pytest.raises(UsageError, match=r"^remedy\."):
        build(compose(["remedy=flossing", override]))
