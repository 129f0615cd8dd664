import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from models.gru import GRU
from models.initialization import gaussian, orthogonal
from models.jacobian import CHUNK, JacobianProduct, analyze, backward_step_jacobians
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN

CELLS = {
    "rnn": RNN,
    "relu": partial(RNN, nonlinearity="relu"),
    "identity": partial(RNN, nonlinearity="identity"),
    "lstm": LSTM,
    "gru": GRU,
}


def unrolled(cell, x):
    return cell.unroll(x, cell.initial_state(x.shape[1]), [(1, len(x))])


def unroll_states(cell, x):
    """All states before timestep 1 and after each timestep, side by side."""
    return torch.cat(list(unrolled(cell, x).states.values()), dim=-1)


def spectra_of(cell, x, lags, transient=0):
    return analyze(backward_step_jacobians(unrolled(cell, x)), lags, transient)


@pytest.mark.parametrize("name", CELLS)
def test_step_jacobians_are_those_of_autograd(name):
    cell = CELLS[name](3, 4).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    states = unroll_states(cell, x)
    jacobians = unrolled(cell, x).jacobians(1, 5)
    torch.testing.assert_close(unrolled(cell, x).jacobians(2, 4), jacobians[1:4], rtol=0, atol=0)

    def step(state, x_t):
        parts = tuple(part[None] for part in state.chunk(len(cell.state_names)))
        return torch.cat(cell.step(x_t[None], parts), dim=-1)[0]

    for t in range(5):
        for b in range(2):
            expected = torch.autograd.functional.jacobian(lambda s, t=t, b=b: step(s, x[t, b]), states[t, b])
            torch.testing.assert_close(jacobians[t, b], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("length", [1, CHUNK, CHUNK + 3])
def test_jacobians_come_from_the_last_timestep_backwards(name, length):
    cell = CELLS[name](3, 4).double()
    layer = unrolled(cell, torch.randn(length, 2, 3, dtype=torch.float64))
    backwards = torch.stack(list(backward_step_jacobians(layer)))
    torch.testing.assert_close(backwards.flip(0), layer.jacobians(1, length), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("layer", [0, 1])
def test_products_are_the_jacobian_of_the_whole_unrolled_stack(name, layer):
    net = RecurrentNetwork(
        CELLS[name], lambda cell: None, input_size=3, hidden_size=4, num_layers=2, output_size=1, readout_steps=1,
        dtype=torch.float64,
    )  # fmt: skip
    length, start = 8, 5
    x = torch.randn(length, 1, 3, dtype=torch.float64)
    lower = unroll_states(net.cells[0], x)
    upper = unroll_states(net.cells[1], lower[1:, :, :4])
    own = (lower, upper)[layer]

    def whole(state):
        """The last state of the layer in the stack, as a function of its state after timestep `start`."""
        states = [s[start] for s in (lower, upper)]
        states[layer] = state[None]
        for x_t in x[start:]:
            signal = x_t
            for i, cell in enumerate(net.cells):
                parts = cell.step(signal, tuple(states[i].chunk(len(cell.state_names), dim=-1)))
                states[i], signal = torch.cat(parts, dim=-1), parts[0]
        return states[layer][0]

    expected = torch.linalg.svdvals(torch.autograd.functional.jacobian(whole, own[start, 0]))
    inputs = x if layer == 0 else lower[1:, :, :4]
    (spectrum,), _ = spectra_of(net.cells[layer], inputs, {length - start})
    # Rounding changes every singular value of autograd's product by a few units in the last place of the largest one
    # (Weyl). Relative to the smallest one this is large.
    rounding = 32 * torch.finfo(torch.float64).eps * expected[0] / expected
    assert rounding[-1] < 1e-2
    assert spectrum.log_max.item() == pytest.approx(expected[0].log().item(), abs=rounding[0].item())
    assert spectrum.log_min.item() == pytest.approx(expected[-1].log().item(), abs=rounding[-1].item())
    assert spectrum.log_mean.item() == pytest.approx(expected.log().mean().item(), abs=rounding.mean().item())
    assert spectrum.log_mean_squared.exp().item() == pytest.approx((expected**2).mean().item(), rel=1e-10)


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0, 1.4])
def test_a_thousand_steps_of_an_orthogonal_recurrence(gain):
    """All singular values are gain^lag and all exponents ln gain, even for 0.5^1000 and 1.4^1000."""
    cell = RNN(1, 16, nonlinearity="identity").double()
    with torch.no_grad():
        orthogonal(cell, gain)
    x = torch.randn(1000, 2, 1, dtype=torch.float64)
    spectra, exponents = spectra_of(cell, x, {0, 1, 500, 1000})
    np.testing.assert_allclose(exponents, np.log(gain), atol=1e-8)
    for spectrum in spectra:
        for log in (spectrum.log_max, spectrum.log_mean, spectrum.log_min, spectrum.log_mean_squared / 2):
            np.testing.assert_allclose(log, spectrum.lag * np.log(gain), atol=1e-9)


def test_exponents_at_rest_are_the_eigenvalues_of_the_recurrent_matrix():
    """An autonomous network below criticality settles at 0, where its Jacobian is W."""
    cell = RNN(1, 8).double()
    with torch.no_grad():
        gaussian(cell, 0.9)
        nn.init.zeros_(cell.bias_ih)
        nn.init.zeros_(cell.bias_hh)
    _, exponents = spectra_of(cell, torch.zeros(2000, 1, 1, dtype=torch.float64), set(), transient=500)
    moduli = torch.linalg.eigvals(cell.weight_hh.detach()).abs().log().sort(descending=True).values
    np.testing.assert_allclose(exponents[0], moduli, atol=4e-3)  # the error falls as 1 / timesteps


