"""activations.csv, compared with the states of a loop over single steps."""

import pandas as pd
import pytest
import torch

from experiments.measures.activations import Activations
from models.gru import GRU
from models.lstm import LSTM
from models.rnn import RNN
from tests.models.reference import network_of, run_steps, traced
from tests.models.test_differentiation import Rotating


def table_of(net, trace):
    return pd.DataFrame(Activations().before_update(3, net, trace), columns=Activations.columns)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU, Rotating])
def test_statistics_are_those_of_the_states_of_single_steps(make):
    net = network_of(make, 2)
    x = 4 * torch.randn(11, 6, 3, dtype=torch.float64)
    trace = traced(net, x, windows=4)
    table = table_of(net, trace).set_index(["layer", "state", "timestep"])
    _, layers = run_steps(net, x)
    assert len(table) == 2 * 4 * len(net.cells[0].state_names)
    for layer, states in enumerate(layers):
        for state, values in states.items():
            for timestep in trace.ends:
                row = table.loc[(layer, state, timestep)]
                entries = values[timestep - 1]
                entries = (torch.view_as_real(entries) if entries.is_complex() else entries).flatten()
                assert row["mean"] == pytest.approx(entries.mean().item(), abs=1e-12)
                assert row["std"] == pytest.approx(entries.std(correction=0).item(), abs=1e-12)
                assert row["rms"] == pytest.approx(entries.square().mean().sqrt().item(), abs=1e-12)
                if state in net.cells[0].bounded:
                    assert row["saturated"] == (entries.abs() > 0.97).double().mean().item()
                else:
                    assert pd.isna(row["saturated"])


@pytest.mark.parametrize("scale", [0.0, 1e3])
def test_a_tanh_network_is_saturated_where_its_slope_is_small(scale):
    """With large weights nearly every entry is saturated: the slope of tanh is below 0.06 there. With none, none is."""
    net = network_of(RNN)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(scale)
    trace = traced(net, torch.randn(7, 40, 3, dtype=torch.float64), windows=7)
    table = table_of(net, trace)
    slopes = 1 - trace.layers[0].states["h"][1:] ** 2
    steep = (slopes < 1 - 0.97**2).flatten(1).double().mean(dim=1)
    assert table["saturated"].tolist() == pytest.approx(steep.tolist())
    assert (table["saturated"] > 0.9).all() if scale else (table["saturated"] == 0).all()


@pytest.mark.parametrize("nonlinearity", ["relu", "identity"])
def test_an_unbounded_state_has_no_saturation_and_sizes_beyond_what_can_be_squared(nonlinearity):
    net = network_of(RNN, nonlinearity=nonlinearity)
    trace = traced(net, 1e200 * torch.rand(7, 4, 3, dtype=torch.float64), windows=2)
    table = table_of(net, trace)
    assert table["saturated"].isna().all()
    assert table["rms"].between(1e190, 1e250).all()


@pytest.mark.parametrize(
    ("make", "options", "bounded"),
    [
        (RNN, {}, ("h",)),
        (RNN, {"nonlinearity": "relu"}, ()),
        (LSTM, {}, ("h",)),
        (GRU, {}, ("h",)),
        (Rotating, {}, ()),
    ],
)
def test_bounded_states_stay_within_one_however_large_input_and_weights_are(make, options, bounded):
    net = network_of(make, **options)
    assert net.cells[0].bounded == bounded
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(30)
    states = traced(net, 100 * torch.randn(20, 4, 3, dtype=torch.float64)).layers[0].states
    assert {name for name, values in states.items() if values.abs().max() <= 1} == set(bounded)
