"""truncation.csv, compared with gradients that are really truncated: by autograd, with detached states."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from experiments.measures.truncation import Truncation
from models.cell import Cell
from tests.models.reference import inputs, network_of
from tests.models.test_truncation import LENGTH, make, mean_loss, traced, with_detached_states


def table_of(net, trace):
    return pd.DataFrame(Truncation().before_update(1, net, trace), columns=Truncation.columns)


def flat(gradients):
    return torch.cat([one.flatten() for name, one in gradients.items() if name.startswith("layers")])


@pytest.mark.parametrize(
    ("name", "layers", "readout_steps", "own"),
    [
        *(("tanh", 1, 1, None), ("lstm", 2, 1, 4), ("lstm", 1, None, None), ("gru", 2, 3, None), ("gru", 1, None, 4)),
        *(("complex", 2, 1, None), ("complex", 1, 3, 4)),
    ],
)
def test_each_row_is_a_really_truncated_gradient(name, layers, readout_steps, own):
    net, x = make(name, layers, readout_steps), inputs(LENGTH)
    windows = LENGTH if readout_steps == 3 else 5
    table = table_of(net, traced(net, x, own, windows, mean_loss))
    whole, _ = with_detached_states(net, x, LENGTH, mean_loss)
    assert set(table["parameter"]) == {*(name for name in whole if name.startswith("layers.")), "layers"}
    cuts = table[table["parameter"] == "layers"]["truncation"]
    assert len(set(cuts)) == len(cuts) >= windows
    assert own is None or own in set(cuts)
    for truncation, rows in table.groupby("truncation"):
        cut, _ = with_detached_states(net, x, truncation, mean_loss)
        for row in rows.itertuples():
            g_k, g = (
                flat(all_) if row.parameter == "layers" else all_[row.parameter].flatten() for all_ in (cut, whole)
            )
            assert row.grad_norm == pytest.approx(g_k.norm().item(), rel=1e-10, abs=1e-14)
            assert row.distance == pytest.approx(((g_k - g).norm() / g.norm()).item(), rel=1e-10, abs=1e-10)
            if g_k.norm() > 1e-12:
                assert row.cosine == pytest.approx((g_k @ g / g_k.norm() / g.norm()).item(), abs=1e-10)


class Noisy(Cell):
    """A cell that draws random numbers in each step."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.weight = nn.Parameter(torch.randn(hidden_size, input_size))
        self.recurrent = nn.Parameter(torch.randn(hidden_size, hidden_size))

    def step(self, x, state):
        h = x @ self.weight.T + state[0] @ self.recurrent.T
        return (torch.tanh(h + torch.randn_like(h)),)


def test_a_cell_that_cannot_be_unrolled_again_has_no_rows_of_other_states():
    """Its truncated gradients would be those of other noise. The sums over timesteps are still known."""
    net = network_of(Noisy, readout_steps=None)
    assert set(table_of(net, traced(net, inputs(LENGTH), None, LENGTH, mean_loss))["truncation"]) == {LENGTH}
    net = network_of(Noisy, readout_steps=1)
    assert len(set(table_of(net, traced(net, inputs(LENGTH), None, LENGTH, mean_loss))["truncation"])) == LENGTH
    net = network_of(Noisy, readout_steps=1)
    assert table_of(net, traced(net, inputs(LENGTH), 4, LENGTH, mean_loss)).empty


def test_distances_far_below_rounding_are_kept():
    """The first parts of a vanished gradient are summed by themselves, not as a difference of large numbers."""
    net = make("tanh", 1, 1)
    with torch.no_grad():
        net.cells[0].weight_hh.mul_(1e-3)
    table = table_of(net, traced(net, inputs(LENGTH), None, LENGTH, mean_loss)).set_index(["parameter", "truncation"])
    distances = table.loc["layers"]["distance"]
    assert 0 < distances[LENGTH - 1] < 1e-25
    assert all(math.isfinite(one) for one in distances)
    assert distances.is_monotonic_decreasing


def test_a_gradient_of_zero_has_no_rows():
    net = make("tanh", 1, 1)
    assert table_of(net, traced(net, inputs(LENGTH), None, LENGTH, lambda outputs: 0 * mean_loss(outputs))).empty
