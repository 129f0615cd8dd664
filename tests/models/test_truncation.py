"""Truncated backpropagation: every gradient equals that of autograd with detached states at the cuts."""

import pytest
import torch
from torch import nn

from models.cell import Cell
from models.differentiation import DetachedState
from models.trace import cut, follow
from models.truncation import pieces
from tests.models.reference import CELLS, gradients_of, inputs, loss_of, network, network_of

LENGTH = 11


class Complex(Cell):
    """Two states that a timestep keeps, one of them complex and of another size, and no written equations."""

    state_names = ("h", "z")

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.weight = nn.Parameter(torch.randn(hidden_size, input_size))
        self.recurrent = nn.Parameter(torch.randn(hidden_size, hidden_size) / hidden_size**0.5)
        self.phase = nn.Parameter(torch.rand(2))

    def initial_state(self, batch):
        like = self.weight
        return like.new_zeros(batch, self.hidden_size), torch.zeros(batch, 2, dtype=torch.complex128)

    def step(self, x, state):
        h, z = state
        z = z * torch.exp(1j * self.phase) + x[:, :2]
        return torch.tanh(x @ self.weight.T + h @ self.recurrent.T + z.real.sum(dim=-1, keepdim=True)), z


def make(name, layers=1, readout_steps=None):
    if name == "complex":
        return network_of(Complex, layers, readout_steps)
    return network(name, layers, readout_steps)


def with_detached_states(net, x, truncation, loss):
    """The gradients of the parameters and of all states: a loop over single steps, by autograd.

    The last timesteps of the pieces are T - K, T - 2K, ...; after each of them, the states are detached.
    """
    cuts = set(range(len(x) - truncation, 0, -truncation))
    net.zero_grad()
    below, states = list(x), []
    for cell in net.cells:
        state, of_layer = cell.initial_state(x.shape[1]), []
        for t, x_t in enumerate(below, start=1):
            state = cell.step(x_t, state)
            for one in state:
                one.retain_grad()
            of_layer.append(state)
            if t in cuts:
                state = tuple(one.detach() for one in state)
        states.append(of_layer)
        below = [state[0] for state in of_layer]
    loss(net.read_out(torch.stack(below))).backward()
    return gradients_of(net), states


def traced(net, x, truncation, windows, loss):
    net.truncation = truncation
    net.zero_grad()
    hidden = net.hidden(x)
    for h in hidden:
        h.retain_grad()
    loss(net.read_out(hidden[-1])).backward()
    return follow(net.cells, x, hidden, cut(len(x), windows), truncation=truncation)


def mean_loss(outputs):
    return loss_of(outputs).mean()


@pytest.mark.parametrize(
    ("length", "truncation", "bounds"),
    [
        (7, None, [(1, 7)]),
        (7, 7, [(1, 7)]),
        (7, 9, [(1, 7)]),
        (7, 3, [(1, 1), (2, 4), (5, 7)]),
        (6, 3, [(1, 3), (4, 6)]),
        (3, 1, [(1, 1), (2, 2), (3, 3)]),
    ],
)
def test_pieces_count_back_from_the_end(length, truncation, bounds):
    assert pieces(length, truncation) == bounds


