"""Layers with written equations as nodes of autograd's graph, and backpropagation along a state that is only scaled."""

from functools import partial

import pytest
import torch

from models.gru import GRU
from models.lstm import LSTM
from models.recursion import Recurrence, accumulate, unrolled_by
from models.rnn import RNN
from models.trace import cut
from tests.models.reference import BATCH, HIDDEN, inputs

WRITTEN = [partial(RNN, nonlinearity=phi) for phi in ("tanh", "relu", "identity")] + [LSTM, GRU]


def hidden_of(cell, x, state):
    """h of every timestep as one node, also of cells that train with torch's kernel."""
    unrolled = cell.solve(x.detach(), state, None)
    return Recurrence.apply(unrolled, x, *cell.parameters())


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("make", WRITTEN)
def test_gradients_of_input_and_parameters_are_finite_differences(make, length):
    cell = make(3, HIDDEN).double()
    state = tuple(torch.randn_like(tensor) for tensor in cell.initial_state(2))
    weights = [parameter.detach().clone().requires_grad_() for parameter in cell.parameters()]

    def hidden(x, *weights):
        with torch.no_grad():
            for parameter, weight in zip(cell.parameters(), weights, strict=True):
                parameter.copy_(weight)
        return Recurrence.apply(cell.solve(x.detach(), state, None), x, *weights)

    assert torch.autograd.gradcheck(hidden, (inputs(length, batch=2).requires_grad_(), *weights))


@pytest.mark.parametrize("make", WRITTEN)
def test_the_gradient_of_training_is_kept_for_the_trace(make):
    cell = make(3, HIDDEN).double()
    x, state = inputs(6), cell.initial_state(BATCH)
    hidden = hidden_of(cell, x, state)
    unrolled = unrolled_by(hidden)
    assert unrolled.gradient is None
    direct = torch.randn_like(hidden)
    hidden.backward(direct)
    again = cell.unroll(x, state, cut(6, 6)).backward(direct)
    assert all(torch.equal(one, again.states[name]) for name, one in unrolled.gradient.states.items())
    for name, parameter in cell.named_parameters():
        assert torch.equal(unrolled.gradient.contributions[name].total(), parameter.grad)
    assert unrolled_by(hidden.detach()) is None
    assert unrolled_by(hidden * 2) is None


@pytest.mark.parametrize("make", WRITTEN)
def test_an_input_without_a_gradient_gets_none(make):
    cell = make(3, HIDDEN).double()
    x = inputs(4)
    hidden_of(cell, x, cell.initial_state(BATCH)).sum().backward()
    assert x.grad is None
    x.requires_grad_()
    hidden_of(cell, x, cell.initial_state(BATCH)).sum().backward()
    assert x.grad.norm() > 0


def test_a_second_derivative_is_an_error_and_not_a_wrong_number():
    cell = RNN(3, HIDDEN).double()
    hidden, _ = cell(inputs(4), cell.initial_state(BATCH))
    (gradient,) = torch.autograd.grad(hidden.square().sum(), cell.weight_hh, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice a function that was marked with @once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("length", [1, 2, 9])
def test_accumulating_along_a_state_is_the_recursion_written_out(length):
    kept, direct = torch.rand(length, 2, 3), torch.randn(length, 2, 3)
    before = direct.clone()
    along = accumulate(kept, direct)
    expected = direct[-1]
    for t in range(length - 1, -1, -1):
        if t < length - 1:
            expected = kept[t + 1] * expected + direct[t]
        torch.testing.assert_close(along[t], expected)
    assert torch.equal(direct, before)


@pytest.mark.parametrize("make", WRITTEN)
def test_backpropagation_changes_neither_its_states_nor_the_gradient_it_is_given(make):
    cell = make(3, HIDDEN).double()
    unrolled = cell.unroll(inputs(5), cell.initial_state(BATCH), cut(5, 5))
    direct = torch.randn(5, BATCH, HIDDEN, dtype=torch.float64)
    kept = direct.clone()
    states = {name: one.clone() for name, one in (unrolled.states | unrolled.gates).items()}
    first, along = unrolled.backward(direct), unrolled.along_gates(direct)
    unrolled.jacobians(1, 5)
    second = unrolled.backward(direct)
    assert torch.equal(direct, kept)
    assert all(torch.equal(one, states[name]) for name, one in (unrolled.states | unrolled.gates).items())
    assert all(torch.equal(one, second.states[name]) for name, one in first.states.items())
    torch.testing.assert_close(unrolled.along_gates(direct), along, rtol=0, atol=0)


@pytest.mark.parametrize("make", WRITTEN)
def test_gradients_need_not_be_contiguous(make):
    """As that of a sum is, which autograd expands from one number."""
    cell = make(3, HIDDEN).double()
    unrolled = cell.unroll(inputs(5), cell.initial_state(BATCH), cut(5, 5))
    direct = torch.ones(1, dtype=torch.float64).expand(5, BATCH, HIDDEN)
    ours, theirs = unrolled.backward(direct), unrolled.backward(direct.contiguous())
    torch.testing.assert_close(ours.states, theirs.states, rtol=0, atol=0)
    several = torch.randn(3, 5, BATCH, HIDDEN, dtype=torch.float64).transpose(0, 1)
    ours, theirs = unrolled.backward(several), unrolled.backward(several.contiguous())
    torch.testing.assert_close(ours.states, theirs.states, rtol=0, atol=0)
