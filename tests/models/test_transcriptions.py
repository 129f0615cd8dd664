"""Every cell of models/cells/ against an independent transcription in NumPy: values, gates and gradients in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from experiments.catalogue.choices import choices
from experiments.config.targets import find_target
from models.differentiation import Differentiated
from models.trace import cut
from tests.models import transcriptions
from tests.models.reference import network_of

TIME, BATCH, INPUT, HIDDEN = 7, 2, 2, 3

OPTIONS = {
    "lstm_peephole": {"forget_bias": 0.5},
    "lstm_coupled": {"forget_bias": 0.5},
    "lstm_layernorm": {"forget_bias": 0.5},
    "gru_layernorm": {"forget_bias": 0.5},
    "janet": {"forget_bias": 0.5, "beta": 1.0},
    "indrnn": {"timesteps": 5},
    "antisymmetric": {"epsilon": 0.7, "gamma": 0.3},
    "cornn": {"dt": 0.4, "gamma": 1.7, "epsilon": 0.6},
    "lem": {"dt": 0.8},
    "scrn": {"slow": 0.4, "alpha": 0.8},
    "unicornn": {"dt": 0.4, "alpha": 1.7},
    "lmu": {"order": 4, "theta": 5.0},
    "lru": {"r_min": 0.3, "r_max": 0.9, "max_phase": 2.0},
    "orthogonal": {"map": "cayley"},
}
"""Options that make each term of a cell's equations count."""

CELLS = [name for name in choices("cell") if name not in ("rnn", "lstm", "gru", "module")]


def class_of(name):
    return find_target("cell", yaml.safe_load(Path(choices("cell")[name]).read_text())["_target_"])


def make(name):
    """The cell in float64, with no parameter at a special value."""
    cell = class_of(name)(INPUT, HIDDEN, **OPTIONS.get(name, {})).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return cell


def transcribed(name, cell, x, nudge=None, changed=None):
    p = {key: value.detach().numpy() for key, value in cell.named_parameters()} | (changed or {})
    state = tuple(tensor.numpy() for tensor in cell.initial_state(BATCH))
    return transcriptions.run(getattr(transcriptions, name), p, x.numpy(), state, nudge=nudge, **OPTIONS.get(name, {}))


def central_differences(loss, value):
    """The gradient of loss(change) at a change of 0, entry by entry. For complex entries: by Re, plus i times by Im."""
    gradient = np.zeros_like(value)
    for index in np.ndindex(value.shape):
        for unit in (1, 1j) if np.iscomplexobj(value) else (1,):
            change = np.zeros_like(value)
            change[index] = 1e-6 * unit
            gradient[index] += unit * (loss(change) - loss(-change)) / 2e-6
    return gradient


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_its_transcription_forward_and_backward(name):
    cell, x = make(name), torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    hidden, last = cell(x, cell.initial_state(BATCH))
    unrolled = cell.unroll(x, cell.initial_state(BATCH), cut(TIME, 3))
    assert isinstance(unrolled, Differentiated)
    expected = transcribed(name, cell, x)
    assert {*unrolled.states, *unrolled.gates} == set(expected)
    for key, steps in (unrolled.gates | {key: steps[1:] for key, steps in unrolled.states.items()}).items():
        np.testing.assert_allclose(steps.numpy(), expected[key], rtol=1e-11, atol=1e-13, err_msg=key)
    torch.testing.assert_close(hidden.detach(), unrolled.states["h"][1:], rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(last, tuple(steps[-1] for steps in unrolled.states.values()), rtol=1e-13, atol=1e-13)

    factors = np.random.default_rng(0).normal(size=hidden.shape)

    def loss(values):
        return np.sin(factors * values["h"]).sum()

    direct = torch.from_numpy(factors * np.cos(factors * expected["h"]))
    gradient = unrolled.backward(direct)
    for state, steps in gradient.states.items():
        for t in range(TIME):
            differences = central_differences(
                lambda change, t=t, state=state: loss(transcribed(name, cell, x, nudge=(state, t, change))),
                expected[state][t],
            )
            np.testing.assert_allclose(steps[t].numpy(), differences, rtol=1e-5, atol=1e-8, err_msg=f"{state} {t + 1}")
    assert gradient.contributions.keys() == dict(cell.named_parameters()).keys()
    for key, parameter in cell.named_parameters():
        value = parameter.detach().numpy()
        differences = central_differences(
            lambda change, key=key, value=value: loss(transcribed(name, cell, x, changed={key: value + change})), value
        )
        found = gradient.contributions[key].total().numpy()
        np.testing.assert_allclose(found, differences, rtol=1e-5, atol=1e-8, err_msg=key)
        assert np.abs(differences).max() > 1e-6, key
    differences = central_differences(
        lambda change: loss(transcribed(name, cell, x + torch.from_numpy(change))), x.numpy()
    )
    np.testing.assert_allclose(gradient.input().numpy(), differences, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", CELLS)
def test_the_same_seed_draws_a_cell_alike_in_float32_and_float64(name):
    parameters = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(1)
        network = network_of(class_of(name), dtype=dtype, **OPTIONS.get(name, {}))
        assert {one.dtype for one in network.parameters()} == {dtype}
        parameters.append(list(network.parameters()))
    for single, double in zip(*parameters, strict=True):
        assert torch.equal(single.double(), double)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", *CELLS, "janet with beta=0", "lem with dt=1.5"])
def test_exactly_the_bounded_states_stay_within_one_whatever_drives_them(name):
    """Large random weights and inputs drive every other state out of [-1, 1],."""
    name, _, other = name.partition(" with ")
    options = {**OPTIONS.get(name, {}), **({key: float(value) for key, _, value in [other.partition("=")] if other})}
    cell = class_of(name)(INPUT, 8, **options).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            if parameter.numel() == 1:  # FastRNN's weights of the candidate and of the state before, as logits
                parameter.fill_(3)
            parameter.mul_(6).add_(torch.randn_like(parameter))
        x = 8 * torch.randn(60, 4, INPUT, dtype=torch.float64)
        states = cell.unroll(x, cell.initial_state(4), cut(60, 1)).states
    largest = {state: steps.abs().nan_to_num(torch.inf).max().item() for state, steps in states.items()}
    within = tuple(state for state, size in largest.items() if size <= 1 + 1e-12)
    assert within == cell.bounded, largest
