"""Mean-field theory of wide random networks, compared with published values and measured networks."""

import math
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import erf

from experiments.config.composing import compose
from experiments.config.parts import build
from experiments.training.seeding import generator_of
from experiments.training.theory import TANH, Nonlinearity, mean_field_chi, predict
from models.initialization import gaussian
from models.jacobian import analyze, backward_step_jacobians
from models.rnn import RNN


@pytest.mark.parametrize(
    ("gain", "variance", "chi"), [(0.5, 0.05, 0.2235), (1.0, 0.05, 0.7590), (1.32701, 0.05, 1.0), (2.0, 0.05, 1.3424)]
)
def test_chi_is_the_published_one(gain, variance, chi):
    assert mean_field_chi(gain, variance) == pytest.approx(chi, abs=6e-5)


@pytest.mark.parametrize(("variance", "critical"), [(0.01, 1.1934), (0.1, 1.4093), (0.5, 1.6862), (1.0, 1.8556)])
def test_the_critical_gain_is_the_published_one(variance, critical):
    assert brentq(lambda gain: mean_field_chi(gain, variance) - 1, 0.5, 3) == pytest.approx(critical, abs=1e-4)


LOGISTIC = Nonlinearity(lambda a: (1 + np.tanh(a / 2)) / 2, lambda a: (1 - np.tanh(a / 2) ** 2) / 4)
ERF = Nonlinearity(erf, lambda a: 2 / math.sqrt(math.pi) * np.exp(-a * a))
RELU = Nonlinearity(lambda a: np.maximum(a, 0.0), lambda a: np.heaviside(a, 0.0))


def fixed_point_chi(gain, variance, nonlinearity=TANH):
    """Compute chi independently: adaptive quadrature over the preactivation, and a root finder."""

    def mean_square(function, q):
        def density(a):
            return function(a) ** 2 * math.exp(-a * a / (2 * q)) / math.sqrt(2 * math.pi * q)

        ends = [-10 * math.sqrt(q), *(p for p in (-20, -5, 0, 5, 20) if abs(p) < 10 * math.sqrt(q)), 10 * math.sqrt(q)]
        return sum(quad(density, *piece, epsabs=1e-13, epsrel=1e-11, limit=200)[0] for piece in pairwise(ends))

    q = brentq(lambda q: gain**2 * mean_square(nonlinearity.function, q) + variance - q, 1e-9, 1e6, rtol=1e-13)
    return gain**2 * mean_square(nonlinearity.slope, q)


@pytest.mark.parametrize("nonlinearity", [TANH, LOGISTIC, ERF], ids=["tanh", "logistic", "erf"])
@pytest.mark.parametrize("gain", [0.1, 0.5, 1.0, 1.5, 3.0, 10.0, 30.0])
def test_chi_of_sigmoid_shaped_nonlinearities_is_right_to_a_millionth(gain, nonlinearity):
    for variance in (0.01, 0.1, 1.0):
        expected = fixed_point_chi(gain, variance, nonlinearity)
        assert mean_field_chi(gain, variance, nonlinearity) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("gain", "root"), [(3, 1.35750), (5, 1.70082), (10, 2.35408), (30, 4.02160)])
def test_chi_at_large_gain_is_the_corrected_one(gain, root):
    assert math.sqrt(mean_field_chi(gain, 0.1)) == pytest.approx(root, abs=1e-5)


@pytest.mark.parametrize("gain", [0.1, 1.0, 2**0.5, 3.0, 30.0])
def test_half_of_the_relu_units_pass_also_where_their_size_has_no_fixed_point(gain):
    assert mean_field_chi(gain, 0.1, RELU) == pytest.approx(gain**2 / 2, rel=1e-12)


def test_chi_at_the_edges():
    assert mean_field_chi(0.0, 0.1) == 0
    assert mean_field_chi(1.0, 0.0) == pytest.approx(1)
    assert mean_field_chi(0.999, 0.0) == pytest.approx(0.999**2, rel=1e-9)
    # Far in saturation q = g^2, and 1 / sqrt(2 pi q) of the units are within the width 4 / 3 of tanh'^2.
    assert mean_field_chi(1e39, 0.1) == pytest.approx(1e39 * 4 / 3 / math.sqrt(2 * math.pi), rel=1e-6)


def theory_of(*options):
    config = compose([*options, "model.hidden_size=6"])
    parts = build(config)
    inputs = parts.task.draw(config.batch_size, generator_of(0, "theory")).inputs
    return config, parts.network.cells, inputs


