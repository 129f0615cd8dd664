import pytest
import torch
from torch import nn

from models.cell import Cell
from models.gru import GRU
from models.initialization import default, gaussian, identity, orthogonal
from models.lstm import LSTM
from models.network import RecurrentNetwork
from models.rnn import RNN
from tests.models.reference import CELLS, PARAMETERS, inputs, network


@pytest.mark.parametrize("name", CELLS)
def test_the_fused_kernel_equals_the_steps(name):
    (cell,) = network(name).cells
    x, state = inputs(12), cell.initial_state(4)
    output, last = cell(x, state)
    stepped, stepped_last = Cell.forward(cell, x, state)
    torch.testing.assert_close(output, stepped, rtol=0, atol=1e-14)
    torch.testing.assert_close(last, stepped_last, rtol=0, atol=1e-14)


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
    outputs, trace = net.unroll(torch.randn(10, 4, 2, dtype=torch.float64), 10)
    outputs.sum().backward()
    norms = torch.stack([window.state_gradient("h").norm() for window in trace])
    torch.testing.assert_close(norms[1:] * 0.9, norms[:-1], rtol=1e-6, atol=0)


def test_a_step_cell_with_a_second_state_shows_its_total_gradient():
    """If the cell runs step by step, autograd sees the effect of c on h, so nothing may be added."""

    class SteppedLSTM(LSTM):
        forward = Cell.forward
        hidden_slopes = Cell.hidden_slopes

    torch.manual_seed(1)
    fused = RecurrentNetwork(LSTM, default, input_size=2, hidden_size=3, num_layers=2, output_size=1, readout_steps=1)
    torch.manual_seed(1)
    stepped = RecurrentNetwork(
        SteppedLSTM, default, input_size=2, hidden_size=3, num_layers=2, output_size=1, readout_steps=1
    )
    x = torch.randn(9, 4, 2)
    traces = []
    for net in (fused, stepped):
        outputs, trace = net.unroll(x, 4)
        (outputs**2).sum().backward()
        traces.append(trace)
    for ours, theirs in zip(*traces, strict=True):
        for state in ("h", "c"):
            torch.testing.assert_close(ours.state_gradient(state), theirs.state_gradient(state), rtol=1e-4, atol=1e-6)
