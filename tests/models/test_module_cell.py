"""cell=module: cells of installed packages, as torch's own and those of torchrecurrent."""

import pytest
import torch
from torch import nn

from models.cells.lstm_1997 import LSTM1997
from models.cells.mgu import MGU
from models.cells.module import ModuleCell
from models.gru import GRU
from models.lstm import LSTM
from models.rnn import RNN
from models.trace import cut
from tests.models.reference import inputs, network_of, traced

INPUT, HIDDEN = 3, 5


def module(path, options=None):
    return ModuleCell(INPUT, HIDDEN, path, options).double()


@pytest.mark.parametrize(("path", "ours"), [("RNNCell", RNN), ("GRUCell", GRU), ("LSTMCell", LSTM)])
def test_torchs_cells_give_the_same_trace_as_ours(path, ours):
    theirs, cell = module(f"torch.nn.{path}"), ours(INPUT, HIDDEN).double()
    theirs.cell.load_state_dict(cell.state_dict())
    assert theirs.state_names == cell.state_names
    x, state = inputs(6), tuple(torch.randn_like(one) for one in cell.initial_state(4))
    one, other = (each.unroll(x, state, cut(6, 3)) for each in (theirs, cell))
    torch.testing.assert_close(one.states, other.states, rtol=0, atol=1e-13)
    torch.testing.assert_close(one.jacobians(1, 6), other.jacobians(1, 6), rtol=0, atol=1e-13)
    direct = torch.randn(6, 4, HIDDEN, dtype=torch.float64)
    torch.testing.assert_close(one.backward(direct).states, other.backward(direct).states, rtol=0, atol=1e-13)
    for block, expected in zip(theirs.recurrent_blocks(), cell.recurrent_blocks(), strict=True):
        assert torch.equal(block.weight, expected.weight)


def test_options_reach_the_constructor():
    assert [name for name, _ in module("torch.nn.GRUCell", {"bias": False}).named_parameters()] == [
        "cell.weight_ih",
        "cell.weight_hh",
    ]


class Three(nn.Module):
    """Three states of different sizes."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.read = nn.Linear(input_size + 2, hidden_size)

    def forward(self, x, state=None):
        _, c, m = state or (None, x.new_zeros(len(x), 5), x.new_zeros(len(x), 2))
        c = c + torch.tanh(self.read(torch.cat([x, m], dim=-1)))
        return torch.tanh(c), c, 0.5 * m + c[:, :2]


def test_states_of_any_number_and_size_are_traced():
    (layer,) = traced(network_of(ModuleCell, path=f"{__name__}.Three"), inputs(4)).layers
    assert {name: steps.shape[-1] for name, steps in layer.states.items()} == {"h": 5, "c": 5, "state_3": 2}
    assert layer.gradients["state_3"][0].abs().max() > 0


class Twice(nn.Module):
    """Returns h of another size."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.read = nn.Linear(input_size, 2 * hidden_size)

    def forward(self, x, state=None):
        return self.read(x)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.Cell", "must be the address of a torch module, such as torch.nn.GRUCell"),
        ("torch.tanh", "must be the address of a torch module, such as torch.nn.GRUCell"),
        ("torch.nn.Linear", r"cannot be called as cell\(x, state\), as torch.nn.GRUCell can: "),
        ("torch.nn.GRU", r"cannot be called as cell\(x, state\), as torch.nn.GRUCell can: "),
        (f"{__name__}.Twice", r"must return h \(batch, hidden\), or a tuple of states with h first"),
    ],
)
def test_what_is_no_cell_is_refused(path, message):
    with pytest.raises(ValueError, match=rf"^cell\.path={path}: {message}"):
        module(path)


@pytest.mark.parametrize(("name", "make"), [("MGUCell", MGU), ("OriginalLSTMCell", LSTM1997)])
def test_torchrecurrents_cells_are_ours(name, make):
    pytest.importorskip("torchrecurrent")
    ours, theirs, x = make(INPUT, HIDDEN).double(), module(f"torchrecurrent.{name}"), inputs(6)
    with torch.no_grad():
        theirs.cell.weight_ih.copy_(ours.weight_ih)
        theirs.cell.weight_hh.copy_(ours.weight_hh)
        theirs.cell.bias_ih.copy_(ours.bias)  # it has two biases; the other one stays zero
    hidden, expected = (cell(x, cell.initial_state(4))[0] for cell in (theirs, ours))
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-13)
