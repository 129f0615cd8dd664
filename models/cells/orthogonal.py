"""A network whose recurrent matrix stays orthogonal."""

import math
from typing import Literal

import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal

from models.cell import Cell, Input, State


class OrthogonalRNN(Cell):
    """Network with an orthogonal recurrence (Helfrich et al. 2018; Lezcano-Casado, Martinez-Rubio 2019).

        h_t = modReLU(V x_t + W h_{t-1}),   modReLU(a) = sign(a) relu(|a| + b)

    W is a function of a skew-symmetric matrix S: the matrix exponential exp(S), or the Cayley transform
    (I - S/2)^-1 (I + S/2). Any step of an optimiser thus keeps W orthogonal to the precision of its dtype. The lower
    triangle of recurrent.parametrizations.weight.original holds S, so `init` does not apply. At first, S has blocks of
    2 x 2 with entries tan(s/2), s from U(0, pi/2) (Helfrich et al.). V is drawn after He, b from U(-0.01, 0.01).

    Args:
        map: Function from S to W: matrix_exp (exprnn) or cayley (scornn, without its diagonal matrix of signs).
    """

    def __init__(self, input_size: int, hidden_size: int, map: Literal["matrix_exp", "cayley"]) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, hidden_size, bias=False)
        nn.init.kaiming_normal_(self.input.weight, nonlinearity="relu")
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        angles = torch.tan(torch.rand(hidden_size // 2) * (math.pi / 4))
        with torch.no_grad():
            self.recurrent.weight.zero_()
            self.recurrent.weight.diagonal(-1)[::2] = angles
        orthogonal(self.recurrent, orthogonal_map=map, use_trivialization=False)
        self.bias = nn.Parameter(nn.init.uniform_(torch.empty(hidden_size), -0.01, 0.01))

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        a = self.input(x) + self.recurrent(h)
        return (torch.sign(a) * torch.relu(a.abs() + self.bias),)
