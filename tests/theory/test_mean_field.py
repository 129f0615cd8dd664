"""Rows 4, 5 and 16: wide random tanh networks."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq

from experiments.theory import mean_field_chi
from models.initialization import gaussian
from models.jacobian import analyze, backward_step_jacobians, unroll_states
from models.rnn import RNN


@pytest.mark.parametrize(
    ("gain", "variance", "chi"), [(0.5, 0.05, 0.2235), (1.0, 0.05, 0.7590), (1.32701, 0.05, 1.0), (2.0, 0.05, 1.3424)]
)
def test_chi_is_the_published_one(gain, variance, chi):
    assert mean_field_chi(gain, variance) == pytest.approx(chi, abs=6e-5)


@pytest.mark.parametrize(("variance", "critical"), [(0.01, 1.1934), (0.1, 1.4093), (0.5, 1.6862), (1.0, 1.8556)])
def test_the_critical_gain_is_the_published_one(variance, critical):
    assert brentq(lambda gain: mean_field_chi(gain, variance) - 1, 0.5, 3) == pytest.approx(critical, abs=1e-4)


def test_without_input_the_critical_gain_is_one():
    assert mean_field_chi(0.999, 0.0) == pytest.approx(0.999**2, rel=1e-3)


def fixed_point_chi(gain, variance):
    """Another way to the same number: adaptive quadrature and a root finder."""

    def mean(function, q):
        return quad(lambda z: function(math.sqrt(q) * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi), -9, 9)[0]

    q = brentq(lambda q: gain**2 * mean(lambda a: math.tanh(a) ** 2, q) + variance - q, 1e-9, 10)
    return gain**2 * mean(lambda a: math.cosh(a) ** -4, q)


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0, 1.3, 2.0])
def test_a_network_of_512_units_gains_chi_a_timestep(gain):
    variance, length, width = 0.05, 16, 512
    logs = []
    for _ in range(2):
        cell = RNN(1, width).double()
        with torch.no_grad():
            gaussian(cell, gain)
            cell.weight_ih.normal_(std=math.sqrt(variance))
            cell.bias_ih.zero_()
            cell.bias_hh.zero_()
        x = torch.randn(40, 2, 1, dtype=torch.float64)
        x /= x.square().mean(dim=(0, 1), keepdim=True).sqrt()
        states = unroll_states(cell, x)
        jacobians = backward_step_jacobians(cell, x[-length:], states[-length - 1 :])
        spectra, _ = analyze(jacobians, {length}, 0)
        logs.append(spectra[0].log_mean_squared.mean().item() / length)
    measured = np.exp(np.mean(logs))
    assert measured == pytest.approx(fixed_point_chi(gain, variance), rel=0.05)
    assert measured == pytest.approx(mean_field_chi(gain, variance), rel=0.05)


def largest_exponent(gain, settled):
    """Of an autonomous network, at rest or where it has settled after a random start."""
    torch.manual_seed(4)
    width, length = 200, 300
    cell = RNN(1, width).double()
    with torch.no_grad():
        gaussian(cell, gain)
        cell.bias_ih.zero_()
        cell.bias_hh.zero_()
        state = torch.randn(1, width, dtype=torch.float64) * settled
        states = [state]
        for _ in range(600):
            (state,) = cell.step(torch.zeros(1, 1, dtype=torch.float64), (state,))
            states.append(state)
    x = torch.zeros(length, 1, 1, dtype=torch.float64)
    _, exponents = analyze(backward_step_jacobians(cell, x, torch.stack(states[-length - 1 :])), set(), 30)
    return exponents.max().item()


def test_the_largest_exponent_of_the_state_at_rest_crosses_zero_at_a_gain_of_one():
    below, above = largest_exponent(0.9, settled=False), largest_exponent(1.15, settled=False)
    assert below == pytest.approx(math.log(0.9), abs=0.05)
    assert above == pytest.approx(math.log(1.15), abs=0.05)
    assert below < 0 < above


def test_where_it_settles_the_exponent_is_negative_below_zero_just_above_and_positive_in_chaos():
    """Of finite width: between order and chaos lie cycles, whose largest exponent is 0 (seen up to 2048 units)."""
    assert largest_exponent(0.9, settled=True) < -0.05
    assert largest_exponent(1.15, settled=True) == pytest.approx(0, abs=0.03)
    assert largest_exponent(1.8, settled=True) > 0.05
