"""A base class for cells with the parameters of torch's recurrent layers, which run on torch's fused kernels."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.cell import Cell, InputSequence, RecurrentBlock

Kernel = Callable[..., tuple[Tensor, ...]]
"""One of torch.rnn_tanh, torch.rnn_relu, torch.lstm and torch.gru, which `nn.RNN`, `nn.LSTM` and `nn.GRU` call."""


class TorchCell(Cell):
    """A cell with the parameters of a one-layer `nn.RNN`, `nn.LSTM` or `nn.GRU`, in torch's order and initialisation.

    The parameters are weight_ih (gates*hidden, input), weight_hh (gates*hidden, hidden), bias_ih and bias_hh
    (gates*hidden). Each gate has a block of rows; the blocks are stacked in the order of `gates`. All parameters are
    drawn from U(-k, k), k = 1/sqrt(hidden).
    """

    gates: ClassVar[tuple[str, ...]] = ("candidate",)
    """Names of the gates, in the order of their rows in each parameter."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        rows = len(self.gates) * hidden_size
        bound = hidden_size**-0.5
        self.weight_ih = _uniform(bound, rows, input_size)
        self.weight_hh = _uniform(bound, rows, hidden_size)
        self.bias_ih = _uniform(bound, rows)
        self.bias_hh = _uniform(bound, rows)

    def recurrent_blocks(self) -> list[RecurrentBlock]:
        if len(self.gates) == 1:
            return [RecurrentBlock("weight_hh", self.weight_hh, slice(None))]
        return [RecurrentBlock(f"weight_hh[{gate}]", self.weight_hh, self.rows(gate)) for gate in self.gates]

    def rows(self, gate: str) -> slice:
        """The rows that one gate has in each parameter."""
        start = self.gates.index(gate) * self.hidden_size
        return slice(start, start + self.hidden_size)

    def set_gate_bias(self, gate: str, value: float) -> None:
        """Set the bias of one gate to `value` for every unit: the sum of torch's two biases, bias_ih and bias_hh."""
        with torch.no_grad():
            self.bias_ih[self.rows(gate)] = value
            self.bias_hh[self.rows(gate)] = 0.0

    def run_kernel(self, kernel: Kernel, x: InputSequence, hx: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Call one of torch's kernels as a single layer, time first. Return (output, last state, ...)."""
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return kernel(x, hx, weights, True, 1, 0.0, self.training, False, False)


def _uniform(bound: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.uniform_(torch.empty(*shape), -bound, bound))
