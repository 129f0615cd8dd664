"""FastRNN and FastGRNN, residual cells of few parameters."""

from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import linear

from models.cell import Gate, Input, Inputs, State
from models.gated import GatedCell


class _Fast(GatedCell):
    """What both have in common: weights from N(0, 0.01) and biases of 1, as in the authors' code."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        nn.init.normal_(self.weight_ih, std=0.1)
        nn.init.normal_(self.weight_hh, std=0.1)
        nn.init.ones_(self.bias)


class FastRNN(_Fast):
    """A vanilla network with a weighted residual connection (Kusupati et al. 2018).

        h~_t = tanh(W x_t + U h_{t-1} + b)
        h_t  = alpha h~_t + beta h_{t-1}

    alpha = sigmoid(a) and beta = sigmoid(b') are two numbers that are learned; at first, a = -3 and b' = 3. The
    parameters alpha and beta hold a and b'.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.alpha, self.beta = nn.Parameter(torch.tensor([-3.0])), nn.Parameter(torch.tensor([3.0]))

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        (a,) = self.preactivations(x, h)
        return (torch.sigmoid(self.alpha) * torch.tanh(a) + torch.sigmoid(self.beta) * h,)


class FastGRNN(_Fast):
    """FastRNN with a gate that shares its matrices (Kusupati et al. 2018), at full rank.

        z_t  = sigmoid(W x_t + U h_{t-1} + b_z)
        h~_t = tanh(W x_t + U h_{t-1} + b_h)
        h_t  = (zeta (1 - z_t) + nu) h~_t + z_t h_{t-1}

    zeta = sigmoid(zeta') and nu = sigmoid(nu') are two numbers that are learned; at first, zeta' = 1 and nu' = -4. The
    parameters zeta and nu hold zeta' and nu'; bias is b_z and bias_update is b_h.
    """

    kept_by: ClassVar = {"h": "update"}
    gates = ("update",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.bias_update = nn.Parameter(torch.ones(hidden_size))
        self.zeta, self.nu = nn.Parameter(torch.tensor([1.0])), nn.Parameter(torch.tensor([-4.0]))

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        a = linear(x, self.weight_ih) + linear(h, self.weight_hh)
        return {"update": torch.sigmoid(a + self.bias), "candidate": torch.tanh(a + self.bias_update)}

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        update, candidate = self.compute_gates(x, h).values()
        added = torch.sigmoid(self.zeta) * (1 - update) + torch.sigmoid(self.nu)
        return (added * candidate + update * h,)
