"""Long short-term memory whose gates see the cell state."""

from typing import ClassVar

import torch
from torch import Tensor

from models.cell import Gate, Input, Inputs, State
from models.gated import GatedCell


class PeepholeLSTM(GatedCell):
    """Long short-term memory with peepholes (Gers, Schmidhuber 2000).

        i_t, f_t = sigmoid(W_ih x_t + W_hh h_{t-1} + p c_{t-1} + b), each with its own rows and its own p
        g_t      = tanh(W_ih x_t + W_hh h_{t-1} + b), the candidate's rows
        c_t      = f_t c_{t-1} + i_t g_t
        o_t      = sigmoid(W_ih x_t + W_hh h_{t-1} + p c_t + b), the output's rows and its p
        h_t      = o_t tanh(c_t)

    The peepholes p have one weight for each unit: peephole (3, hidden) for i, f and o.

    Args:
        forget_bias: Initial bias of the forget gate. None draws it like the other biases, around 0.
    """

    state_names = ("h", "c")
    kept_by: ClassVar = {"c": "forget"}
    bounded = ("h",)
    gates = ("input", "forget", "candidate", "output")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None) -> None:
        super().__init__(input_size, hidden_size)
        self.peephole = self.draw(3, hidden_size)
        if forget_bias is not None:
            self.set_gate_bias("forget", forget_bias)

    def all_gates(self, x: Inputs, state: State) -> dict[str, Gate]:
        input, forget, candidate, output, c = self._read(x, state)
        return {
            "input": input,
            "forget": forget,
            "candidate": candidate,
            "output": torch.sigmoid(output + self.peephole[2] * c),
        }

    def step(self, x: Input, state: State) -> State:
        *_, output, c = self._read(x, state)
        return torch.sigmoid(output + self.peephole[2] * c) * torch.tanh(c), c

    def _read(self, x: Inputs, state: State) -> tuple[Tensor, ...]:
        """i_t, f_t, g_t, the part of o_t's preactivation that does not depend on c_t, and c_t."""
        h, c = state
        input, forget, candidate, output = self.preactivations(x, h)
        input = torch.sigmoid(input + self.peephole[0] * c)
        forget = torch.sigmoid(forget + self.peephole[1] * c)
        candidate = torch.tanh(candidate)
        return input, forget, candidate, output, forget * c + input * candidate
