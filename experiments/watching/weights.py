"""Our cells with the weights of torch's recurrent layers: the same tensors, not copies."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.cell import Cell, Input, Inputs, State
from models.gru import GRU
from models.lstm import LSTM, gates_of
from models.rnn import RNN

KINDS: dict[type[nn.Module], str] = {
    nn.RNN: "rnn",
    nn.LSTM: "lstm",
    nn.GRU: "gru",
    nn.RNNCell: "rnn",
    nn.LSTMCell: "lstm",
    nn.GRUCell: "gru",
}
"""The layers that are watched, and the cell of each."""


def kind_of(module: nn.Module) -> str | None:
    """The name of the cell of one of torch's recurrent layers or of a subclass; None for any other module."""
    return next((kind for layer, kind in KINDS.items() if isinstance(module, layer)), None)


class ProjectedLSTM(Cell):
    """An LSTM whose output is projected to a smaller size (Sak, Senior, Beaufays 2014), as nn.LSTM with proj_size.

    c_t = f_t c_{t-1} + i_t g_t
    h_t = W_hr o_t tanh(c_t), with the gates of an LSTM, which read x_t and h_{t-1}
    """

    state_names = ("h", "c")
    kept_by = {"c": "forget"}  # noqa: RUF012

    weight_ih: Tensor
    weight_hh: Tensor
    weight_hr: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def all_gates(self, x: Inputs, state: State) -> dict[str, Tensor]:
        a = linear(x, self.weight_ih, self.bias_ih) + linear(state[0], self.weight_hh, self.bias_hh)
        return gates_of(a.chunk(4, dim=-1))

    def step(self, x: Input, state: State) -> State:
        input, forget, candidate, output = self.all_gates(x, state).values()
        c = forget * state[1] + input * candidate
        return linear(output * torch.tanh(c), self.weight_hr), c


def user_names(model: nn.Module, layers: Mapping[str, nn.Module]) -> dict[str, str]:
    """The name in the user's model of each parameter of the watched layers, by the name that our tables have.

    Args:
        model: The user's model.
        layers: The watched modules by their name in the model.
    """
    named = {id(one): name for name, one in model.named_parameters()}
    found, number = {}, 0
    for module_name, module in layers.items():
        of_cell = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        for weights in module._all_weights if isinstance(module, nn.RNNBase) else [of_cell]:
            for name in weights:
                if (weight := getattr(module, name)) is not None:
                    ours = f"layers.{number}.{'_'.join(name.split('_')[:2])}"
                    found[ours] = named.get(id(weight), f"{module_name}.{name}")
            number += 1
    return found


_CELLS: WeakKeyDictionary[nn.Module, dict[tuple[tuple[str, int], ...], Cell]] = WeakKeyDictionary()
"""The cells of each module, by the names and numbers of their weights. A cell keeps its weights alive."""


def make_cell(module: nn.Module, weights: Mapping[str, Tensor]) -> Cell:
    """Make our cell for one layer of one of torch's modules, once for the same weights.

    A weight that is trained is shared with the module. A weight that is frozen, or computed from other parameters,
    becomes a constant; it then has no rows in contributions.csv.

    Args:
        module: Module that the layer belongs to.
        weights: Weights of the layer: weight_ih, weight_hh, and bias_ih, bias_hh, weight_hr where it has them.
    """
    if not all(isinstance(one, nn.Parameter) and one.requires_grad for one in weights.values()):
        return _make_cell(module, weights)
    cells = _CELLS.setdefault(module, {})
    key = tuple((name, id(one)) for name, one in weights.items())
    if key not in cells:
        cells[key] = _make_cell(module, weights)
    return cells[key]


def _make_cell(module: nn.Module, weights: Mapping[str, Tensor]) -> Cell:
    kind = kind_of(module)
    rows, input_size = weights["weight_ih"].shape
    with torch.device("meta"):  # draws no random numbers, which would change the training
        cell: Cell
        if kind == "rnn":
            hidden, nonlinearity = rows, module.nonlinearity
            cell = RNN(input_size, hidden, nonlinearity=nonlinearity)  # type: ignore[arg-type]
        elif kind == "gru":
            cell = GRU(input_size, rows // 3)
        elif "weight_hr" in weights:
            cell = ProjectedLSTM(input_size, rows // 4)
        else:
            cell = LSTM(input_size, rows // 4, forget_bias=None)
    none: dict[str, Any] = {name: weights["weight_ih"].new_zeros(rows) for name in ("bias_ih", "bias_hh")}
    for name, weight in (none | dict(weights)).items():
        if hasattr(cell, name):
            delattr(cell, name)
        if isinstance(weight, nn.Parameter) and weight.requires_grad:
            cell.register_parameter(name, weight)
        else:
            cell.register_buffer(name, weight.detach(), persistent=False)
    return cell.eval()
