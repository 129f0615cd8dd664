"""One backward pass with and without a trace: nothing that training sees is different."""

import pytest
import torch
from torch import nn
from torch.nn.functional import dropout

from experiments.measures.contributions import Contributions
from experiments.remedies import Remedy
from experiments.tasks.adding import Adding
from experiments.tasks.copy import Copy
from experiments.training.backpropagation import backpropagate
from models.cell import Cell
from models.gru import GRU
from models.initialization import default
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN
from models.trace import cut

LENGTH, HIDDEN = 9, 5


class Dropped(Cell):
    """A tanh network with dropout in its step and a random initial state."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.read, self.recur = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)

    def initial_state(self, batch):
        return (0.1 * torch.randn_like(super().initial_state(batch)[0]),)

    def step(self, x, state):
        return (torch.tanh(self.read(x) + self.recur(dropout(state[0], 0.4))),)


class Kept(Dropped):
    """Keeps h of its training pass."""

    def step(self, x, state):
        (h,) = super().step(x, state)
        if h.requires_grad:
            h.retain_grad()
        self.seen.append(h)
        return (h,)


class Normalized(Cell):
    """Normalises its batch, and keeps running statistics as it does."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.read, self.recur = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.norm = nn.BatchNorm1d(hidden_size)
        self.register_buffer("count", torch.zeros(()))

    def step(self, x, state):
        self.count = self.count + 1
        return (torch.tanh(self.norm(self.read(x) + self.recur(state[0])) / self.count),)


def network(make, task, dtype=torch.float64, num_layers=2):
    torch.manual_seed(3)
    return RecurrentNetwork(
        make, default, input_size=task.input_size, hidden_size=HIDDEN, num_layers=num_layers,
        output_size=task.output_size, readout_steps=task.readout_steps, dtype=dtype,
    )  # fmt: skip


def passes(make, task, windows, dtype=torch.float64):
    """A network after two backward passes, the first of which is traced or not; and the trace."""
    net = network(make, task, dtype)
    batch = task.draw(4, torch.Generator().manual_seed(0)).to(torch.device("cpu"), dtype)
    torch.manual_seed(11)
    first = backpropagate(net, task, batch, windows=windows)
    numbers = [first.loss, *(parameter.grad.clone() for parameter in net.parameters()), *net.buffers()]
    second = backpropagate(net, task, batch)
    assert second.trace is None
    numbers += [second.loss, *(parameter.grad.clone() for parameter in net.parameters()), *net.buffers()]
    return [torch.as_tensor(number).clone() for number in (*numbers, torch.get_rng_state())], first.trace


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("task", [Adding(LENGTH), Copy(1)], ids=["adding", "copy"])
@pytest.mark.parametrize("make", [RNN, LSTM, GRU, Dropped, Normalized])
def test_losses_gradients_random_numbers_and_buffers_are_the_same_with_a_trace(make, task, dtype):
    length = task.timesteps
    bare, nothing = passes(make, task, None, dtype)
    assert nothing is None
    for windows in (cut(length, 1), cut(length, 3), cut(length, length)):
        watched, trace = passes(make, task, windows, dtype)
        assert trace is not None
        for one, other in zip(watched, bare, strict=True):
            assert torch.equal(one, other)


def test_the_trace_of_a_cell_with_dropout_is_that_of_the_training_pass():
    task = Copy(1)
    net = network(Kept, task)
    for cell in net.cells:
        cell.seen = []
    batch = task.draw(4, torch.Generator().manual_seed(0)).to(torch.device("cpu"), torch.float64)
    trace = backpropagate(net, task, batch, windows=cut(task.timesteps, 3)).trace
    for cell, layer in zip(net.cells, trace.layers, strict=True):
        trained = cell.seen[: task.timesteps]
        assert len(cell.seen) == 2 * task.timesteps
        assert torch.equal(layer.states["h"][1:], torch.stack(trained))
        expected = torch.stack([h.grad for h in trained])
        torch.testing.assert_close(layer.gradients["h"], expected, rtol=0, atol=1e-14)
        assert expected.norm() > 0
    for name, contribution in ((n, c) for layer in trace.layers for n, c in layer.contributions.items()):
        torch.testing.assert_close(contribution.total(), net.get_parameter(name).grad, rtol=0, atol=1e-13)


def test_the_trace_of_a_cell_with_buffers_is_that_of_the_training_pass():
    task = Adding(LENGTH)
    net = network(Normalized, task)
    batch = task.draw(4, torch.Generator().manual_seed(0)).to(torch.device("cpu"), torch.float64)
    counts = []
    for _ in range(2):
        trace = backpropagate(net, task, batch, windows=cut(LENGTH, 3)).trace
        counts.append(net.cells[0].count.item())
        for name, contribution in ((n, c) for layer in trace.layers for n, c in layer.contributions.items()):
            torch.testing.assert_close(contribution.total(), net.get_parameter(name).grad, rtol=0, atol=1e-13)
    assert counts == [LENGTH, 2 * LENGTH]


class Decay(Remedy):
    """Adds half the squared weights to the loss; their gradient is no part of any timestep's."""

    def penalty(self, network, outputs, hidden):
        return sum((parameter**2).sum() for parameter in network.parameters()) / 2


@pytest.mark.parametrize("make", [RNN, LSTM, GRU, Dropped])
def test_shares_leave_out_the_gradient_of_a_penalty(make):
    task = Adding(LENGTH)
    net = network(make, task)
    batch = task.draw(4, torch.Generator().manual_seed(0)).to(torch.device("cpu"), torch.float64)
    found = []
    for remedy in (Remedy(), Decay()):
        torch.manual_seed(1)
        trace = backpropagate(net, task, batch, remedy=remedy, windows=cut(LENGTH, LENGTH)).trace
        rows = Contributions().before_update(1, net, trace)
        found.append(torch.tensor([row[4:] for row in rows], dtype=torch.float64))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12)
    shares = found[1][:, 1].view(-1, LENGTH).sum(dim=1)
    torch.testing.assert_close(shares, torch.ones_like(shares), rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU, Dropped])
def test_a_scaled_loss_scales_every_gradient(make):
    task = Adding(LENGTH)
    batch = task.draw(4, torch.Generator().manual_seed(0)).to(torch.device("cpu"), torch.float64)
    found = []
    for scale in (1.0, 0.25):
        net = network(make, task)
        one = backpropagate(net, task, batch, windows=cut(LENGTH, LENGTH), scale=scale)
        found.append((one, [parameter.grad for parameter in net.parameters()]))
    (whole, gradients), (part, scaled) = found
    assert part.loss == whole.loss
    assert all(torch.equal(0.25 * one, other) for one, other in zip(gradients, scaled, strict=True))
    for one, other in zip(whole.trace.layers, part.trace.layers, strict=True):
        for state, values in one.gradients.items():
            assert torch.equal(0.25 * values, other.gradients[state])
