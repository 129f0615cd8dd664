import pytest
import torch
from torch import nn

from models.cell import Cell
from models.gru import GRU
from models.initialization import default, gaussian, identity, orthogonal
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.recursion import unrolled_by
from models.rnn import RNN
from models.trace import cut
from tests.models.reference import CELLS, PARAMETERS, inputs, network, network_of, traced


@pytest.mark.parametrize("length", [1, 2, 12])
@pytest.mark.parametrize("name", CELLS)
def test_torchs_kernel_and_the_written_equations_equal_the_steps(name, length):
    (cell,) = network(name).cells
    x = inputs(length)
    state = tuple(torch.randn_like(tensor) for tensor in cell.initial_state(4))
    stepped, stepped_last = Cell.forward(cell, x, state)
    ways = [cell(x, state)]
    if cell.kernel is not None:
        ways.append(cell.run_kernel(x, state))
    for hidden in (None, stepped.detach()):
        states = cell.unroll(x, state, cut(length, 1), hidden).states
        assert all(torch.equal(one[0], before) for one, before in zip(states.values(), state, strict=True))
        ways.append((states["h"][1:], tuple(one[-1] for one in states.values())))
    assert len(ways) == (3 if name == "identity" else 4)
    for output, last in ways:
        torch.testing.assert_close(output, stepped, rtol=0, atol=1e-14)
        torch.testing.assert_close(last, stepped_last, rtol=0, atol=1e-14)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU])
def test_what_trains_is_fixed_by_the_cell_and_not_by_a_timer(make):
    cell = make(3, 5)
    hidden, _ = cell(inputs(4, dtype=torch.float32), cell.initial_state(4))
    assert (unrolled_by(hidden) is not None) == cell.own_is_faster == (make is not LSTM)


@pytest.mark.parametrize("name", ["tanh", "relu", "lstm", "gru"])
def test_default_parameters_are_those_that_torch_draws(name):
    ours, theirs, _, options = CELLS[name]
    if name == "lstm":
        options = {"forget_bias": None}
    torch.manual_seed(3)
    cell = ours(3, 5, **options)
    torch.manual_seed(3)
    layer = theirs(3, 5, **{k: v for k, v in options.items() if k != "forget_bias"})
    for parameter in PARAMETERS:
        assert torch.equal(getattr(cell, parameter), getattr(layer, f"{parameter}_l0"))


@pytest.mark.parametrize(("make", "gate"), [(LSTM, 1), (GRU, 1)])  # torch's order is i f g o and r z n
def test_forget_bias_is_the_sum_of_torchs_two(make, gate):
    cell = make(3, 5, forget_bias=2.5)
    total = (cell.bias_ih + cell.bias_hh).view(-1, 5)
    assert torch.equal(total[gate], torch.full((5,), 2.5))
    others = [row for i, row in enumerate(total) if i != gate]
    assert all(row.std() > 0 for row in others)


def test_the_linear_recurrence_is_linear():
    cell = RNN(2, 4, nonlinearity="identity")
    nn.init.zeros_(cell.bias_ih)
    nn.init.zeros_(cell.bias_hh)
    x, y = torch.randn(6, 3, 2), torch.randn(6, 3, 2)
    start = cell.initial_state(3)
    torch.testing.assert_close(cell(x + 2 * y, start)[0], cell(x, start)[0] + 2 * cell(y, start)[0])


def test_an_rnn_without_biases_is_torchs_without_biases():
    cell, x = RNN(3, 5, bias=False).double(), inputs(6)
    assert [name for name, _ in cell.named_parameters()] == list(cell.state_dict()) == ["weight_ih", "weight_hh"]
    layer = nn.RNN(3, 5, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(cell.weight_ih)
        layer.weight_hh_l0.copy_(cell.weight_hh)
    hidden, _ = cell(x, cell.initial_state(4))
    assert unrolled_by(hidden) is not None
    expected, _ = layer(x)
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-14)
    for output in (hidden, expected):
        (output**2).sum().backward()
    torch.testing.assert_close(cell.weight_ih.grad, layer.weight_ih_l0.grad, rtol=0, atol=1e-12)
    torch.testing.assert_close(cell.weight_hh.grad, layer.weight_hh_l0.grad, rtol=0, atol=1e-12)


def test_a_logistic_rnn_is_its_equation():
    cell, x = RNN(3, 5, nonlinearity="logistic").double(), inputs(3)
    h = torch.zeros(4, 5, dtype=torch.float64)
    for x_t in x:
        a = x_t @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh
        h = 1 / (1 + torch.exp(-a))
    torch.testing.assert_close(cell(x, cell.initial_state(4))[0][-1], h, rtol=0, atol=1e-14)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU])
def test_orthogonal_blocks_have_all_singular_values_equal_to_the_gain(make):
    cell = make(3, 16).double()
    with torch.no_grad():
        orthogonal(cell, 0.7)
    for block in cell.recurrent_blocks():
        torch.testing.assert_close(torch.linalg.svdvals(block.weight), torch.full((16,), 0.7, dtype=torch.float64))
    assert len({block.weight[0, 0].item() for block in cell.recurrent_blocks()}) == len(cell.recurrent_blocks())


@pytest.mark.parametrize("make", [RNN, LSTM, GRU])
def test_identity_blocks_are_the_gain_times_the_identity(make):
    cell = make(3, 6)
    with torch.no_grad():
        identity(cell, 1.5)
    for block in cell.recurrent_blocks():
        assert torch.equal(block.weight, 1.5 * torch.eye(6))


def test_gaussian_entries_have_the_standard_deviation_and_the_radius_of_ginibre():
    cell = RNN(1, 400)
    with torch.no_grad():
        gaussian(cell, 1.3)
    assert cell.weight_hh.std().item() == pytest.approx(1.3 / 20, rel=0.02)
    assert torch.linalg.eigvals(cell.weight_hh.detach()).abs().max().item() == pytest.approx(1.3, rel=0.1)


def test_a_users_cell_needs_only_a_step():
    class Leaky(Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.weight = nn.Parameter(torch.randn(hidden_size, input_size))
            self.keep = nn.Parameter(torch.tensor(0.9))

        def step(self, x, state):
            return (self.keep * state[0] + x @ self.weight.T,)

    net = RecurrentNetwork(
        Leaky, default, input_size=2, hidden_size=3, num_layers=1, output_size=1, readout_steps=1, dtype=torch.float64
    )
    (layer,) = traced(net, torch.randn(10, 4, 2, dtype=torch.float64)).layers
    norms = layer.gradients["h"].flatten(1).norm(dim=1)
    torch.testing.assert_close(norms[1:] * 0.9, norms[:-1], rtol=1e-6, atol=0)


def test_a_step_cell_with_a_second_state_shows_its_total_gradient():
    """c acts through h as well, whether torch's kernel runs and its c is not seen, or autograd sees every step."""

    class SteppedLSTM(LSTM):
        forward = Cell.forward
        unroll = Cell.unroll

    traces = []
    for make in (LSTM, SteppedLSTM):
        torch.manual_seed(1)
        net = network_of(make, 2)
        traces.append(traced(net, inputs(9)))
    for ours, theirs in zip(*(trace.layers for trace in traces), strict=True):
        for state in ("h", "c"):
            torch.testing.assert_close(ours.gradients[state], theirs.gradients[state], rtol=0, atol=1e-13)
