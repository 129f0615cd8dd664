"""SCRN, a network with slow context units beside its fast ones."""

from typing import Annotated

import torch
from annotated_types import Gt, Lt
from torch.nn.functional import linear

from models.cell import Cell, Input, RecurrentBlock, State


class SCRN(Cell):
    """Structurally constrained recurrent network (Mikolov et al. 2014).

        s_t = (1 - alpha) B x_t + alpha s_{t-1}
        f_t = sigmoid(P s_t + A x_t + R f_{t-1})
        h_t = (f_t, s_t)

    The paper's output reads both the fast units f (there h) and the slow ones s, so the state h holds both, and s alone
    is the second state. The next timestep reads f_t and s_t themselves, not a function of the output. A is weight_ih,
    R weight_hh, P weight_sh and B weight_is. All are drawn from U(-k, k), k = 1/sqrt(hidden).

    Args:
        slow: Share of the units that are slow, above 0 and below 1.
        alpha: Share of s that is kept from one timestep to the next, above 0 and below 1.
    """

    state_names = ("h", "s")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        slow: Annotated[float, Gt(0), Lt(1)],
        alpha: Annotated[float, Gt(0), Lt(1)],
    ) -> None:
        super().__init__(input_size, hidden_size)
        if hidden_size < 2:
            raise ValueError(f"model.hidden_size={hidden_size}: must be at least 2, for a fast and a slow unit")
        self.alpha = alpha
        self.slow = min(max(1, round(slow * hidden_size)), hidden_size - 1)
        self.fast = hidden_size - self.slow
        bound = hidden_size**-0.5

        def draw(*shape: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.nn.init.uniform_(torch.empty(*shape), -bound, bound))

        self.weight_ih, self.weight_is = draw(self.fast, input_size), draw(self.slow, input_size)
        self.weight_hh, self.weight_sh = draw(self.fast, self.fast), draw(self.fast, self.slow)

    def initial_state(self, batch: int) -> State:
        (h, _) = super().initial_state(batch)
        return h, h.new_zeros(batch, self.slow)

    def recurrent_blocks(self) -> list[RecurrentBlock]:
        return [RecurrentBlock("weight_hh", self.weight_hh, slice(None))]

    def step(self, x: Input, state: State) -> State:
        h, s = state
        s = (1 - self.alpha) * linear(x, self.weight_is) + self.alpha * s
        a = linear(s, self.weight_sh) + linear(x, self.weight_ih) + linear(h[:, : self.fast], self.weight_hh)
        return torch.cat([torch.sigmoid(a), s], dim=-1), s
