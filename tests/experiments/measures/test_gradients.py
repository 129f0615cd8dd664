"""gradients.csv and lags.csv, compared with closed forms and separate backward passes."""

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.measures.gradients import Gradients
from experiments.measures.lags import Lags, spread
from experiments.tasks.copy import Copy
from experiments.training.backpropagation import backpropagate
from models.cells.scrn import SCRN
from models.gru import GRU
from models.initialization import default, orthogonal
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN
from models.trace import cut
from tests.models.reference import loss_of, network_of, run_steps, state_gradients, traced
from tests.models.test_differentiation import Rotating


def table_of(measure, net, trace):
    return pd.DataFrame(measure.before_update(3, net, trace), columns=measure.columns)


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize("make", [RNN, LSTM, GRU, Rotating])
def test_norms_are_the_root_mean_square_over_the_batch(make, readout_steps):
    net = network_of(make, 2, readout_steps)
    x = torch.randn(7, 4, 3, dtype=torch.float64)
    trace = traced(net, x, windows=3)
    table = table_of(Gradients(), net, trace).set_index(["layer", "state", "timestep"])
    outputs, layers = run_steps(net, x)
    per_sequence = loss_of(net.readout(outputs if readout_steps is None else outputs[-1:]))
    for layer, states in enumerate(state_gradients(per_sequence.sum(), layers)):
        for state, gradients in states.items():
            for timestep in trace.ends:
                norms = torch.stack(
                    [torch.view_as_real(g).norm() if g.is_complex() else g.norm() for g in gradients[timestep - 1]]
                )
                row = table.loc[(layer, state, timestep)]
                assert row["grad_norm"] == pytest.approx(norms.square().mean().sqrt().item(), rel=1e-10, abs=1e-14)
                assert row["lag"] == 7 - timestep
                assert row["underflow"] == (gradients[timestep - 1] == 0).double().mean()
    kept = net.cells[0].kept_by
    direct = table["grad_norm_direct"].groupby("state").count()
    assert {state for state, count in direct.items() if count} == set(kept)


def test_the_part_along_c_is_the_whole_where_nothing_else_comes_back():
    net = network_of(LSTM)
    with torch.no_grad():
        net.cells[0].weight_hh.zero_()
    rows = table_of(Gradients(), net, traced(net, torch.randn(7, 4, 3, dtype=torch.float64))).query("state == 'c'")
    np.testing.assert_allclose(rows["grad_norm_direct"], rows["grad_norm"], rtol=1e-12)


def test_a_float32_gradient_of_1e_minus_30_has_its_norm():
    net = network_of(RNN, dtype=torch.float32)
    x = torch.randn(7, 4, 3)
    norms = [
        table_of(Gradients(), net, traced(net, x, loss=lambda outputs, size=size: size * outputs.sum()))["grad_norm"]
        for size in (1.0, 1e-30)
    ]
    np.testing.assert_allclose(norms[1] / norms[0], 1e-30, rtol=1e-5)


def test_a_linear_recurrence_loses_its_gain_at_every_lag_of_every_loss():
    """W = g Q with a loss at each timestep: ||dL_t/dh_{t-k}|| = g^k ||dL_t/dh_t||, though dL/dh mixes all lags."""
    net = RecurrentNetwork(
        lambda input_size, hidden_size: RNN(input_size, hidden_size, nonlinearity="identity"),
        lambda cell: orthogonal(cell, 0.8),
        input_size=3, hidden_size=5, num_layers=1, output_size=2, readout_steps=None, dtype=torch.float64,
    )  # fmt: skip
    net.readout.double()
    trace = traced(net, torch.randn(30, 4, 3, dtype=torch.float64))
    table = table_of(Lags(30), net, trace)
    assert len(table) == 30 * 31 / 2
    for _, of_one in table.groupby("loss_timestep"):
        norms = of_one.set_index("lag")["grad_norm"]
        np.testing.assert_allclose(norms / norms[0], 0.8 ** norms.index.to_numpy(float), rtol=1e-9)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU])
def test_lags_of_copy_are_separate_backward_passes(make):
    task = Copy(2)
    net = RecurrentNetwork(
        make, default, input_size=task.input_size, hidden_size=5, num_layers=2, output_size=task.output_size,
        readout_steps=None, dtype=torch.float64,
    )  # fmt: skip
    batch = task.draw(3, torch.Generator().manual_seed(0)).to(torch.device("cpu"), torch.float64)
    trace = backpropagate(net, task, batch, windows=cut(task.timesteps, task.timesteps)).trace
    table = table_of(Lags(4), net, trace).set_index(["loss_timestep", "layer", "state", "lag"])["grad_norm"]
    losses = spread(task.timesteps, task.timesteps, 4)
    assert table.index.unique("loss_timestep").tolist() == losses == [5, 11, 16, 22]
    outputs, layers = run_steps(net, batch.inputs)
    for t in losses:
        answers = net.readout(outputs[t - 1])
        loss = torch.nn.functional.cross_entropy(answers, batch.targets[t - 1], reduction="mean") / task.timesteps
        for layer, states in enumerate(state_gradients(loss, layers)):
            for state, gradients in states.items():
                for lag in range(t):
                    expected = gradients[t - lag - 1].norm().item() * 3**0.5
                    assert table[t, layer, state, lag] == pytest.approx(expected, abs=1e-10)
                    assert expected > 0


@pytest.mark.parametrize(
    ("length", "losses", "samples", "expected"),
    [(20, 1, 8, [20]), (20, 20, 4, [5, 10, 15, 20]), (20, 4, 8, [17, 18, 19, 20]), (20, 10, 3, [13, 16, 20])],
)
def test_sampled_losses_are_spread_evenly_and_the_last_is_among_them(length, losses, samples, expected):
    assert spread(length, losses, samples) == expected


@pytest.mark.parametrize(("layers", "readout_steps"), [(1, 1), (1, None), (2, 1)])
def test_an_entry_that_nothing_reads_has_not_underflowed(layers, readout_steps):
    """The slow units in the output of scrn are fed back as s. Only a loss or the layer above reads them in h."""
    net = network_of(lambda a, b: SCRN(a, b, slow=0.4, alpha=0.9), layers, readout_steps)
    trace = traced(net, torch.randn(7, 4, 3, dtype=torch.float64))
    table = table_of(Gradients(), net, trace)
    assert len(table) == 14 * layers
    assert (table["underflow"] == 0).all()
    unread = trace.layers[-1].gradients["h"][:-1, :, net.cells[-1].fast :]
    assert (unread == 0).all() == (readout_steps == 1)


def test_entries_that_a_timestep_reads_have_underflowed():
    net = network_of(lambda a, b: SCRN(a, b, slow=0.4, alpha=0.9), dtype=torch.float32)
    trace = traced(net, torch.randn(7, 4, 3), loss=lambda outputs: 1e-37 * outputs.sum())
    rows = table_of(Gradients(), net, trace).query("state == 'h' and lag > 0")
    fast = trace.layers[0].gradients["h"][:-1, :, : net.cells[0].fast]
    np.testing.assert_array_equal(rows["underflow"], (fast.abs() < 2**-126).double().mean(dim=(1, 2)))
    assert rows["underflow"].max() > 0
