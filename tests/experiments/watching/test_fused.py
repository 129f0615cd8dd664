"""The gradients of fused layers equal those of an autograd loop over torch's cells, to 1e-10."""

import pytest
import torch
from torch import nn

from tests.experiments.watching.conftest import norms

CELLS = {nn.RNN: nn.RNNCell, nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell}
INPUT, HIDDEN, BATCH, TIME = 3, 5, 4, 7


def cell_of(layer, number, suffix=""):
    """torch's cell with the weights of one direction of a layer."""
    size = getattr(layer, f"weight_ih_l{number}{suffix}").shape[1]
    options = {"nonlinearity": layer.nonlinearity} if isinstance(layer, nn.RNN) else {}
    cell = CELLS[type(layer)](size, layer.hidden_size, bias=layer.bias, **options)
    for name, _ in list(cell.named_parameters()):
        setattr(cell, name, getattr(layer, f"{name}_l{number}{suffix}"))
    return cell


def loop(cell, x, state=None):
    """h of each timestep and all states in autograd's graph, by name."""
    states = {"h": [], "c": []}
    for x_t in x:
        state = cell(x_t, state)
        parts = state if isinstance(state, tuple) else (state,)
        for name, part in zip(("h", "c"), parts, strict=False):
            part.retain_grad()
            states[name].append(part)
    return torch.stack(states["h"]), states


def compare(rows, layer, states):
    """Compare a layer's rows with the gradients that autograd retained."""
    for name, steps in states.items():
        if steps:
            found = rows[(rows["layer"] == layer) & (rows["state"] == name)].sort_values("timestep")["grad_norm"]
            expected = norms([torch.zeros_like(one) if one.grad is None else one.grad for one in steps])
            assert found.tolist() == pytest.approx(expected, rel=1e-10, abs=1e-30)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_a_stack_of_layers(watch, table, kind, bias):
    layer = kind(INPUT, HIDDEN, num_layers=3, bias=bias)
    watched = watch(layer)
    x, weight = torch.randn(TIME, BATCH, INPUT), torch.randn(TIME, BATCH, HIDDEN)
    loss = (layer(x)[0] * weight).sum()
    loss.backward()
    watched.step(loss)
    rows = table(watched)
    below, all_states = x, []
    for number in range(3):
        below, states = loop(cell_of(layer, number), below)
        all_states.append(states)
    (below * weight).sum().backward()
    for number, states in enumerate(all_states):
        compare(rows, number, states)
    shares = table(watched, "contributions").groupby("parameter")["share"].sum()
    assert len(shares) == 3 * (4 if bias else 2)
    assert shares.tolist() == pytest.approx([1.0] * len(shares), rel=1e-10)


@pytest.mark.parametrize("kind", CELLS)
def test_both_directions(watch, table, kind):
    layer = kind(INPUT, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
    watched = watch(layer)
    x, weight = torch.randn(BATCH, TIME, INPUT), torch.randn(BATCH, TIME, 2 * HIDDEN)
    loss = (layer(x)[0] * weight).sum()
    loss.backward()
    watched.step(loss)
    rows = table(watched)
    below, all_states = x.transpose(0, 1), []
    for number in range(2):
        forward, states = loop(cell_of(layer, number), below)
        backward, reverse = loop(cell_of(layer, number, "_reverse"), below.flip(0))
        below = torch.cat([forward, backward.flip(0)], dim=-1)
        all_states += [states, reverse]
    (below.transpose(0, 1) * weight).sum().backward()
    for number, states in enumerate(all_states):
        compare(rows, number, states)
