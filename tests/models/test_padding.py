"""Sequences of different lengths in one batch, compared with an autograd loop over each sequence alone."""

import pytest
import torch

from models.cell import Cell
from models.padding import is_present, unroll
from models.trace import cut, follow
from tests.models.reference import INPUT, gradients_of, loss_of, network, network_of
from tests.models.test_truncation import Complex

LENGTH, STARTS = 9, torch.tensor([2, 0, 3, 2, 1])
MAKES = ["tanh", "lstm", "gru", "complex"]


class Shifting(Cell):
    """A cell with an initial state that is not zero, and a gate."""

    state_names, kept_by = ("h",), {"h": "keep"}

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.read = torch.nn.Linear(input_size, hidden_size)
        self.gate = torch.nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, batch):
        return (torch.full((batch, self.hidden_size), 0.7, dtype=torch.float64),)

    def step(self, x, state):
        keep = self.compute_gates(x, state[0])["keep"]
        return (keep * state[0] + (1 - keep) * torch.tanh(self.read(x)),)

    def compute_gates(self, x, h):
        return {"keep": torch.sigmoid(self.gate(torch.cat([x, h], dim=-1)))}


def make(name, layers, readout_steps):
    kinds = {"complex": Complex, "shifting": Shifting}
    return network_of(kinds[name], layers, readout_steps) if name in kinds else network(name, layers, readout_steps)


def padded(starts=STARTS):
    x = torch.randn(LENGTH, len(starts), INPUT, dtype=torch.float64)
    return x.masked_fill(~is_present(starts, LENGTH)[..., None], 0.0)


def losses_of(outputs, starts=STARTS):
    """The loss of each sequence: the mean over its own timesteps that are read out."""
    present = is_present(starts, LENGTH)[-len(outputs) :].double()
    of_steps = (outputs**2 + outputs.sin()).sum(dim=-1)
    return (of_steps * present).sum(dim=0) / present.sum(dim=0)


def traced(net, x, starts=STARTS, windows=LENGTH):
    net.zero_grad()
    hidden = net.hidden(x, starts)
    for h in hidden:
        h.retain_grad()
    losses_of(net.read_out(hidden[-1]), starts).mean().backward()
    return follow(net.cells, x, hidden, cut(LENGTH, windows), truncation=net.truncation, starts=starts)


def alone(net, x, number, readout_steps, truncation=None):
    """States, their gradients, and the gradients of the parameters of one sequence, by autograd."""
    own = x[int(STARTS[number]) :, number : number + 1]
    net.zero_grad()
    cuts = set(range(len(own) - (truncation or LENGTH), 0, -(truncation or LENGTH)))
    below, layers = list(own), []
    for cell in net.cells:
        state, steps = cell.initial_state(1), []
        for t, x_t in enumerate(below, start=1):
            state = cell.step(x_t, state)
            for one in state:
                one.retain_grad()
            steps.append(state)
            if t in cuts:
                state = tuple(one.detach() for one in state)
        layers.append(steps)
        below = [state[0] for state in steps]
    outputs = net.read_out(torch.stack(below))
    (loss_of(outputs)[0] / len(STARTS)).backward()
    return layers


def zero_if_none(state):
    return torch.zeros_like(state) if state.grad is None else state.grad


@pytest.mark.parametrize("truncation", [None, 2, 4])
@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", [*MAKES, "shifting"])
def test_every_sequence_has_the_states_and_gradients_that_it_has_alone(name, layers, readout_steps, truncation):
    net, x = make(name, layers, readout_steps), padded()
    net.truncation = truncation
    trace, whole = traced(net, x), {key: torch.zeros_like(value) for key, value in gradients_of(net).items()}
    of_training = gradients_of(net)
    for number, start in enumerate(STARTS.tolist()):
        for ours, steps in zip(trace.layers, alone(net, x, number, readout_steps, truncation), strict=True):
            for which, state in enumerate(ours.states):
                expected = torch.cat([step[which] for step in steps]).detach()
                torch.testing.assert_close(ours.states[state][start + 1 :, number], expected, atol=1e-12, rtol=0)
                gradient = torch.cat([zero_if_none(step[which]) for step in steps])
                torch.testing.assert_close(ours.gradients[state][start:, number], gradient, atol=1e-10, rtol=0)
                assert not ours.gradients[state][:start, number].any()
        for key, gradient in gradients_of(net).items():
            whole[key] += gradient
    for key, gradient in whole.items():
        torch.testing.assert_close(of_training[key], gradient, atol=1e-10, rtol=0)
    for layer in trace.layers:
        for key, contribution in layer.contributions.items():
            torch.testing.assert_close(contribution.total(), whole[key], atol=1e-10, rtol=0)


