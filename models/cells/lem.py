"""Long expressive memory, two states that each move in steps of their own size."""

from typing import ClassVar

import torch
from torch.nn.functional import linear

from models.cell import Gate, Input, Inputs, Positive, RecurrentBlock, State
from models.gated import GatedCell


class LEM(GatedCell):
    """Long expressive memory (Rusch, Mishra, Erichson, Mahoney 2022).

        d_t = dt sigmoid(W_1 y_{t-1} + V_1 x_t + b_1)
        e_t = dt sigmoid(W_2 y_{t-1} + V_2 x_t + b_2)
        z_t = (1 - d_t) z_{t-1} + d_t tanh(W_z y_{t-1} + V_z x_t + b_z)
        y_t = (1 - e_t) y_{t-1} + e_t tanh(W_y z_t + V_y x_t + b_y)

    y is the output of the layer, so it is the state h. y reads the new z. d and e are the gates step_z and step_h: the
    paper's Delta t, and Delta t with a bar. V_y is weight_iy, W_y weight_zh and b_y bias_y. All parameters are drawn
    from U(-k, k), as in the authors' code.

    Args:
        dt: Largest step, above 0 and at most 1 for a stable cell.
    """

    state_names = ("h", "z")
    kept_by: ClassVar = {"z": "1 - step_z", "h": "1 - step_h"}
    gates = ("step_z", "step_h", "candidate")

    def __init__(self, input_size: int, hidden_size: int, dt: Positive) -> None:
        super().__init__(input_size, hidden_size)
        self.dt = dt
        self.bounded = ("h", "z") if dt <= 1 else ()
        self.weight_iy, self.weight_zh = self.draw(hidden_size, input_size), self.draw(hidden_size, hidden_size)
        self.bias_y = self.draw(hidden_size)

    def recurrent_blocks(self) -> list[RecurrentBlock]:
        return [
            *super().recurrent_blocks(),
            RecurrentBlock("weight_zh", self.weight_zh, slice(None)),
        ]

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        step_z, step_h, candidate = self.preactivations(x, h)
        return {
            "step_z": self.dt * torch.sigmoid(step_z),
            "step_h": self.dt * torch.sigmoid(step_h),
            "candidate": torch.tanh(candidate),
        }

    def step(self, x: Input, state: State) -> State:
        y, z = state
        step_z, step_h, candidate = self.compute_gates(x, y).values()
        z = (1 - step_z) * z + step_z * candidate
        towards = torch.tanh(linear(x, self.weight_iy, self.bias_y) + linear(z, self.weight_zh))
        return (1 - step_h) * y + step_h * towards, z
