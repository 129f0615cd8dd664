"""Long short-term memory as it was first published, without a forget gate."""

import torch

from models.cell import Gate, Input, Inputs, State
from models.gated import GatedCell


class LSTM1997(GatedCell):
    """Long short-term memory without a forget gate (Hochreiter, Schmidhuber 1997).

        i_t, o_t = sigmoid(W_ih x_t + W_hh h_{t-1} + b), each with its own rows
        g_t      = tanh(the same with the candidate's rows)
        c_t      = c_{t-1} + i_t g_t
        h_t      = o_t tanh(c_t)

    Along c alone, dc_t/dc_{t-1} = 1: the constant error carousel. In the paper, g ranges over (-2, 2).
    """

    state_names = ("h", "c")
    bounded = ("h",)
    gates = ("input", "candidate", "output")

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        input, candidate, output = self.preactivations(x, h)
        return {
            "input": torch.sigmoid(input),
            "candidate": torch.tanh(candidate),
            "output": torch.sigmoid(output),
        }

    def step(self, x: Input, state: State) -> State:
        h, c = state
        input, candidate, output = self.compute_gates(x, h).values()
        c = c + input * candidate
        return output * torch.tanh(c), c
