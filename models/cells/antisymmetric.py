"""AntisymmetricRNN, a discretised differential equation that is stable by construction."""

import torch
from torch.nn.functional import linear

from models.cell import Input, NotNegative, Positive, State
from models.gated import GatedCell


class AntisymmetricRNN(GatedCell):
    """AntisymmetricRNN without a gate (Chang, Chen, Haber, Chi 2019).

        h_t = h_{t-1} + epsilon tanh((W - W^T - gamma I) h_{t-1} + V x_t + b)

    The eigenvalues of W - W^T are imaginary, so gradients over a time of the differential equation neither grow nor
    vanish if gamma is 0; gamma > 0 makes up for the finite step. W is weight_hh, which `init` sets and whose spectrum
    is recorded; V is weight_ih. W is drawn from N(0, 1 / hidden) as in the paper, V and b from U(-k, k).

    Args:
        epsilon: Step of the discretisation, above 0.
        gamma: Diffusion, at least 0.
    """

    def __init__(self, input_size: int, hidden_size: int, epsilon: Positive, gamma: NotNegative) -> None:
        super().__init__(input_size, hidden_size)
        self.epsilon, self.gamma = epsilon, gamma
        torch.nn.init.normal_(self.weight_hh, std=hidden_size**-0.5)

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        weight = self.weight_hh - self.weight_hh.T
        a = linear(x, self.weight_ih, self.bias) + linear(h, weight) - self.gamma * h
        return (h + self.epsilon * torch.tanh(a),)
