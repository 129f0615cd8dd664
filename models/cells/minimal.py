"""minimalRNN, which keeps its state by one gate and adds an embedding of the input."""

from typing import ClassVar

import torch
from torch.nn.functional import linear

from models.cell import Gate, Input, Inputs, State
from models.gated import GatedCell


class MinimalRNN(GatedCell):
    """minimalRNN (Chen 2017; Chen, Pennington, Schoenholz 2018).

        z_t = tanh(W_x x_t + b_z)
        u_t = sigmoid(U_h h_{t-1} + U_z z_t + b_u)
        h_t = u_t h_{t-1} + (1 - u_t) z_t

    W_x (hidden, input) and b_z are embedding.weight and embedding.bias. U_z is weight_ih (hidden, hidden), U_h is
    weight_hh, and b_u is bias.
    """

    kept_by: ClassVar = {"h": "update"}
    bounded = ("h",)
    gates = ("update",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(hidden_size, hidden_size)
        self.input_size = input_size
        self.embedding = torch.nn.Linear(input_size, hidden_size)

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        (u,) = self.preactivations(self._embed(x), h)
        return {"update": torch.sigmoid(u)}

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        z = self._embed(x)
        (u,) = self.preactivations(z, h)
        update = torch.sigmoid(u)
        return (update * h + (1 - update) * z,)

    def _embed(self, x: Inputs) -> Gate:
        return torch.tanh(linear(x, self.embedding.weight, self.embedding.bias))
