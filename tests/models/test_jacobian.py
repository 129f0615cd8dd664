import numpy as np
import pytest
import torch
from torch import nn

from models.gru import GRU
from models.initialization import gaussian, orthogonal
from models.jacobian import JacobianProduct, analyze, backward_step_jacobians, step_jacobians, unroll_states
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def spectra_of(cell, x, lags, transient=0):
    return analyze(backward_step_jacobians(cell, x, unroll_states(cell, x)), lags, transient)


@pytest.mark.parametrize("name", CELLS)
def test_step_jacobians_are_those_of_autograd(name):
    cell = CELLS[name](3, 4).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    states = unroll_states(cell, x)
    jacobians = step_jacobians(cell, x, states[:-1])

    def step(state, x_t):
        parts = tuple(part[None] for part in state.chunk(len(cell.state_names)))
        return torch.cat(cell.step(x_t[None], parts), dim=-1)[0]

    for t in range(5):
        for b in range(2):
            expected = torch.autograd.functional.jacobian(lambda s, t=t, b=b: step(s, x[t, b]), states[t, b])
            torch.testing.assert_close(jacobians[t, b], expected)


@pytest.mark.parametrize("name", CELLS)
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
    # Rounding moves every singular value of the product that autograd builds by a few units in the last place of the
    # largest one (Weyl): relative to the smallest that is much.
    rounding = 32 * torch.finfo(torch.float64).eps * expected[0] / expected
    assert rounding[-1] < 1e-2
    assert spectrum.log_max.item() == pytest.approx(expected[0].log().item(), abs=rounding[0].item())
    assert spectrum.log_min.item() == pytest.approx(expected[-1].log().item(), abs=rounding[-1].item())
    assert spectrum.log_mean.item() == pytest.approx(expected.log().mean().item(), abs=rounding.mean().item())
    assert spectrum.log_mean_squared.exp().item() == pytest.approx((expected**2).mean().item(), rel=1e-10)


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0, 1.4])
def test_a_thousand_steps_of_an_orthogonal_recurrence(gain):
    """Row 1: all singular values are gain^lag, all exponents ln gain; 0.5^1000 and 1.4^1000 are no matter."""
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
    """Row 17: an autonomous network below criticality rests at 0, where the Jacobian is W."""
    cell = RNN(1, 8).double()
    with torch.no_grad():
        gaussian(cell, 0.9)
        nn.init.zeros_(cell.bias_ih)
        nn.init.zeros_(cell.bias_hh)
    _, exponents = spectra_of(cell, torch.zeros(20_000, 1, 1, dtype=torch.float64), set(), transient=2000)
    moduli = torch.linalg.eigvals(cell.weight_hh.detach()).abs().log().sort(descending=True).values
    np.testing.assert_allclose(exponents[0], moduli, atol=2e-3)


def test_largest_and_smallest_keep_their_precision_far_apart():
    """diag(2, 1/2)^300 turned about: 2^300 and 2^-300 in one matrix are beyond the precision of a float64 product."""
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
