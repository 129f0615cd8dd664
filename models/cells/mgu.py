"""The minimal gated unit, a GRU with one gate."""

from typing import ClassVar

import torch
from torch.nn.functional import linear

from models.cell import Gate, Input, Inputs, State
from models.gated import GatedCell


class MGU(GatedCell):
    """Minimal gated unit (Zhou et al. 2016).

        f_t  = sigmoid(W_f x_t + U_f h_{t-1} + b_f)
        h~_t = tanh(W_h x_t + U_h (f_t h_{t-1}) + b_h)
        h_t  = (1 - f_t) h_{t-1} + f_t h~_t

    In spite of its name, the forget gate f renews the state: 1 - f keeps it.
    """

    kept_by: ClassVar = {"h": "1 - forget"}
    bounded = ("h",)
    gates = ("forget", "candidate")

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        forget_x, candidate_x = linear(x, self.weight_ih, self.bias).chunk(2, dim=-1)
        forget_weight, candidate_weight = self.weight_hh.chunk(2)
        forget = torch.sigmoid(forget_x + linear(h, forget_weight))
        return {"forget": forget, "candidate": torch.tanh(candidate_x + linear(forget * h, candidate_weight))}

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        forget, candidate = self.compute_gates(x, h).values()
        return ((1 - forget) * h + forget * candidate,)
