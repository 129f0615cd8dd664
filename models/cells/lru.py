"""The linear recurrent unit, a complex diagonal recurrence."""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from torch.nn.functional import linear

from models.cell import Cell, Input, Positive, State


class LRU(Cell):
    """Linear recurrent unit (Orvieto et al. 2023), without the feed-forward block around it.

        z_t = lambda z_{t-1} + gamma B x_t,   lambda = exp(-exp(nu) + i exp(theta))
        h_t = Re(C z_t) + D x_t

    z, the paper's x, is complex and has hidden_size entries. h is only read out and not fed back. |lambda| < 1 for any
    nu. At first, lambda is uniform on the ring between the radii r_min and r_max, within max_phase of the positive
    axis, and gamma = sqrt(1 - |lambda|^2). nu, theta and gamma are learned as logarithms; B, C and D are drawn from
    normal distributions after Glorot, as in minimal-LRU. D is a matrix, since input and output differ in size.

    Args:
        r_min: Smallest initial |lambda|, from 0 and below r_max.
        r_max: Largest initial |lambda|, at most 1.
        max_phase: Largest initial phase of lambda in radians, above 0.
    """

    state_names = ("h", "z")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        r_min: Annotated[float, Ge(0)],
        r_max: Annotated[float, Gt(0), Le(1)],
        max_phase: Positive,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if r_min >= r_max:
            raise ValueError(f"cell.r_min={r_min}: must be below cell.r_max={r_max}")
        area = torch.rand(hidden_size).clamp_(min=1e-6) * (r_max**2 - r_min**2) + r_min**2  # |lambda|^2
        self.nu_log = nn.Parameter(torch.log(-0.5 * torch.log(area)))
        self.theta_log = nn.Parameter(torch.log(max_phase * torch.rand(hidden_size).clamp_(min=1e-6)))
        self.gamma_log = nn.Parameter(0.5 * torch.log1p(-area))

        def normal(*shape: int, scale: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape) / math.sqrt(scale))

        self.B_re, self.B_im = (normal(hidden_size, input_size, scale=2 * input_size) for _ in range(2))
        self.C_re, self.C_im = (normal(hidden_size, hidden_size, scale=hidden_size) for _ in range(2))
        self.D = normal(hidden_size, input_size, scale=input_size)

    @property
    def eigenvalues(self) -> Tensor:
        """Lambda, (hidden)."""
        return torch.polar(torch.exp(-torch.exp(self.nu_log)), torch.exp(self.theta_log))

    def initial_state(self, batch: int) -> State:
        (h, zero) = super().initial_state(batch)
        return h, torch.complex(zero, zero)

    def step(self, x: Input, state: State) -> State:
        _, z = state
        driven = torch.complex(linear(x, self.B_re), linear(x, self.B_im))
        z = self.eigenvalues * z + torch.exp(self.gamma_log) * driven
        return linear(z.real, self.C_re) - linear(z.imag, self.C_im) + linear(x, self.D), z