def test_largest_and_smallest_keep_their_precision_far_apart():
    """A rotated diag(2, 1/2)^300: a float64 product cannot hold 2^300 and 2^-300 in one matrix."""
    turn = torch.linalg.qr(torch.randn(2, 2, dtype=torch.float64))[0]
    jacobian = (turn @ torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64)) @ turn.T)[None]
    product = JacobianProduct(1, 2)
    for _ in range(300):
        product.multiply(jacobian)
    spectrum = product.spectrum()
    assert spectrum.log_max.item() == pytest.approx(300 * np.log(2), rel=1e-12)
    assert spectrum.log_min.item() == pytest.approx(-300 * np.log(2), rel=1e-12)
    assert spectrum.log_mean.item() == pytest.approx(0, abs=1e-9)


def test_a_singular_jacobian_has_a_smallest_singular_value_of_zero():
    product = JacobianProduct(1, 2)
    product.multiply(torch.diag(torch.tensor([3.0, 0.0], dtype=torch.float64))[None])
    product.multiply(torch.eye(2, dtype=torch.float64)[None])
    spectrum = product.spectrum()
    assert spectrum.log_max.item() == pytest.approx(np.log(3))
    assert spectrum.log_min.item() == -np.inf
    assert spectrum.log_mean_squared.exp().item() == pytest.approx(4.5)


def exact_growth(transposed):
    """ln |R_ii| of the QR decomposition of a product of rational matrices, in exact arithmetic; -inf is a zero."""
    size = len(transposed[0])
    columns = [[Fraction(i == j) for i in range(size)] for j in range(size)]
    for matrix in transposed:
        columns = [[sum(a * b for a, b in zip(row, column, strict=True)) for row in matrix] for column in columns]
    before, logs = [], []
    for column in columns:
        for other in before:
            share = sum(a * b for a, b in zip(column, other, strict=True)) / sum(b * b for b in other)
            column = [a - share * b for a, b in zip(column, other, strict=True)]
        square = sum(a * a for a in column)
        logs.append(math.log(square) / 2 if square else -math.inf)
        before += [column] if square else []
    return logs


def relu_cell(hidden, gain):
    cell = RNN(1, hidden, nonlinearity="relu").double()
    with torch.no_grad():
        gaussian(cell, gain)
    return cell


def test_exponents_of_a_relu_network_are_those_of_exact_arithmetic():
    """Without a transient. The exponents are per sample and sorted; a direction that inactive units remove is -inf."""
    cell, length = relu_cell(5, 1.6), 9
    x = torch.randn(length, 4, 1, dtype=torch.float64)
    states = unroll_states(cell, x)
    _, exponents = spectra_of(cell, x, {length})
    weight = [[Fraction(w) for w in row] for row in cell.weight_hh.tolist()]
    finite = 0
    for sample in range(4):
        steps = [
            [[weight[j][i] * bool(states[t, sample, j] > 0) for j in range(5)] for i in range(5)]  # (D W)^T
            for t in range(length, 0, -1)
        ]
        expected = sorted((log / length for log in exact_growth(steps)), reverse=True)
        finite += sum(map(math.isfinite, expected))
        np.testing.assert_allclose(exponents[sample], expected, rtol=1e-9)
    assert 0 < finite < 20


def test_a_collapsed_direction_does_not_change_the_others():
    """Units 0 and 1 are inactive only at the last timestep. The other directions grow as if the two did not exist."""
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    last = torch.diag(torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)) @ turn * 2
    product = JacobianProduct(1, 4)
    for jacobian in (last, *[turn * 2] * 9):
        product.multiply(jacobian[None])
    np.testing.assert_allclose(product.exponents()[0], [math.log(2)] * 2 + [-math.inf] * 2, rtol=1e-12)
    product.begin_exponents()
    product.multiply(turn[None] * 3)
    np.testing.assert_allclose(product.exponents()[0], [math.log(3)] * 2 + [-math.inf] * 2, rtol=1e-12)  # no nan
    spectrum = product.spectrum()
    assert spectrum.log_max.item() == pytest.approx(10 * math.log(2) + math.log(3), rel=1e-12)
    assert spectrum.log_min.item() == spectrum.log_mean.item() == -math.inf


def test_a_nilpotent_recurrence_ends_at_zero():
    """A shift register with n places forgets everything after n timesteps."""
    shift = torch.diag(torch.ones(3, dtype=torch.float64), 1)[None]
    product = JacobianProduct(1, 4)
    maxima = []
    for _ in range(4):
        product.multiply(shift)
        maxima.append(product.spectrum().log_max.item())
    assert maxima == pytest.approx([0, 0, 0, -math.inf])
    assert product.exponents().tolist() == [[-math.inf] * 4]


def test_a_sample_that_overflows_is_nan_and_does_not_affect_others():
    cell = relu_cell(3, 1.0)
    with torch.no_grad():
        cell.weight_hh.copy_(torch.eye(3) * 2.0)
        cell.weight_hh[0, 1] = -2.0
        cell.weight_ih.fill_(1.0)
    x = torch.ones(30, 2, 1, dtype=torch.float64)
    x[0, 1] = 1e308  # the states become infinite, then inf - inf
    (spectrum,), exponents = spectra_of(cell, x, {30}, transient=3)
    assert exponents[0].isnan().sum() == 0
    assert exponents[1].isnan().all()
    for log in (spectrum.log_max, spectrum.log_mean, spectrum.log_min, spectrum.log_mean_squared):
        assert log.isnan().tolist() == [False, True]
