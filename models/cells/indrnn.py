"""IndRNN, whose units do not read each other."""

import torch
from torch import nn
from torch.nn.functional import linear

from models.cell import AtLeastOne, Cell, HiddenSequence, Input, InputSequence, State


class IndRNN(Cell):
    """Independently recurrent network (Li et al. 2018).

        h_t = relu(W x_t + u h_{t-1} + b), with |u| <= 2^(1/timesteps)

    Each unit has one recurrent weight: u is weight_hh (hidden). Over all timesteps, a gradient thus grows at most to
    twice its size. u is drawn from U(0, 1), as in the authors' code, and cut to the bound before each sequence: thus
    after each update.

    Args:
        timesteps: Timesteps over which a gradient may double; at least 1.
    """

    def __init__(self, input_size: int, hidden_size: int, timesteps: AtLeastOne) -> None:
        super().__init__(input_size, hidden_size)
        self.bound = 2 ** (1 / timesteps)
        self.input = nn.Linear(input_size, hidden_size)
        self.weight_hh = nn.Parameter(torch.rand(hidden_size))

    def forward(self, x: InputSequence, state: State) -> tuple[HiddenSequence, State]:
        if (self.weight_hh.abs() > self.bound).any():
            with torch.no_grad():
                self.weight_hh.clamp_(-self.bound, self.bound)
        return super().forward(x, state)

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        return (torch.relu(linear(x, self.input.weight, self.input.bias) + self.weight_hh * h),)
