"""The windowed network compared with torch's fused layers, a loop over torch's cells, and finite differences."""

import pytest
import torch

from models.network import DetachedState, cut
from tests.models.reference import CELLS, PARAMETERS, inputs, loss_of, network, run_loop, torch_layers

LENGTHS_AND_WINDOWS = [(1, 1), (7, 1), (7, 3), (7, 7), (20, 6), (20, 20), (5, 50)]


@pytest.mark.parametrize("length", [1, 2, 7, 100])
@pytest.mark.parametrize("windows", [1, 3, 10, 1000])
def test_cut_covers_every_timestep_once(length, windows):
    bounds = cut(length, windows)
    assert [t for first, last in bounds for t in range(first, last + 1)] == list(range(1, length + 1))
    assert len(bounds) == min(windows, length)
    sizes = [last - first + 1 for first, last in bounds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize(("length", "windows"), LENGTHS_AND_WINDOWS)
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_loss_and_gradients_equal_those_of_torchs_layers(name, num_layers, length, windows, readout_steps):
    net = network(name, num_layers, readout_steps)
    x = inputs(length)
    outputs, _ = net.unroll(x, windows)
    loss = loss_of(outputs).mean()
    loss.backward()

    fused = torch_layers(name, net)
    hidden, _ = fused(x)
    expected = loss_of(net.readout(hidden if readout_steps is None else hidden[-readout_steps:])).mean()
    read_out = [p.grad.clone() for p in net.readout.parameters()]
    net.readout.zero_grad()
    expected.backward()

    assert loss.item() == pytest.approx(expected.item(), abs=1e-10)
    for i, cell in enumerate(net.cells):
        for parameter in PARAMETERS:
            ours, theirs = getattr(cell, parameter).grad, getattr(fused, f"{parameter}_l{i}").grad
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    for ours, parameter in zip(read_out, net.readout.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CELLS)
def test_unrolling_in_windows_does_not_change_the_outputs(name):
    net = network(name, num_layers=2)
    x = inputs(11)
    torch.testing.assert_close(net.unroll(x, 4)[0], net(x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize(("length", "windows"), LENGTHS_AND_WINDOWS)
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_state_gradients_are_those_of_a_loop_over_timesteps(name, num_layers, length, windows, readout_steps):
    net = network(name, num_layers, readout_steps)
    x = inputs(length)
    outputs, trace = net.unroll(x, windows)
    loss_of(outputs).mean().backward()
    losses, hidden = run_loop(name, net, x)
    losses.mean().backward()
    assert len(trace) == num_layers * min(windows, length)
    for window in trace:
        total = hidden[window.layer, window.last].grad
        torch.testing.assert_close(window.state_gradient("h"), total, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize("windows", [1, 3, 9])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", CELLS)
def test_state_gradients_are_the_finite_differences(name, num_layers, windows, readout_steps):
    net = network(name, num_layers, readout_steps)
    x = inputs(9)
    outputs, trace = net.unroll(x, windows)
    loss_of(outputs).mean().backward()
    step = 1e-5
    with torch.no_grad():
        for window in trace:
            for state in window.states:
                direction = torch.randn(x.shape[1], window.states[state].shape[1], dtype=torch.float64)
                place = (window.layer, state, window.last)
                up = run_loop(name, net, x, (*place, step * direction))[0].mean()
                down = run_loop(name, net, x, (*place, -step * direction))[0].mean()
                slope = (window.state_gradient(state) * direction).sum().item()
                assert slope == pytest.approx(((up - down) / (2 * step)).item(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("length", "windows"), LENGTHS_AND_WINDOWS)
@pytest.mark.parametrize("name", CELLS)
def test_weight_gradients_of_the_windows_add_up_to_the_whole(name, length, windows):
    net = network(name, num_layers=2)
    outputs, trace = net.unroll(inputs(length), windows)
    loss_of(outputs).mean().backward()
    for parameter, whole in net.named_parameters():
        if parameter.startswith("layers."):
            parts = [window.weight_gradient(parameter) for window in trace if parameter in window.weights]
            assert len(parts) == min(windows, length)
            torch.testing.assert_close(torch.stack(parts).sum(dim=0), whole.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", CELLS)
def test_a_state_that_is_not_in_the_graph_is_an_error_and_not_a_zero(name, num_layers):
    class Truncated(CELLS[name][0]):
        """Cuts the graph at the start of each window, as truncated backpropagation does."""

        def forward(self, x, state):
            return super().forward(x, tuple(tensor.detach() for tensor in state))

    net = network(name, num_layers, make=Truncated)
    outputs, trace = net.unroll(inputs(8), 4)
    loss_of(outputs).mean().backward()
    reached = [window for window in trace if window.last == 8]
    assert all(window.state_gradient(state).norm() > 0 for window in reached for state in window.states)
    for window in trace:
        if window not in reached:
            for state in window.states:
                with pytest.raises(DetachedState, match=f"layer {window.layer}, state {state}, timestep {window.last}"):
                    window.state_gradient(state)
            with pytest.raises(DetachedState, match="weight_hh"):
                window.weight_gradient(f"layers.{window.layer}.weight_hh")


def test_the_usual_mistake_finds_zeros_where_we_find_the_gradient():
    """A stack of the states is their child in the graph, and the loss does not go through it."""
    net = network("tanh")
    x = inputs(6)
    hidden, states = [], net.cells[0].initial_state(x.shape[1])
    for x_t in x:
        states = net.cells[0].step(x_t, states)
        hidden.append(states[0])
    stack = torch.stack(hidden)
    stack.retain_grad()
    loss_of(net.readout(stack[-1:])).mean().backward()
    assert (stack.grad[:-1] == 0).all()  # other software reports this as 'extreme vanishing'

    outputs, trace = net.unroll(x, 6)
    loss_of(outputs).mean().backward()
    assert all(window.state_gradient("h").abs().max() > 1e-6 for window in trace)


@pytest.mark.parametrize("name", CELLS)
def test_the_first_readout_and_every_step_of_a_sequence_have_gradients(name):
    net = network(name, readout_steps=2)
    outputs, trace = net.unroll(inputs(9), 9)
    assert outputs.shape[0] == 2
    loss_of(outputs).mean().backward()
    assert all(window.state_gradient("h").norm() > 0 for window in trace)
