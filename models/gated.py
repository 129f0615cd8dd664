"""A base class for cells whose gates read the input and h, with the weights of all gates in one parameter."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.cell import Cell, Gate, Inputs, RecurrentBlock


class GatedCell(Cell):
    """A cell with one or more gates of the same form.

        a_t = W_ih x_t + W_hh h_{t-1} + b

    The parameters are weight_ih (gates*hidden, input), weight_hh (gates*hidden, hidden) and the biases (gates*hidden).
    Each gate has a block of rows; the blocks are stacked in the order of `gates`. All parameters are drawn from
    U(-k, k), k = 1/sqrt(hidden), as in torch's recurrent layers.
    """

    gates: ClassVar[tuple[str, ...]] = ("candidate",)
    """Names of the gates, in the order of their rows in each parameter."""

    biases: ClassVar[tuple[str, ...]] = ("bias",)
    """Names of the biases, whose sum is b."""

    reads_h: ClassVar[bool] = True
    """Whether there is a W_hh. Without it, the gates read only the input."""

    bias: nn.Parameter

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        rows = len(self.gates) * hidden_size
        self.weight_ih = self.draw(rows, input_size)
        if self.reads_h:
            self.weight_hh = self.draw(rows, hidden_size)
        for name in self.biases:
            self.register_parameter(name, self.draw(rows))

    def draw(self, *shape: int) -> nn.Parameter:
        """A parameter of this shape from U(-k, k)."""
        bound = self.hidden_size**-0.5
        return nn.Parameter(nn.init.uniform_(torch.empty(*shape), -bound, bound))

    def preactivations(self, x: Inputs, h: Gate) -> tuple[Gate, ...]:
        """a_t of each gate, from x_t and h_{t-1} with any number of leading axes."""
        a = linear(x, self.weight_ih, self.bias)
        if self.reads_h:
            a = a + linear(h, self.weight_hh)
        return a.chunk(len(self.gates), dim=-1)

    def recurrent_blocks(self) -> list[RecurrentBlock]:
        if not self.reads_h:
            return []
        if len(self.gates) == 1:
            return [RecurrentBlock("weight_hh", self.weight_hh, slice(None))]
        return [RecurrentBlock(f"weight_hh[{gate}]", self.weight_hh, self.rows(gate)) for gate in self.gates]

    def rows(self, gate: str) -> slice:
        """The rows that one gate has in each parameter."""
        start = self.gates.index(gate) * self.hidden_size
        return slice(start, start + self.hidden_size)

    def set_gate_bias(self, gate: str, value: float | Tensor) -> None:
        """Set the bias of one gate, the sum of its biases, to a number for all units or to a tensor (hidden)."""
        with torch.no_grad():
            for number, name in enumerate(self.biases):
                self.get_parameter(name)[self.rows(gate)] = value if number == 0 else 0.0