def numbers_alone(net, x):
    """The trace of each sequence by itself, without padding. Its loss is that of the sequence, not the batch's mean."""
    for number, start in enumerate(STARTS.tolist()):
        net.zero_grad()
        own = x[start:, number : number + 1]
        hidden = net.hidden(own)
        for h in hidden:
            h.retain_grad()
        loss_of(net.read_out(hidden[-1])).mean().backward()
        yield number, start, follow(net.cells, own, hidden, cut(len(own), len(own)), truncation=net.truncation)


@pytest.mark.parametrize("truncation", [None, 3])
@pytest.mark.parametrize("name", [*MAKES, "shifting"])
def test_everything_else_in_the_trace_is_that_of_each_sequence_alone(name, truncation):
    """Parts along the gates, gates, single losses, and the parts of all timesteps in a weight's gradient."""
    net, x = make(name, 2, None), padded()
    net.truncation = truncation
    trace, by_window = traced(net, x), cut(LENGTH, LENGTH)
    single = trace.of_single_losses([4, LENGTH])
    directions = {key: torch.randn_like(parameter) for key, parameter in net.named_parameters()}
    products = {key: torch.zeros(LENGTH, dtype=torch.float64) for key in directions}
    scale = len(STARTS)
    for number, start, own in numbers_alone(net, x):
        losses = [t - start for t in (4, LENGTH)]
        of_losses = own.of_single_losses(losses)
        for index, (ours, theirs) in enumerate(zip(trace.layers, own.layers, strict=True)):
            for gate, values in theirs.gates.items():
                torch.testing.assert_close(ours.gates[gate][start:, number], values[:, 0], atol=1e-12, rtol=0)
            for state, along in theirs.along_gates.items():
                torch.testing.assert_close(
                    scale * ours.along_gates[state][start:, number], along[:, 0], atol=1e-10, rtol=0
                )
            for state, gradient in of_losses[index].items():
                found = single[index][state][start:, :, number]
                torch.testing.assert_close(scale * found, gradient[:, :, 0], atol=1e-10, rtol=0)
            for key, contribution in theirs.contributions.items():
                parts = contribution.products(cut(LENGTH - start, LENGTH - start), directions[key])
                products[key][start:] += parts / scale
    for layer in trace.layers:
        for key, contribution in layer.contributions.items():
            found = contribution.products(by_window, directions[key])
            torch.testing.assert_close(found, products[key], atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", [*MAKES, "shifting"])
def test_the_jacobians_are_those_of_each_sequence_alone(name):
    net, x = make(name, 1, 1), padded()
    (cell,), windows = net.cells, [(1, LENGTH)]
    unrolled = unroll(cell, x, cell.initial_state(len(STARTS)), windows, None, STARTS)
    last = unrolled.jacobians(5, 7)
    for number, start in enumerate(STARTS.tolist()):
        own = cell.unroll(x[start:, number : number + 1], cell.initial_state(1), [(1, LENGTH - start)])
        torch.testing.assert_close(last[:, number], own.jacobians(5 - start, 7 - start)[:, 0], atol=1e-12, rtol=0)


def test_a_group_has_the_sequences_that_have_begun():
    net = make("tanh", 1, 1)
    starts = torch.tensor([3, 1, 1])
    trace = traced(net, padded(starts), starts, windows=LENGTH)
    groups = trace.of_sequences(torch.arange(LENGTH)[:, None].expand(LENGTH, 3) * 10 + torch.arange(3))
    assert [(timesteps, values.tolist()) for timesteps, values in groups] == [
        ([2, 3], [[11, 12], [21, 22]]),
        ([4, 5, 6, 7, 8, 9], [[10 * row + one for one in range(3)] for row in range(3, 9)]),
    ]
