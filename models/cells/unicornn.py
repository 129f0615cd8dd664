"""UnICORNN, a network of oscillators that do not read each other."""

import torch
from torch import nn

from models.cell import Cell, Input, Positive, State


class UnICORNN(Cell):
    """Undamped independent controlled oscillatory network (Rusch, Mishra 2021).

        z_t = z_{t-1} - dt sigmoid(c) (tanh(w y_{t-1} + V x_t + b) + alpha y_{t-1})
        y_t = y_{t-1} + dt sigmoid(c) z_t

    y is the position of the oscillators and the output of the layer, so it is the state h; z is their velocity. Each
    unit has its own recurrent weight w and its own speed c. w is weight_hh (hidden); V and b are input.weight and
    input.bias. The initialisation is that of the authors' code: w from U(0, 1), c from U(-0.1, 0.1), V small, b zero.

    Args:
        dt: Step of the discretisation, above 0.
        alpha: Squared frequency of the oscillators without input, above 0.
    """

    state_names = ("h", "z")

    def __init__(self, input_size: int, hidden_size: int, dt: Positive, alpha: Positive) -> None:
        super().__init__(input_size, hidden_size)
        self.dt, self.alpha = dt, alpha
        self.input = nn.Linear(input_size, hidden_size)
        nn.init.kaiming_uniform_(self.input.weight, a=8)
        nn.init.zeros_(self.input.bias)
        self.weight_hh = nn.Parameter(torch.rand(hidden_size))
        self.c = nn.Parameter(nn.init.uniform_(torch.empty(hidden_size), -0.1, 0.1))

    def step(self, x: Input, state: State) -> State:
        y, z = state
        dt = self.dt * torch.sigmoid(self.c)
        z = z - dt * (torch.tanh(self.weight_hh * y + self.input(x)) + self.alpha * y)
        return y + dt * z, z
