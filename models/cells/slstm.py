"""sLSTM, an LSTM with an exponential input gate and a normaliser."""

from typing import ClassVar

import torch

from models.cell import Gate, Input, Inputs, State
from models.gated import GatedCell


class SLSTM(GatedCell):
    """Scalar LSTM of the xLSTM family (Beck et al. 2024), with one head.

        i_t = exp(W_i x_t + R_i h_{t-1} + b_i)
        f_t = sigmoid(the same with the forget gate's rows),  o_t = sigmoid(the output's)
        z_t = tanh(the candidate's)
        c_t = f_t c_{t-1} + i_t z_t
        n_t = f_t n_{t-1} + i_t
        h_t = o_t c_t / n_t

    The authors' code scales c and n by exp(-m_t), which cancels in h. Here they are not scaled, so their gradients do
    not depend on a stabiliser; in float32, c overflows once the logarithm of i exceeds 88. The biases of f fall from 5
    to -7 over the units and the others are zero, as in the authors' code for a single block.
    """

    state_names = ("h", "c", "n")
    kept_by: ClassVar = {"c": "forget", "n": "forget"}
    bounded = ("h",)
    gates = ("input", "forget", "candidate", "output")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        torch.nn.init.zeros_(self.bias)
        place = torch.arange(hidden_size) / max(1, hidden_size - 1)
        self.set_gate_bias("forget", 5 - 12 * place**0.3)

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        input, forget, candidate, output = self.preactivations(x, h)
        return {
            "input": torch.exp(input),
            "forget": torch.sigmoid(forget),
            "candidate": torch.tanh(candidate),
            "output": torch.sigmoid(output),
        }

    def step(self, x: Input, state: State) -> State:
        h, c, n = state
        input, forget, candidate, output = self.compute_gates(x, h).values()
        c = forget * c + input * candidate
        n = forget * n + input
        return output * c / n, c, n
