"""Where a large gradient comes from, on networks in which it is planted at one timestep of one sequence."""

import math

import pytest
import torch

from models.origin import find_origin
from tests.models.reference import gradients_of, inputs, loss_of, network, traced
from tests.models.test_truncation import LENGTH, make, mean_loss, with_detached_states

CELLS = ["tanh", "lstm", "gru", "complex"]


def norm_of(gradients):
    return math.hypot(*(one.norm().item() for one in gradients.values()))


@pytest.mark.parametrize("name", CELLS)
def test_it_begins_at_the_latest_timestep_from_which_on_the_gradient_is_beyond_the_limit(name):
    """The gradient that arises in the last K timesteps is the one of autograd that is cut after K timesteps."""
    net, x = make(name, 2, 1), inputs(LENGTH)
    norms = {k: norm_of(with_detached_states(net, x, k, mean_loss)[0]) for k in range(1, LENGTH + 1)}
    trace = traced(net, x)
    for limit in (0.999 * norms[1], 1.001 * norms[1], 0.5 * (norms[2] + norms[4])):
        beyond = [k for k, norm in norms.items() if norm > limit]
        found = find_origin(trace, gradients_of(net), limit)
        assert found.timestep == (LENGTH + 1 - beyond[0] if beyond else None)
    assert find_origin(trace, gradients_of(net), 2 * max(norms.values()))[:3] == (None, None, None)
    outside = math.hypot(*(net.readout.weight.grad.norm(), net.readout.bias.grad.norm()))
    assert find_origin(trace, gradients_of(net), 0.99 * outside).timestep is None  # the read-out alone is beyond it


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_the_share_of_a_sequence_is_that_of_its_own_gradient(name):
    net, x = network(name, 2), inputs(LENGTH, batch=6)
    x[:, 4] *= 5
    found = find_origin(traced(net, x), gradients_of(net), None)
    squares = []
    for number in range(6):
        traced(net, x[:, number : number + 1])
        squares.append(norm_of({name: one for name, one in gradients_of(net).items() if "readout" not in name}) ** 2)
    assert found.sample == max(range(6), key=lambda number: squares[number])
    assert found.sample_share == pytest.approx(max(squares) / sum(squares), rel=1e-10)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_a_planted_input_is_found(name):
    """Sequence 2 has an input at timestep 7 that is 1000 times as large as the others. No cell saturates."""
    net, x = network(name), inputs(LENGTH)
    with torch.no_grad():
        net.cells[0].weight_ih.mul_(1e-3)
    traced(net, x)
    ordinary = norm_of(gradients_of(net))
    x[6, 2] *= 1000
    found = find_origin(traced(net, x), gradients_of(net), 3 * ordinary)
    assert (found.timestep, found.layer, found.sample) == (7, 0, 2)
    assert found.parameter == "layers.0.weight_ih"
    assert min(found.parameter_share, found.sample_share) > 0.9


@pytest.mark.parametrize("name", ["tanh", "lstm"])
def test_a_gradient_that_is_not_finite_is_found(name):
    net, x = network(name, 2), inputs(LENGTH)
    factor = torch.ones(1, 4, 1, dtype=torch.float64)
    factor[0, 3] = math.nan
    trace = traced(net, x, loss=lambda outputs: loss_of(outputs * factor).mean())
    found = find_origin(trace, gradients_of(net), 1.0)
    assert found.timestep is None  # the read-out's own gradient is not finite
    assert (found.parameter, found.parameter_share, found.sample, found.sample_share) == (None, None, 3, 1.0)
    inside = {name: one for name, one in gradients_of(net).items() if "readout" not in name}
    assert find_origin(trace, inside, None)[:2] == (LENGTH, 1)