def test_a_law_is_of_the_start_that_it_is_for():
    for options in (
        ["init=identity"],  # with tanh
        ["init=orthogonal", "cell.nonlinearity=relu"],
        ["init=gaussian", "cell=gru"],
        ["init=gaussian", "init.gain=0.5", "cell=lstm"],
    ):
        theory = predict(*theory_of(*options))
        assert theory is None or theory.gain is None, options
    assert predict(*theory_of("init=gaussian")).gain is not None
    assert predict(*theory_of("init=gaussian"), trained=True).gain is None
    assert predict(*theory_of("init=gaussian"), trained=True).bound is not None
    # A gain of -0.5 is the same as one of 0.5.
    assert predict(*theory_of("init=orthogonal", "init.gain=-0.5", "cell.nonlinearity=identity")).gain == 0.5


def test_a_users_own_start_and_cell_of_the_same_name_get_no_law():
    config, cells, x = theory_of("init=gaussian")
    own = config.model_copy(update={"init": {"name": "gaussian", "_target_": "mine.gaussian", "gain": "auto"}})
    assert predict(own, cells, x).gain is None

    class Steeper(RNN):
        def step(self, x, state):
            return (3 * super().step(x, state)[0],)

    assert predict(config, [Steeper(2, 6)], x) is None


def test_input_that_gets_louder_has_no_fixed_point():
    config, cells, x = theory_of("init=gaussian", "init.gain=1.5")
    assert predict(config, cells, x).gain is not None
    louder = torch.cat([x[:50], 10 * x[50:]])
    assert predict(config, cells, louder).gain is None


def test_the_forget_gates_alone_are_what_dl_dc_is_multiplied_by():
    config, cells, x = theory_of("cell=lstm", "init=gaussian", "init.gain=0", "dtype=float64")
    forget = cells[0].compute_gates(x.double(), torch.zeros(*x.shape[:2], 6, dtype=torch.float64))["forget"]
    expected = forget[1:].prod(dim=0).square().mean().sqrt().item() ** (1 / 99)
    assert predict(config, cells, x.double()).gain == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0, 1.3, 2.0])
def test_a_network_of_512_units_gains_chi_a_timestep(gain):
    variance, length, width = 0.05, 16, 512
    logs = []
    for _ in range(4):
        cell = RNN(1, width).double()
        with torch.no_grad():
            gaussian(cell, gain)
            cell.weight_ih.normal_(std=math.sqrt(variance))
            cell.bias_ih.zero_()
            cell.bias_hh.zero_()
        x = torch.randn(40, 1, 1, dtype=torch.float64)
        x /= x.square().mean().sqrt()
        jacobians = backward_step_jacobians(cell.unroll(x, cell.initial_state(1), [(1, 40)]))
        spectra, _ = analyze(islice(jacobians, length), {length}, 0)
        logs.append(spectra[0].log_mean_squared.item() / length)
    measured = np.exp(np.mean(logs))
    assert measured == pytest.approx(fixed_point_chi(gain, variance), rel=0.05)
    assert measured == pytest.approx(mean_field_chi(gain, variance), rel=0.05)


def largest_exponent(gain, settled):
    """Largest Lyapunov exponent of an autonomous network, at rest or after it has settled from a random start."""
    torch.manual_seed(4)
    width, length = 200, 150
    cell = RNN(1, width).double()
    with torch.no_grad():
        gaussian(cell, gain)
        cell.bias_ih.zero_()
        cell.bias_hh.zero_()
        start = torch.randn(1, width, dtype=torch.float64) * settled
    unrolled = cell.unroll(torch.zeros(600, 1, 1, dtype=torch.float64), (start,), [(1, 600)])
    _, exponents = analyze(islice(backward_step_jacobians(unrolled), length), set(), 30)
    return exponents.max().item()


def test_the_largest_exponent_of_the_state_at_rest_crosses_zero_at_a_gain_of_one():
    below, above = largest_exponent(0.9, settled=False), largest_exponent(1.15, settled=False)
    assert below == pytest.approx(math.log(0.9), abs=0.05)
    assert above == pytest.approx(math.log(1.15), abs=0.05)
    assert below < 0 < above


def test_where_it_settles_the_exponent_is_negative_below_zero_just_above_and_positive_in_chaos():
    """At finite width, cycles lie between order and chaos; their largest exponent is 0 (seen up to 2048 units)."""
    assert largest_exponent(0.9, settled=True) < -0.05
    assert largest_exponent(1.15, settled=True) == pytest.approx(0, abs=0.03)
    assert largest_exponent(1.8, settled=True) > 0.05
