"""The Legendre memory unit, which remembers a window of one number by its Legendre polynomials."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.cell import AtLeastOne, Cell, Input, Positive, RecurrentBlock, State


class LMU(Cell):
    """Legendre memory unit (Voelker, Kajic, Eliasmith 2019).

        u_t = e_x x_t + e_h h_{t-1} + e_m m_{t-1}
        m_t = A m_{t-1} + B u_t
        h_t = tanh(W_x x_t + W_h h_{t-1} + W_m m_t)

    m holds the window of the last theta values of the number u, as coefficients of `order` Legendre polynomials. A and
    B are fixed: they solve theta dm/dt = A' m + B' u, with u constant over each timestep. The initialisation is that of
    the authors' code: e_x and e_h after LeCun, e_m zero, the W after Glorot.

    Args:
        order: Number of polynomials, which is the size of m; at least 1.
        theta: Length of the window in timesteps, above 0.
    """

    state_names = ("h", "m")
    bounded = ("h",)
    A: Tensor
    B: Tensor

    def __init__(self, input_size: int, hidden_size: int, order: AtLeastOne, theta: Positive) -> None:
        super().__init__(input_size, hidden_size)
        self.order = order
        memory = legendre_delay(order, theta)
        self.register_buffer("A", memory[:, :order], persistent=False)
        self.register_buffer("B", memory[:, order:], persistent=False)

        def encoder(size: int) -> nn.Parameter:
            bound = (3 / size) ** 0.5
            return nn.Parameter(nn.init.uniform_(torch.empty(1, size), -bound, bound))

        def kernel(size: int) -> nn.Parameter:
            return nn.Parameter(nn.init.xavier_normal_(torch.empty(hidden_size, size)))

        self.e_x, self.e_h, self.e_m = encoder(input_size), encoder(hidden_size), nn.Parameter(torch.zeros(1, order))
        self.weight_ih, self.weight_hh, self.weight_mh = kernel(input_size), kernel(hidden_size), kernel(order)

    def initial_state(self, batch: int) -> State:
        (h, _) = super().initial_state(batch)
        return h, h.new_zeros(batch, self.order)

    def recurrent_blocks(self) -> list[RecurrentBlock]:
        return [RecurrentBlock("weight_hh", self.weight_hh, slice(None))]

    def step(self, x: Input, state: State) -> State:
        h, m = state
        u = linear(x, self.e_x) + linear(h, self.e_h) + linear(m, self.e_m)
        m = linear(m, self.A) + linear(u, self.B)
        return torch.tanh(linear(x, self.weight_ih) + linear(h, self.weight_hh) + linear(m, self.weight_mh)), m


def legendre_delay(order: int, theta: float) -> Tensor:
    """A and B side by side, (order, order + 1), in float64: the paper's equations 1 and 2 with a zero-order hold."""
    i = torch.arange(order, dtype=torch.float64)[:, None]
    j = i.T
    odd = 2 * i + 1
    continuous = torch.zeros(order + 1, order + 1, dtype=torch.float64)
    continuous[:order, :order] = odd * torch.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    continuous[:order, order:] = odd * (-1.0) ** i
    memory: Tensor = torch.linalg.matrix_exp(continuous / theta)
    return memory[:order]
