"""coRNN, a network of coupled oscillators."""

import torch
from torch.nn.functional import linear

from models.cell import Input, NotNegative, Positive, RecurrentBlock, State
from models.gated import GatedCell


class CoRNN(GatedCell):
    """Coupled oscillatory network (Rusch, Mishra 2021).

        z_t = z_{t-1} + dt (tanh(W y_{t-1} + W_z z_{t-1} + V x_t + b) - gamma y_{t-1} - epsilon z_{t-1})
        y_t = y_{t-1} + dt z_t

    y is the position of the oscillators and the output of the layer, so it is the state h; z is their velocity. As in
    the authors' code, the velocity is damped explicitly. W is weight_hh, W_z weight_zh and V weight_ih. All parameters
    are drawn from U(-k, k), k = 1/sqrt(input + 2 hidden).

    Args:
        dt: Step of the discretisation, above 0.
        gamma: Squared frequency of the oscillators without input, above 0.
        epsilon: Damping, at least 0.
    """

    state_names = ("h", "z")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        dt: Positive,
        gamma: Positive,
        epsilon: NotNegative,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.dt, self.gamma, self.epsilon = dt, gamma, epsilon
        self.weight_zh = self.draw(hidden_size, hidden_size)
        bound = (input_size + 2 * hidden_size) ** -0.5
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound)

    def recurrent_blocks(self) -> list[RecurrentBlock]:
        return [
            *super().recurrent_blocks(),
            RecurrentBlock("weight_zh", self.weight_zh, slice(None)),
        ]

    def step(self, x: Input, state: State) -> State:
        y, z = state
        (a,) = self.preactivations(x, y)
        force = torch.tanh(a + linear(z, self.weight_zh))
        z = z + self.dt * (force - self.gamma * y - self.epsilon * z)
        return y + self.dt * z, z
