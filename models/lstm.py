"""Long short-term memory."""

from typing import ClassVar

import torch
from torch.nn.functional import linear

from models.cell import Gate, Hidden, HiddenSequence, Input, Inputs, InputSequence, State
from models.fused import TorchCell


class LSTM(TorchCell):
    """Long short-term memory with a forget gate (Hochreiter, Schmidhuber 1997; Gers, Schmidhuber, Cummins 2000).

        i_t, f_t, o_t = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), each with its own rows
        g_t           = tanh(the same with the candidate's rows)
        c_t           = f_t c_{t-1} + i_t g_t
        h_t           = o_t tanh(c_t)

    Args:
        forget_bias: Initial bias of the forget gate: the sum of the gate's two biases. The usual value 1 (Gers et al.;
            Jozefowicz et al. 2015) keeps sigmoid(1) = 73 % of the cell state per timestep. None keeps torch's own
            initialisation, which is about 0 and keeps half.
    """

    state_names = ("h", "c")
    kept_by: ClassVar = {"c": "forget"}
    gates = ("input", "forget", "candidate", "output")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        if forget_bias is not None:
            self.set_gate_bias("forget", forget_bias)

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        rows = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        input, forget, candidate, output = rows.chunk(4, dim=-1)
        return {
            "input": torch.sigmoid(input),
            "forget": torch.sigmoid(forget),
            "candidate": torch.tanh(candidate),
            "output": torch.sigmoid(output),
        }

    def step(self, x: Input, state: State) -> State:
        h, c = state
        input, forget, candidate, output = self.compute_gates(x, h).values()
        c = forget * c + input * candidate
        return output * torch.tanh(c), c

    def forward(self, x: InputSequence, state: State) -> tuple[HiddenSequence, State]:
        h, c = state
        output, h, c = self.run_kernel(torch.lstm, x, (h[None], c[None]))
        return output, (h[0], c[0])

    def hidden_slopes(self, x: Input, h_before: Hidden, state: State) -> dict[str, Hidden]:
        _, c = state
        return {"c": self.compute_gates(x, h_before)["output"] * (1 - torch.tanh(c) ** 2)}
