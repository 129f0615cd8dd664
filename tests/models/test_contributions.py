"""Parts of windows in the gradient of a parameter, compared with parts that are computed as whole tensors."""

from copy import deepcopy

import pytest
import torch

from models.contributions import OuterProducts, Parts
from models.gru import GRU
from models.lstm import LSTM
from models.rnn import RNN
from models.trace import cut
from tests.models.reference import CELLS, HIDDEN, gradients_of, inputs, loss_of, network, network_of, traced

WINDOWS = [cut(40, 1), cut(40, 7), cut(40, 40), [(1, 1), (2, 2), (3, 37), (38, 40)]]


def parts_of(rows, source, windows):
    """The part of each window as a matrix, or as a vector for a bias."""
    by_timestep = rows.sum(dim=1) if source is None else torch.einsum("tbr,tbc->trc", rows, source)
    return torch.stack([by_timestep[first - 1 : last].sum(dim=0) for first, last in windows])


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize(("batch", "columns"), [(1, 3), (2, 30), (30, 3), (4, None)])
def test_sums_norms_and_products_are_those_of_whole_matrices(batch, columns, windows):
    """Both of wide and of narrow matrices: the norms come from the smaller of two products."""
    rows = torch.randn(40, batch, 6, dtype=torch.float64)
    source = None if columns is None else torch.randn(40, batch, columns, dtype=torch.float64)
    contribution, parts = OuterProducts(rows, source), parts_of(rows, source, windows)
    whole = parts.sum(dim=0)
    direction = torch.randn_like(whole)
    torch.testing.assert_close(contribution.total(), whole, rtol=1e-12, atol=1e-12)
    norms, products = contribution.norms(windows), contribution.products(windows, direction)
    torch.testing.assert_close(norms, parts.flatten(1).norm(dim=1), rtol=1e-12, atol=0)
    torch.testing.assert_close(products, (parts * direction).flatten(1).sum(dim=1), rtol=0, atol=1e-11)
    expected = (parts * whole).flatten(1).sum(dim=1) / whole.norm() ** 2
    shares = torch.tensor(contribution.shares(windows), dtype=torch.float64)
    torch.testing.assert_close(shares, expected, rtol=0, atol=1e-12)
    assert shares.sum().item() == pytest.approx(1, abs=1e-12)
    given = Parts(parts)
    torch.testing.assert_close(given.total(), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(given.norms(windows), norms, rtol=1e-12, atol=0)
    torch.testing.assert_close(given.products(windows, direction), products, rtol=0, atol=1e-11)


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize(("batch", "columns"), [(2, 30), (30, 3), (4, None)])
@pytest.mark.parametrize(
    ("of_rows", "of_source"), [(1e-30, 1.0), (1e-30, 1e-5), (1e-20, 1e20), (1e15, 1e20), (1.0, 1e20)]
)
def test_float32_holds_norms_and_shares_whose_squares_leave_its_range(of_rows, of_source, batch, columns, windows):
    rows = torch.randn(40, batch, 6)
    source = None if columns is None else torch.randn(40, batch, columns)
    plain = OuterProducts(rows, source)
    scaled = OuterProducts(rows * of_rows, source if source is None else source * of_source)
    size = of_rows * (1.0 if source is None else of_source)
    # The share of a window is a sum that cancels; its error is that of the largest shares.
    torch.testing.assert_close(scaled.norms(windows) / size, plain.norms(windows), rtol=1e-4, atol=0)
    ours, theirs = (torch.tensor(one.shares(windows), dtype=torch.float64) for one in (scaled, plain))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * theirs.abs().max().item())
    assert ours.sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("batch", [2, 30])
