"""What the papers of the cells prove about them, measured in float64."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from torch.nn.functional import one_hot

from models.cells.antisymmetric import AntisymmetricRNN
from models.cells.cornn import CoRNN
from models.cells.indrnn import IndRNN
from models.cells.layer_norm import LayerNormGRU, LayerNormLSTM
from models.cells.lmu import LMU
from models.cells.lru import LRU
from models.cells.lstm_1997 import LSTM1997
from models.cells.lstm_coupled import CoupledLSTM
from models.cells.mingru import MinLSTM
from models.cells.minimal import MinimalRNN
from models.cells.orthogonal import OrthogonalRNN
from models.cells.scrn import SCRN
from models.cells.slstm import SLSTM
from models.cells.unicornn import UnICORNN
from models.jacobian import analyze, backward_step_jacobians
from tests.models.reference import network_of, traced


def zeroed(cell):
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
    return cell


def norms_of(layer, state):
    """The norm of dL/ds_t by unit, (time, units), relative to the last timestep."""
    norms = layer.gradients[state].abs().square().sum(dim=1).sqrt()
    return norms / norms[-1]


def traced_at_the_end(make, length, input_size=3, **options):
    """The layer of a network whose loss is at the last timestep only."""
    network = network_of(make, **options)
    return network.cells[0], traced(network, torch.randn(length, 4, input_size, dtype=torch.float64)).layers[0]


# --- minimalRNN: Chen, Pennington, Schoenholz 2018 ---

SIGMA_W, SIGMA_V, R = 6.88, 1.39, 0.46


def gauss(function, variance):
    return quad(lambda a: function(a * math.sqrt(variance)) * math.exp(-a * a / 2) / math.sqrt(2 * math.pi), -12, 12)[0]


def logistic(a):
    return 1 / (1 + math.exp(-a))


def test_minimal_rnn_is_critical_where_its_paper_says():
    """q = sigma_w^2 Q + sigma_v^2 R, Q = R E[(1-u)^2] / (1 - E[u^2]), chi = E[u^2] + sigma_w^2 (Q + R) E[u'^2]."""

    def big_q(q):
        return R * gauss(lambda a: (1 - logistic(a)) ** 2, q) / (1 - gauss(lambda a: logistic(a) ** 2, q))

    q = brentq(lambda q: SIGMA_W**2 * big_q(q) + SIGMA_V**2 * R - q, 1, 100)
    slope = gauss(lambda a: (logistic(a) * (1 - logistic(a))) ** 2, q)
    chi = gauss(lambda a: logistic(a) ** 2, q) + SIGMA_W**2 * (big_q(q) + R) * slope
    assert q == pytest.approx(15.94, abs=0.01)
    assert chi == pytest.approx(0.9988, abs=2e-4)

    width, length, gains, variances = 512, 50, [], []
    for _ in range(2):
        cell = MinimalRNN(1, width).double()
        with torch.no_grad():
            cell.weight_hh.normal_(std=SIGMA_W / math.sqrt(width))
            cell.weight_ih.normal_(std=SIGMA_V / math.sqrt(width))
            cell.bias.zero_()
        cell._embed = lambda x: x  # the theory takes z_t as Gaussian, independent at each timestep, with E[z^2] = R
        z = math.sqrt(R) * torch.randn(length, 8, width, dtype=torch.float64)
        unrolled = cell.unroll(z, cell.initial_state(8), [(1, length)])
        variances.append(torch.logit(unrolled.gates["update"][-1]).var().item())
        direct = torch.zeros_like(z)
        direct[-1].normal_()
        squares = unrolled.backward(direct).states["h"].square().sum(dim=(1, 2))
        gains.append([squares[-2] / squares[-1], (squares[-21] / squares[-1]) ** (1 / 20)])
    # The theory takes u_t as independent of u_{t-1}, which it resembles: so the measured network is close, not equal.
    assert np.mean(variances) == pytest.approx(q, rel=0.1)
    np.testing.assert_allclose(np.sqrt(np.mean(gains, axis=0)), 1, atol=0.03)


# --- cells whose states carry a gradient in closed form ---


@pytest.mark.parametrize("length", [7, 60])
def test_lru_carries_the_gradient_by_the_modulus_of_its_eigenvalues(length):
    cell, layer = traced_at_the_end(LRU, length, r_min=0.4, r_max=0.99, max_phase=6.283)
    lags = torch.arange(length - 1, -1, -1, dtype=torch.float64)[:, None]
    torch.testing.assert_close(norms_of(layer, "z"), cell.eigenvalues.detach().abs() ** lags, rtol=1e-10, atol=0)
    assert (layer.gradients["h"][:-1] == 0).all()  # h is only read out
    assert (cell.eigenvalues.abs() < 1).all()


def test_the_constant_error_carousel_of_1997():
    """Without recurrent weights, dL/dc_t is the same at every timestep (theory.md, row 3)."""
    network = network_of(LSTM1997)
    zeroed(network.cells[0])
    network.cells[0].set_gate_bias("candidate", 0.3)
    (layer,) = traced(network, torch.randn(100, 4, 3, dtype=torch.float64)).layers
    torch.testing.assert_close(norms_of(layer, "c"), torch.ones(100, 5, dtype=torch.float64), rtol=1e-13, atol=0)


def test_a_coupled_gate_keeps_an_average_within_the_candidates():
    """c_t is a weighted mean of the candidates and c_0, so it never leaves [-1, 1], whatever the weights."""
    cell = CoupledLSTM(3, 5, forget_bias=1.0).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(30)
    _, (_, c) = cell(10 * torch.randn(200, 4, 3, dtype=torch.float64), cell.initial_state(4))
    assert c.abs().max() <= 1


def test_scrn_keeps_the_gradient_of_its_slow_units_by_alpha():
    """Without fast units that read them, dL/ds_t = alpha^(T-t) dL/ds_T exactly."""
    network = network_of(SCRN, slow=0.4, alpha=0.9)
    with torch.no_grad():
        network.cells[0].weight_sh.zero_()
    (layer,) = traced(network, torch.randn(40, 4, 3, dtype=torch.float64)).layers
    expected = 0.9 ** torch.arange(39, -1, -1, dtype=torch.float64)[:, None].expand(40, 2)
    torch.testing.assert_close(norms_of(layer, "s"), expected, rtol=1e-12, atol=0)


def test_indrnn_multiplies_a_units_gradient_by_its_weight_and_at_most_doubles_it():
    cell = IndRNN(1, 6, timesteps=50).double()
    with torch.no_grad():
        cell.input.weight.abs_()
        cell.input.bias.fill_(0.1)
        cell.weight_hh.copy_(torch.linspace(0.1, 1.5, 6))
    x = torch.rand(51, 3, 1, dtype=torch.float64)
    cell(x, cell.initial_state(3))
    assert cell.weight_hh.max().item() == pytest.approx(2 ** (1 / 50))  # 1.5 is cut
    unrolled = cell.unroll(x, cell.initial_state(3), [(1, 51)])
    direct = torch.zeros(51, 3, 6, dtype=torch.float64)
    direct[-1] = 1
    gradient = unrolled.backward(direct).states["h"]  # all units are active
    torch.testing.assert_close(gradient[0, 0], cell.weight_hh.detach() ** 50, rtol=1e-12, atol=0)
    assert gradient.max().item() == pytest.approx(2, rel=1e-12)


def test_the_gates_of_min_lstm_keep_and_add_a_whole():
    """h_t is a weighted mean of h_{t-1} and the candidate: the Jacobian is diag(f'), between 0 and 1."""
    cell = MinLSTM(3, 5).double()
    x = torch.randn(8, 4, 3, dtype=torch.float64)
    unrolled = cell.unroll(x, cell.initial_state(4), [(1, 8)])
    torch.testing.assert_close(unrolled.gates["forget"] + unrolled.gates["input"], torch.ones(8, 4, 5).double())
    torch.testing.assert_close(unrolled.jacobians(1, 8), torch.diag_embed(unrolled.gates["forget"]))


def test_slstms_output_is_a_weighted_mean_whatever_the_input_gate():
    """|h| <= o <= 1; and the gradient of the unscaled c and n along the forget gate is that of an LSTM."""
    cell = SLSTM(3, 5).double()
    with torch.no_grad():
        cell.weight_ih.mul_(20)
    x = torch.randn(100, 4, 3, dtype=torch.float64)
    unrolled = cell.unroll(x, cell.initial_state(4), [(1, 100)])
    assert (unrolled.states["h"][1:].abs() <= unrolled.gates["output"] + 1e-12).all()
    assert unrolled.gates["input"].max() > 1e6
    at_the_end = one_hot(torch.tensor(99), 100).double()[:, None, None].expand(100, 4, 5)
    along = unrolled.along_gates(at_the_end)
    expected = along["c"][-1] * unrolled.gates["forget"][1:].prod(dim=0)
    torch.testing.assert_close(along["c"][0], expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("make", [LayerNormLSTM, LayerNormGRU])
def test_layer_normalisation_takes_the_size_out_of_weights_and_inputs(make):
    """Ba, Kiros, Hinton 2016, section 5.1: outputs do not depend on the size of W, so <dL/dW, W> = 0."""
    network = network_of(make, forget_bias=None)
    (cell,) = network.cells
    with torch.no_grad():
        for weight in (cell.weight_ih, cell.weight_hh):
            weight.mul_(1e6)  # the 1e-5 beside the variance then counts for nothing
    x = torch.randn(12, 4, 3, dtype=torch.float64)
    traced(network, x)
    for weight in (cell.weight_ih, cell.weight_hh):
        across = (weight.grad * weight).sum().abs() / (weight.grad.norm() * weight.norm())
        assert weight.grad.norm() > 0
        assert across < 1e-9
    before = network(x)
    with torch.no_grad():
        cell.weight_hh.mul_(7)
    torch.testing.assert_close(network(3 * x), before, rtol=1e-9, atol=1e-9)


# --- orthogonal, antisymmetric, oscillators ---


@pytest.mark.parametrize("map", ["matrix_exp", "cayley"])
def test_an_orthogonal_recurrence_stays_orthogonal_while_it_is_trained(map):
    """W^T W - I below 1e-12 over 500 updates, and the gradient of active linear units keeps its norm."""
    cell = OrthogonalRNN(2, 8, map=map).double()
    optimizer = torch.optim.Adam(cell.parameters(), lr=0.02)
    start = cell.recurrent.weight.detach().clone()
    for _ in range(500):
        x = torch.randn(2, 4, 2, dtype=torch.float64)
        hidden, _ = cell(x, cell.initial_state(4))
        optimizer.zero_grad()
        (hidden[-1] - x[0, :, :1]).square().mean().backward()
        optimizer.step()
    weight = cell.recurrent.weight.detach()
    assert (weight.T @ weight - torch.eye(8, dtype=torch.float64)).abs().max() < 1e-12
    assert (weight - start).abs().max() > 0.1
    with torch.no_grad():
        cell.bias.zero_()  # modReLU is then the identity
    unrolled = cell.unroll(torch.randn(300, 2, 2, dtype=torch.float64), cell.initial_state(2), [(1, 300)])
    direct = torch.zeros(300, 2, 8, dtype=torch.float64)
    direct[-1] = 1
    norms = unrolled.backward(direct).states["h"].flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, norms[-1:].expand(300), rtol=1e-10, atol=0)


def test_without_diffusion_the_antisymmetric_equation_has_imaginary_eigenvalues():
    """Chang et al. 2019: the Jacobian of h' = tanh((W - W^T) h + V x + b) is D (W - W^T), with a diagonal D > 0."""
    cell = AntisymmetricRNN(2, 10, epsilon=0.1, gamma=0.0).double()
    x = torch.randn(20, 1, 2, dtype=torch.float64)
    one = torch.eye(10, dtype=torch.float64)
    for gamma, at_most in ((0.0, 1e-12), (0.5, -0.1)):
        cell.gamma = gamma
        jacobians = cell.unroll(x, cell.initial_state(1), [(1, 20)]).jacobians(1, 20)[:, 0]
        real = torch.linalg.eigvals((jacobians - one) / cell.epsilon).real
        assert real.max() <= at_most
        if gamma == 0:
            assert real.min() >= -1e-12


def test_cornns_energy_is_bounded():
    """Rusch, Mishra 2021, prop. 3.1: with m units, gamma |y|^2 + |z|^2 is at most m n dt after n damped timesteps.

    Without force and damping, symplectic Euler keeps gamma y^2 + z^2 - gamma dt y z exactly.
    """
    gamma, dt = 1.7, 0.3
    free = zeroed(CoRNN(1, 6, dt=dt, gamma=gamma, epsilon=0.0).double())
    state = tuple(torch.randn(4, 6, dtype=torch.float64) for _ in range(2))

    def invariant(y, z):
        return gamma * y**2 + z**2 - gamma * dt * y * z

    before = invariant(*state)
    for _ in range(300):
        state = free.step(torch.zeros(4, 1, dtype=torch.float64), state)
    torch.testing.assert_close(invariant(*state), before, rtol=1e-10, atol=1e-12)

    damped = CoRNN(1, 6, dt=0.05, gamma=gamma, epsilon=1.1).double()
    with torch.no_grad():
        for parameter in damped.parameters():
            parameter.mul_(20)
    x, state = 5 * torch.randn(300, 4, 1, dtype=torch.float64), damped.initial_state(4)
    for t, x_t in enumerate(x, start=1):
        state = damped.step(x_t, state)
        y, z = state
        assert ((gamma * y**2 + z**2).sum(dim=1) <= 6 * t * 0.05).all()


def test_unicornn_keeps_the_volume_of_its_phase_space():
    """Rusch, Mishra 2021: symplectic Euler of a Hamiltonian system; each unit's Jacobian has determinant 1."""
    cell = UnICORNN(2, 5, dt=0.4, alpha=1.3).double()
    unrolled = cell.unroll(torch.randn(50, 3, 2, dtype=torch.float64), cell.initial_state(3), [(1, 50)])
    jacobians = unrolled.jacobians(1, 50)
    torch.testing.assert_close(torch.linalg.det(jacobians), torch.ones(50, 3, dtype=torch.float64))
    _, exponents = analyze(backward_step_jacobians(unrolled), set(), 0)
    torch.testing.assert_close(exponents.sum(dim=1), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-10)


def test_lmu_remembers_its_window():
    """Voelker et al. 2019, eq. 3: u(t - r theta) is the sum of the shifted Legendre polynomials at r, weighted by m."""
    theta = 64.0
    cell = zeroed(LMU(1, 1, order=12, theta=theta).double())
    with torch.no_grad():
        cell.e_x.fill_(1)
    time = torch.arange(400, dtype=torch.float64)
    signal = torch.sin(2 * math.pi * time / 50)
    _, (_, m) = cell(signal[:, None, None], cell.initial_state(1))
    delays = np.array([8, 16, 32, 48])
    decoded = sum(m[0, i].item() * np.polynomial.Legendre.basis(i)(2 * delays / theta - 1) for i in range(12))
    recalled = signal.numpy()[399 - delays]
    np.testing.assert_allclose(decoded, recalled, atol=0.08)  # a held input is seen half a timestep late
