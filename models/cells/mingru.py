"""minGRU and minLSTM, whose gates read only the input."""

from typing import ClassVar

import torch

from models.cell import Gate, Input, Inputs, State
from models.gated import GatedCell


class MinGRU(GatedCell):
    """minGRU (Feng et al. 2024), as a loop.

        z_t  = sigmoid(W_z x_t + b_z)
        h~_t = g(W_h x_t + b_h)
        h_t  = (1 - z_t) h_{t-1} + z_t h~_t

    g(a) is a + 1/2 for a >= 0 and sigmoid(a) below, so h is never negative: the variant that the paper trains in
    logarithms (appendix B).
    """

    kept_by: ClassVar = {"h": "1 - update"}
    gates = ("update", "candidate")
    reads_h = False

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        update, _ = self.preactivations(x, h)
        return {"update": torch.sigmoid(update)}

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        update, candidate = self.preactivations(x, h)
        update = torch.sigmoid(update)
        return ((1 - update) * h + update * positive(candidate),)


class MinLSTM(GatedCell):
    """minLSTM (Feng et al. 2024), as a loop.

        f_t, i_t = sigmoid(W x_t + b), each with its own rows
        f'_t     = f_t / (f_t + i_t),   i'_t = i_t / (f_t + i_t)
        h~_t     = g(W_h x_t + b_h)
        h_t      = f'_t h_{t-1} + i'_t h~_t

    g is that of minGRU. The gates that are recorded as forget and input are f' and i', whose sum is 1.
    """

    kept_by: ClassVar = {"h": "forget"}
    gates = ("forget", "input", "candidate")
    reads_h = False

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        forget, input = (torch.sigmoid(a) for a in self.preactivations(x, h)[:2])
        return {"forget": forget / (forget + input), "input": input / (forget + input)}

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        forget, input, candidate = self.preactivations(x, h)
        forget, input = torch.sigmoid(forget), torch.sigmoid(input)
        return ((forget * h + input * positive(candidate)) / (forget + input),)


def positive(a: Gate) -> Gate:
    """g(a) = a + 1/2 for a >= 0 and sigmoid(a) below, which is continuous."""
    return torch.where(a >= 0, a + 0.5, torch.sigmoid(a))
