"""The gated recurrent unit."""

from typing import ClassVar

import torch
from torch.nn.functional import linear

from models.cell import Gate, HiddenSequence, Input, Inputs, InputSequence, State
from models.fused import TorchCell


class GRU(TorchCell):
    """Gated recurrent unit (Cho et al. 2014), in the variant of cuDNN and torch.

        r_t, z_t = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), each with its own rows
        n_t      = tanh(W_ih x_t + b_ih + r_t (W_hh h_{t-1} + b_hh)), the candidate's rows
        h_t      = (1 - z_t) n_t + z_t h_{t-1}

    Args:
        forget_bias: Initial bias of the update gate z, which keeps the state: the sum of the gate's two biases. None
            keeps torch's own initialisation, which is about 0.
    """

    gates = ("reset", "update", "candidate")
    kept_by: ClassVar = {"h": "update"}

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None = None) -> None:
        super().__init__(input_size, hidden_size)
        if forget_bias is not None:
            self.set_gate_bias("update", forget_bias)

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        reset_x, update_x, candidate_x = linear(x, self.weight_ih, self.bias_ih).chunk(3, dim=-1)
        reset_h, update_h, candidate_h = linear(h, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        reset = torch.sigmoid(reset_x + reset_h)
        return {
            "reset": reset,
            "update": torch.sigmoid(update_x + update_h),
            "candidate": torch.tanh(candidate_x + reset * candidate_h),
        }

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        _, update, candidate = self.compute_gates(x, h).values()
        return ((1 - update) * candidate + update * h,)

    def forward(self, x: InputSequence, state: State) -> tuple[HiddenSequence, State]:
        (h,) = state
        output, h = self.run_kernel(torch.gru, x, h[None])
        return output, (h[0],)
