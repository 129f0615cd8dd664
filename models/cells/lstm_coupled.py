"""Long short-term memory whose input gate is the complement of its forget gate."""

from typing import ClassVar

import torch

from models.cell import Gate, Input, Inputs, State
from models.gated import GatedCell


class CoupledLSTM(GatedCell):
    """Long short-term memory with coupled gates, i = 1 - f (CIFG of Greff et al. 2015, here without peepholes).

        f_t, o_t = sigmoid(W_ih x_t + W_hh h_{t-1} + b), each with its own rows
        g_t      = tanh(the same with the candidate's rows)
        c_t      = f_t c_{t-1} + (1 - f_t) g_t
        h_t      = o_t tanh(c_t)

    Args:
        forget_bias: Initial bias of the forget gate. None draws it like the other biases, around 0.
    """

    state_names = ("h", "c")
    kept_by: ClassVar = {"c": "forget"}
    bounded = ("h", "c")
    gates = ("forget", "candidate", "output")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None) -> None:
        super().__init__(input_size, hidden_size)
        if forget_bias is not None:
            self.set_gate_bias("forget", forget_bias)

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        forget, candidate, output = self.preactivations(x, h)
        return {
            "forget": torch.sigmoid(forget),
            "candidate": torch.tanh(candidate),
            "output": torch.sigmoid(output),
        }

    def step(self, x: Input, state: State) -> State:
        h, c = state
        forget, candidate, output = self.compute_gates(x, h).values()
        c = forget * c + (1 - forget) * candidate
        return output * torch.tanh(c), c
