"""Loops over torch's cells: the gradients of every timestep equal those that autograd retained, to 1e-10."""

import json

import pytest
import torch
from torch import nn

from tests.experiments.watching.test_fused import compare

INPUT, HIDDEN, BATCH, TIME = 3, 5, 4, 6
CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)


def run(cell, x, between=lambda t, state: state, state=None):
    """Loop over timesteps. Returns h of each and the retained states by name."""
    states, hidden = {"h": [], "c": []}, []
    for t, x_t in enumerate(x):
        state = cell(x_t, between(t, state))
        parts = state if isinstance(state, tuple) else (state,)
        hidden.append(parts[0])
        for name, part in zip(("h", "c"), parts, strict=False):
            states[name].append(part)
    return torch.stack(hidden), states


@pytest.mark.parametrize("fault", ["none", "detached", "masked"])
@pytest.mark.parametrize("kind", CELLS)
def test_each_call_is_a_timestep(watch, table, kind, fault):
    cell = kind(INPUT, HIDDEN)
    watched = watch(cell)
    x, weight = torch.randn(TIME, BATCH, INPUT), torch.randn(TIME, BATCH, HIDDEN)
    keep = torch.tensor([1.0, 0.0, 1.0, 1.0])[:, None]

    def between(t, state):
        if state is None or fault == "none" or t != 3:
            return state
        change = (lambda one: one.detach()) if fault == "detached" else (lambda one: one * keep)
        return tuple(map(change, state)) if isinstance(state, tuple) else change(state)

    hidden, states = run(cell, x, between)
    for one in states["h"] + states["c"]:
        one.retain_grad()  # on the CPU, c_t is an intermediate of its call, so this is the total derivative
    loss = (hidden * weight).sum()
    loss.backward()
    watched.step(loss)
    rows = table(watched)
    assert not watched.not_seen
    compare(rows, 0, states)
    shares = table(watched, "contributions").groupby("parameter")["share"].sum()
    assert shares.tolist() == pytest.approx([1.0] * 4, rel=1e-10)
    assert rows["timestep"].max() == TIME


def test_a_state_that_is_reset_begins_a_new_sequence(watch, table):
    """Two sequences of three timesteps each in a batch: the state is reset after the third."""
    cell = nn.GRUCell(INPUT, HIDDEN)
    watched = watch(cell)
    x = torch.randn(TIME, BATCH, INPUT)
    hidden, states = run(cell, x, lambda t, state: None if t == 3 else state)
    for one in states["h"]:
        one.retain_grad()
    loss = hidden.sin().sum()
    loss.backward()
    watched.step(loss)
    rows = table(watched)
    pairs = [torch.cat([states["h"][t].grad, states["h"][t + 3].grad]) for t in range(3)]
    assert rows["grad_norm"].tolist() == pytest.approx([float(one.norm() * 8**0.5) for one in pairs], rel=1e-10)


@pytest.mark.parametrize("kind", CELLS)
def test_a_loss_at_the_last_timesteps_alone_is_known_as_such(watch, kind):
    cell = kind(INPUT, HIDDEN)
    watched = watch(cell)
    hidden, _ = run(cell, torch.randn(TIME, BATCH, INPUT))
    loss = hidden[-2:].sum()
    loss.backward()
    watched.step(loss)
    assert json.loads((watched.path / "run.json").read_text())["readout_steps"] == 2