def test_norms_in_float32_are_those_in_float64(batch):
    rows, source = torch.randn(40, batch, 6), torch.randn(40, batch, 8)
    ours, exact = (OuterProducts(rows.to(d), source.to(d)).norms(cut(40, 40)) for d in (torch.float32, torch.float64))
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("value", [0.0, torch.inf, torch.nan])
def test_there_are_no_shares_of_a_gradient_that_is_zero_or_not_finite(value):
    rows = torch.full((5, 2, 3), value)
    for contribution in (OuterProducts(rows), OuterProducts(rows, torch.ones(5, 2, 4)), Parts(rows.sum(dim=1))):
        assert contribution.shares(cut(5, 5)) is None
        assert contribution.shares(cut(5, 1)) is None
        norms = contribution.norms(cut(5, 5))
        assert (norms == 0).all() if value == 0 else not norms.isfinite().any()


def test_shares_hold_where_the_norm_of_a_float32_gradient_is_beyond_its_range():
    """Each entry, 2e38, is finite; their norm, 6e38, is not a number of float32."""
    contribution = OuterProducts(torch.full((2, 1, 9), 1e38))
    assert contribution.shares(cut(2, 2)) == pytest.approx([0.5, 0.5], rel=1e-6)


def copies_for_each_timestep(net, x, readout_steps):
    """The gradient of a loss by the weights of each timestep, from a network with a copy of its cells for each."""
    cells = [[deepcopy(cell) for cell in net.cells] for _ in x]
    states = [cell.initial_state(x.shape[1]) for cell in net.cells]
    outputs = []
    for x_t, copies in zip(x, cells, strict=True):
        signal = x_t
        for layer, cell in enumerate(copies):
            states[layer] = cell.step(signal, states[layer])
            signal = states[layer][0]
        outputs.append(signal)
    loss_of(net.readout(torch.stack(outputs[-(readout_steps or len(x)) :]))).mean().backward()
    return {
        f"layers.{layer}.{name}": torch.stack([dict(copies[layer].named_parameters())[name].grad for copies in cells])
        for layer, cell in enumerate(net.cells)
        for name, _ in cell.named_parameters()
    }


@pytest.mark.parametrize("readout_steps", [1, None])
@pytest.mark.parametrize(("length", "batch"), [(1, 4), (2, 1), (9, 2), (9, 8)])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_the_part_of_a_timestep_is_the_gradient_of_its_own_copy_of_the_weights(
    name, num_layers, length, batch, readout_steps
):
    net = network(name, num_layers, readout_steps)
    x = inputs(length, batch)
    trace = traced(net, x)
    gradients = gradients_of(net)
    expected = copies_for_each_timestep(net, x, readout_steps)
    contributions = {name: c for layer in trace.layers for name, c in layer.contributions.items()}
    assert contributions.keys() == expected.keys()
    for parameter, contribution in contributions.items():
        by_timestep, whole = expected[parameter], gradients[parameter]
        torch.testing.assert_close(by_timestep.sum(dim=0), whole, rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(contribution.total(), whole, rtol=1e-10, atol=1e-14)
        for windows in (cut(length, length), cut(length, 3), cut(length, 1)):
            parts = torch.stack([by_timestep[first - 1 : last].sum(dim=0) for first, last in windows]).flatten(1)
            # A norm from products of batch items is exact to the root of the rounding error of its largest terms.
            torch.testing.assert_close(contribution.norms(windows), parts.norm(dim=1), rtol=1e-7, atol=1e-10)
            shares = contribution.shares(windows)
            if whole.norm() == 0:
                assert shares is None
                continue
            of_copies = parts @ whole.flatten() / whole.norm() ** 2
            torch.testing.assert_close(torch.tensor(shares, dtype=torch.float64), of_copies, rtol=0, atol=1e-10)
            assert sum(shares) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU])
def test_each_cells_gradient_of_the_input_is_that_of_autograd(make):
    """It is the direct part of the layer below."""
    net = network_of(make)
    cell = net.cells[0]
    x = inputs(6)
    direct = torch.randn(6, 4, HIDDEN, dtype=torch.float64)
    ours = cell.unroll(x, cell.initial_state(4), cut(6, 2)).backward(direct).input()
    x.requires_grad_()
    states, hidden = cell.initial_state(4), []
    for x_t in x:
        states = cell.step(x_t, states)
        hidden.append(states[0])
    (expected,) = torch.autograd.grad(torch.stack(hidden), x, direct)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-13)
