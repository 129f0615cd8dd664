"""The trace compared with a loop over torch's cells, finite differences, and one backward pass for each loss."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from models.cell import Cell
from models.differentiation import DetachedState
from models.gru import GRU
from models.lstm import LSTM
from models.recursion import unrolled_by
from models.rnn import RNN
from models.trace import Trace, cut, follow
from tests.models.reference import (
    BATCH,
    CELLS,
    HIDDEN,
    gradients_of,
    inputs,
    loss_of,
    network,
    network_of,
    run_loop,
    run_steps,
    state_gradients,
    traced,
)

PHI = ("tanh", "relu", "identity")


class Stepped(Cell):
    """A tanh network that is left to autograd."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size, hidden_size)
        self.recur = nn.Linear(hidden_size, hidden_size, bias=False)

    def step(self, x, state):
        return (torch.tanh(self.read(x) + self.recur(state[0])),)


@pytest.mark.parametrize("length", [1, 2, 7, 100])
@pytest.mark.parametrize("windows", [1, 3, 10, 1000])
def test_cut_covers_every_timestep_once(length, windows):
    bounds = cut(length, windows)
    assert [t for first, last in bounds for t in range(first, last + 1)] == list(range(1, length + 1))
    assert len(bounds) == min(windows, length)
    sizes = [last - first + 1 for first, last in bounds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize(("length", "batch"), [(1, 4), (2, 1), (7, 4), (20, 1), (20, 4)])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_states_and_their_gradients_are_those_of_a_loop_over_timesteps(name, num_layers, length, batch, readout_steps):
    net = network(name, num_layers, readout_steps)
    x = inputs(length, batch)
    trace = traced(net, x)
    losses, states = run_loop(name, net, x)
    losses.mean().backward()
    assert len(trace.layers) == num_layers
    for index, layer in enumerate(trace.layers):
        assert layer.gradients.keys() == layer.states.keys() == {state for _, state, _ in states}
        for state, gradients in layer.gradients.items():
            assert gradients.shape == (length, batch, HIDDEN)
            of_loop = [states[index, state, t] for t in range(1, length + 1)]
            torch.testing.assert_close(layer.states[state][0], torch.zeros_like(of_loop[0]), rtol=0, atol=0)
            torch.testing.assert_close(layer.states[state][1:], torch.stack(of_loop), rtol=0, atol=1e-13)
            expected = torch.stack([one.grad for one in of_loop])
            torch.testing.assert_close(gradients, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", CELLS)
def test_state_gradients_are_the_finite_differences(name, num_layers, readout_steps):
    net = network(name, num_layers, readout_steps)
    x = inputs(9)
    trace = traced(net, x)
    step = 1e-5
    with torch.no_grad():
        for index, layer in enumerate(trace.layers):
            for state, gradients in layer.gradients.items():
                for t in range(1, 10):
                    direction = torch.randn(BATCH, HIDDEN, dtype=torch.float64)
                    up = run_loop(name, net, x, (index, state, t, step * direction))[0].mean()
                    down = run_loop(name, net, x, (index, state, t, -step * direction))[0].mean()
                    slope = (gradients[t - 1] * direction).sum().item()
                    assert slope == pytest.approx(((up - down) / (2 * step)).item(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", CELLS)
def test_gates_are_those_of_single_steps(name):
    net = network(name, num_layers=2)
    x = inputs(6)
    for cell, layer in zip(net.cells, traced(net, x).layers, strict=True):
        state, hidden = cell.initial_state(BATCH), []
        for t, x_t in enumerate(x):
            gates = cell.compute_gates(x_t, state[0])
            assert layer.gates.keys() == gates.keys()
            for gate, values in gates.items():
                torch.testing.assert_close(layer.gates[gate][t], values, rtol=0, atol=1e-14)
            state = cell.step(x_t, state)
            hidden.append(state[0])
        x = torch.stack(hidden)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU, Stepped])
def test_windows_are_only_the_resolution_of_what_is_written(make):
    net = network_of(make, 2, readout_steps=None)
    x = inputs(11)
    whole = traced(net, x)
    of_training = gradients_of(net)
    assert whole.ends == list(range(1, 12))
    for windows in (1, 3, 4):
        trace = traced(net, x, windows)
        assert all(torch.equal(gradient, of_training[name]) for name, gradient in gradients_of(net).items())
        assert trace.ends == [11 * k // windows for k in range(1, windows + 1)]
        for ours, every in zip(trace.layers, whole.layers, strict=True):
            for state, gradients in ours.gradients.items():
                assert torch.equal(gradients, every.gradients[state])
                assert torch.equal(trace.at_ends(gradients), gradients[[end - 1 for end in trace.ends]])
            assert all(torch.equal(values, every.gates[gate]) for gate, values in ours.gates.items())


@pytest.mark.parametrize("make", [RNN, LSTM, GRU])
def test_training_by_its_own_equations_and_by_torchs_kernel_has_one_trace(make, monkeypatch):
    """Where the kernel trains, the trace is a second pass."""
    net = network_of(make, 3, readout_steps=None)
    x = inputs(8)
    traces, gradients = [], []
    for own in (True, False):
        monkeypatch.setattr(make, "own_is_faster", own)
        assert (unrolled_by(net.hidden(x)[0]) is not None) == own
        traces.append(traced(net, x))
        gradients.append(gradients_of(net))
    for one, other in zip(*(gradients.values() for gradients in gradients), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    for one, other in zip(*(trace.layers for trace in traces), strict=True):
        for kind in ("states", "gates", "gradients", "along_gates"):
            torch.testing.assert_close(dict(getattr(one, kind)), dict(getattr(other, kind)), rtol=0, atol=1e-12)
        for name, contribution in one.contributions.items():
            torch.testing.assert_close(contribution.total(), gradients[0][name], rtol=0, atol=1e-12)
            torch.testing.assert_close(other.contributions[name].total(), gradients[0][name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("make", [RNN, LSTM, GRU, Stepped])
def test_the_trace_leaves_the_gradients_of_the_parameters_alone(make, own, monkeypatch):
    if make is not Stepped:
        monkeypatch.setattr(make, "own_is_faster", own)
    net = network_of(make, 2)
    x = inputs(5)
    hidden = net.hidden(x)
    for h in hidden:
        h.retain_grad()
    loss_of(net.read_out(hidden[-1])).mean().backward()
    before = gradients_of(net)
    tensors = [parameter.grad for parameter in net.parameters()]
    trace = follow(net.cells, x, hidden, cut(5, 2))
    trace.of_single_losses([5])
    for layer in trace.layers:
        for contribution in layer.contributions.values():
            trace.norms_and_shares(contribution)
    assert all(parameter.grad is tensor for parameter, tensor in zip(net.parameters(), tensors, strict=True))
    assert all(torch.equal(gradient, before[name]) for name, gradient in gradients_of(net).items())
    norms = {name: c.norms(trace.windows) for layer in trace.layers for name, c in layer.contributions.items()}
    for parameter in net.parameters():
        parameter.grad.zero_()  # as clipping changes them in place
    for layer in trace.layers:
        for name, contribution in layer.contributions.items():
            torch.testing.assert_close(contribution.total(), before[name], rtol=0, atol=1e-14)
            torch.testing.assert_close(contribution.norms(trace.windows), norms[name], rtol=0, atol=0)


def sums_of_shares(trace):
    return {
        name: sum(trace.norms_and_shares(contribution, layer.trained.get(name))[1])
        for layer in trace.layers
        for name, contribution in layer.contributions.items()
    }


@pytest.mark.parametrize("windows", [None, 3])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("make", [RNN, LSTM, GRU, Stepped])
def test_shares_are_those_of_the_gradient_that_training_uses(make, own, windows, monkeypatch):
    """They add up to 1, and no longer do if training uses another gradient than the sum of the parts."""
    if make is not Stepped:
        monkeypatch.setattr(make, "own_is_faster", own)
    net = network_of(make, 2, readout_steps=None)
    for total in sums_of_shares(traced(net, inputs(11), windows)).values():
        assert total == pytest.approx(1, abs=1e-12)
    for parameter in net.parameters():
        parameter.register_hook(lambda gradient: 2 * gradient)
    sums = sums_of_shares(traced(net, inputs(11), windows))
    assert sums.keys() == {name for name, _ in net.named_parameters() if name.startswith("layers.")}
    for total in sums.values():
        assert total == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU])
def test_two_biases_with_one_gradient_have_a_tensor_each(make):
    """Clipping scales gradients in place; a shared one would be scaled twice."""
    net = network_of(make, 2)
    traced(net, inputs(4))
    pointers = {parameter.grad.data_ptr() for parameter in net.parameters()}
    assert len(pointers) == len(list(net.parameters()))
    for cell in net.cells:
        rows = slice(2 * HIDDEN) if make is GRU else slice(None)  # of the candidate's, the reset gate scales only one
        torch.testing.assert_close(cell.bias_ih.grad[rows], cell.bias_hh.grad[rows], rtol=0, atol=1e-15)


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("make", [*(partial(RNN, nonlinearity=phi) for phi in PHI), LSTM, GRU, Stepped])
def test_losses_of_single_timesteps_are_separate_backward_passes(make, num_layers):
    net = network_of(make, num_layers, readout_steps=None)
    x = inputs(7, batch=3)
    timesteps = [7, 1, 4]
    trace = traced(net, x)
    found = trace.of_single_losses(timesteps)
    outputs, layers = run_steps(net, x)
    for index, t in enumerate(timesteps):
        loss = loss_of(net.readout(outputs[t - 1 : t])).mean() / 7
        separate = state_gradients(loss, layers)
        assert separate[-1]["h"][t - 1].abs().max() > 0
        for ours, theirs in zip(found, separate, strict=True):
            assert ours.keys() == theirs.keys()
            for state, expected in theirs.items():
                assert ours[state].shape == (7, 3, 3, HIDDEN)
                torch.testing.assert_close(ours[state][:, index], expected, rtol=0, atol=1e-10)
                assert (ours[state][t:, index] == 0).all()  # nothing flows forward in time
    whole = trace.of_single_losses(range(1, 8))
    for ours, layer in zip(whole, trace.layers, strict=True):
        for state, gradients in layer.gradients.items():
            torch.testing.assert_close(ours[state].sum(dim=1), gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout_steps", [1, None])
def test_without_recurrent_weights_an_lstms_gradient_of_c_comes_along_c_alone(readout_steps):
    net = network_of(LSTM, 1, readout_steps)
    with torch.no_grad():
        net.cells[0].weight_hh.zero_()
    (layer,) = traced(net, inputs(9)).layers
    assert layer.along_gates.keys() == {"c"}
    torch.testing.assert_close(layer.along_gates["c"], layer.gradients["c"], rtol=1e-12, atol=0)


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize("make", [LSTM, GRU])
def test_the_part_along_a_state_passes_only_through_its_gate(make, readout_steps):
    """It is the gradient of a loop whose gates do not depend on the states before."""
    net = network_of(make, 2, readout_steps)
    x = inputs(9)
    trace = traced(net, x)
    _, layers = run_steps(net, x)
    signal = x
    direct = [h.grad for h in hidden_of(net, x)]
    for cell, layer, steps, own in zip(net.cells, trace.layers, layers, direct, strict=True):
        (kept,) = cell.kept_by
        before, alone, loss = cell.initial_state(BATCH), [], 0
        for t, x_t in enumerate(signal):
            gates = {name: gate.detach() for name, gate in cell.compute_gates(x_t, before[0]).items()}
            last = alone[-1] if alone else before[-1]
            if make is LSTM:
                alone.append((gates["forget"] * last + gates["input"] * gates["candidate"]).requires_grad_())
                h = gates["output"] * torch.tanh(alone[-1])
            else:
                h = gates["update"] * last + (1 - gates["update"]) * gates["candidate"]
                alone.append(h.requires_grad_())
                h = alone[-1]
            torch.testing.assert_close(h, steps["h"][t])
            loss = loss + (h * own[t]).sum()
            before = tuple(tensor[t].detach() for tensor in steps.values())
        expected = torch.stack(torch.autograd.grad(loss, alone))
        torch.testing.assert_close(layer.along_gates[kept], expected, rtol=0, atol=1e-12)
        if readout_steps is None or make is LSTM:
            assert (expected - layer.gradients[kept]).abs().max() > 1e-4  # the rest came through the other gates
        signal = torch.stack([h.detach() for h in steps["h"]])


def hidden_of(net, x):
    """h of every layer after backpropagation, with its direct part as `grad`."""
    hidden = net.hidden(x)
    for h in hidden:
        h.retain_grad()
    loss_of(net.read_out(hidden[-1])).mean().backward()
    return hidden


def test_a_vanilla_network_has_no_gate_that_keeps_its_state():
    (layer,) = traced(network_of(RNN), inputs(3)).layers
    assert (layer.along_gates, layer.gates) == ({}, {})


@pytest.mark.parametrize("make", [RNN, LSTM, GRU, Stepped])
def test_a_layer_that_the_loss_does_not_depend_on_is_an_error(make):
    net = network_of(make, 2)
    x = inputs(4)
    hidden = net.hidden(x)
    below = hidden[0].detach().requires_grad_()
    above, _ = net.cells[1](below, net.cells[1].initial_state(BATCH))
    hidden[0].retain_grad()
    above.retain_grad()
    loss_of(net.read_out(above)).mean().backward()
    with pytest.raises(DetachedState, match=r"^layer 0: the loss does not depend on it$"):
        follow(net.cells, x, [hidden[0], above], cut(4, 4))


class Truncated(Stepped):
    """Cuts the graph before timestep 5, as truncated backpropagation does."""

    def forward(self, x, state):
        self.t = 0
        return super().forward(x, state)

    def step(self, x, state):
        self.t = self.t % 8 + 1
        return super().step(x, tuple(tensor.detach() for tensor in state) if self.t == 5 else state)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_state_that_is_not_in_the_graph_is_an_error_and_not_a_zero(layer):
    makes = [Truncated if i == layer else Stepped for i in range(2)]
    net = network_of(lambda *sizes: makes.pop(0)(*sizes), 2)
    with pytest.raises(DetachedState, match=f"^layer {layer}, state h, timestep 4: the next timestep reads it outside"):
        traced(net, inputs(8))


def test_an_infinite_gradient_times_a_slope_of_zero_is_infinite_after_an_overflow():
    """inf * 0 is nan, which stands for a value beyond the range."""
    net = network_of(LSTM, dtype=torch.float32)
    cell = net.cells[0]
    with torch.no_grad():
        cell.set_gate_bias("output", -torch.inf)  # h_t = 0 whatever c_t is
    x = inputs(3, dtype=torch.float32)
    direct = torch.full((3, BATCH, HIDDEN), torch.inf)

    def trace(overflowed):
        unrolled = cell.unroll(x, cell.initial_state(BATCH), cut(3, 3))
        (layer,) = Trace([unrolled], [direct], cut(3, 3), overflowed).layers
        return layer

    assert trace(False).gradients["c"].isnan().all()
    assert trace(False).along_gates["c"].isnan().all()
    for values in (trace(True).gradients["c"], trace(True).along_gates["c"]):
        assert (values == math.inf).all()
    marked = trace(True)
    norms, shares = Trace([], [], cut(3, 3), True).norms_and_shares(marked.contributions["layers.0.weight_hh"])
    assert norms[1:] == [math.inf] * 2
    assert shares == [None] * 3


@pytest.mark.parametrize("make", [RNN, GRU])
def test_a_layer_that_trains_with_its_own_equations_is_traced_on_the_way(make, monkeypatch):
    """It is neither unrolled nor backpropagated again."""
    solved = []
    solve = make.solve
    monkeypatch.setattr(make, "solve", lambda *arguments: solved.append(solve(*arguments)) or solved[-1])
    trace = traced(network_of(make, 2), inputs(4))
    assert len(solved) == 2
    for layer, unrolled in zip(trace.layers, solved, strict=True):
        assert layer.states is unrolled.states
        assert list(layer.contributions.values()) == list(unrolled.gradient.contributions.values())