@pytest.mark.parametrize("readout_steps", [None, 1, 4])
@pytest.mark.parametrize("truncation", [1, 3, 4, 11])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", [*CELLS, "complex"])
def test_all_gradients_equal_those_of_detached_states(name, layers, truncation, readout_steps):
    net, x = make(name, layers, readout_steps), inputs(LENGTH)
    wanted, states = with_detached_states(net, x, truncation, mean_loss)
    trace = traced(net, x, truncation, LENGTH, mean_loss)
    for parameter, gradient in gradients_of(net).items():
        torch.testing.assert_close(gradient, wanted[parameter], atol=1e-10, rtol=0)
    for index, layer in enumerate(trace.layers):
        for number, state in enumerate(net.cells[index].state_names):
            for t in range(LENGTH):
                of_step = states[index][t][number]
                gradient = torch.zeros_like(of_step) if of_step.grad is None else of_step.grad
                torch.testing.assert_close(layer.gradients[state][t], gradient, atol=1e-10, rtol=0)
                torch.testing.assert_close(layer.states[state][t + 1], of_step.detach(), atol=1e-10, rtol=0)
        for parameter, contribution in layer.contributions.items():
            torch.testing.assert_close(contribution.total(), wanted[parameter], atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru", "complex"])
def test_nothing_comes_back_across_the_cut(name):
    """A loss at T reaches the last three timesteps only: not small, but exactly 0 before."""
    net, x = make(name, layers=2, readout_steps=1), inputs(LENGTH)
    for layer in traced(net, x, 3, LENGTH, mean_loss).layers:
        for gradient in layer.gradients.values():
            assert not gradient[:-3].any()
            assert gradient[-3:].flatten(1).any(dim=1).all() or gradient.is_complex()
        for along in layer.along_gates.values():
            assert not along[:-3].any()
        for contribution in layer.contributions.values():
            norms = contribution.cut(cut(LENGTH, LENGTH)).norms(cut(LENGTH, LENGTH))
            assert not norms[:-3].any()


@pytest.mark.parametrize("windows", [1, 2, 3, 5, 11])
@pytest.mark.parametrize("name", ["tanh", "lstm", "gru", "complex"])
def test_windows_need_not_fit_the_pieces(name, windows):
    """A window's part in a weight's gradient is the sum of the parts of its timesteps, whichever piece they are in."""
    net, x = make(name, layers=2), inputs(LENGTH)
    single = traced(net, x, 4, LENGTH, mean_loss)
    trace = traced(net, x, 4, windows, mean_loss)
    for one, by_timestep in zip(trace.layers, single.layers, strict=True):
        assert one.contributions.keys() == by_timestep.contributions.keys()
        for parameter, contribution in one.contributions.items():
            norms, shares = trace.norms_and_shares(contribution)
            _, of_timesteps = single.norms_and_shares(by_timestep.contributions[parameter])
            summed = [sum(of_timesteps[first - 1 : last]) for first, last in cut(LENGTH, windows)]
            assert shares == pytest.approx(summed, abs=1e-10)
            assert sum(shares) == pytest.approx(1)
            if windows == 1:
                assert norms == pytest.approx([contribution.total().norm().item()])
            assert len(norms) == windows


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru", "complex"])
def test_single_losses_stay_in_their_piece(name):
    net, x, timesteps = make(name, layers=2), inputs(LENGTH), [4, 7, 11]
    trace = traced(net, x, 4, LENGTH, mean_loss)
    for index, layer in enumerate(trace.of_single_losses(timesteps)):
        for number, t in enumerate(timesteps):
            _, states = with_detached_states(
                net, x, 4, lambda outputs, t=t: loss_of(outputs[t - 1 : t]).mean() / LENGTH
            )
            for place, state in enumerate(net.cells[index].state_names):
                wanted = [s[place].grad if s[place].grad is not None else s[place] * 0 for s in states[index]]
                torch.testing.assert_close(layer[state][:, number], torch.stack(wanted).detach(), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru", "complex"])
def test_a_sequence_of_one_piece_is_not_cut(name):
    """The same bytes, in the gradients of the parameters and in the trace."""
    net, x = make(name, layers=2), inputs(LENGTH)
    found = []
    for truncation in (None, LENGTH, LENGTH + 5):
        trace = traced(net, x, truncation, 4, mean_loss)
        tensors = [*gradients_of(net).values()]
        for layer in trace.layers:
            tensors += [*layer.gradients.values(), *layer.gates.values(), *layer.states.values()]
            tensors += [contribution.total() for contribution in layer.contributions.values()]
        found.append(tensors)
    for other in found[1:]:
        assert all(torch.equal(one, another) for one, another in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru", "complex"])
def test_jacobians_are_not_cut(name):
    net, x = make(name), inputs(LENGTH)
    trace, whole = (traced(net, x, truncation, LENGTH, mean_loss) for truncation in (4, None))
    for first, last in ((1, LENGTH), (3, 8), (4, 4)):
        one, other = (t._unrolled[0].jacobians(first, last) for t in (trace, whole))
        torch.testing.assert_close(one, other, atol=1e-10, rtol=0)


class Detaching(Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.weight = nn.Parameter(torch.randn(hidden_size, input_size))

    def step(self, x, state):
        return (torch.tanh(x @ self.weight.T + state[0].detach()),)


def test_a_cell_that_detaches_its_state_is_still_found_out():
    with pytest.raises(DetachedState, match=r"layer 0, in timesteps 1 to 3, counted from the first of them: state h"):
        _ = traced(network_of(Detaching), inputs(LENGTH), 4, LENGTH, mean_loss)
