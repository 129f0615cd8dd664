"""The vanilla recurrent network."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import linear

from models.cell import HiddenSequence, Input, InputSequence, State
from models.fused import TorchCell

_KERNELS = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu, "identity": lambda a: a}


class RNN(TorchCell):
    """Vanilla recurrent network (Elman 1990).

        h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

    torch has no fused kernel for the identity, so the linear recurrence runs step by step.

    Args:
        nonlinearity: The function phi: tanh, relu or identity.
    """

    def __init__(
        self, input_size: int, hidden_size: int, nonlinearity: Literal["tanh", "relu", "identity"] = "tanh"
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.nonlinearity = nonlinearity

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        return (_FUNCTIONS[self.nonlinearity](a),)

    def forward(self, x: InputSequence, state: State) -> tuple[HiddenSequence, State]:
        if self.nonlinearity not in _KERNELS:
            return super().forward(x, state)
        (h,) = state
        output, h = self.run_kernel(_KERNELS[self.nonlinearity], x, h[None])
        return output, (h[0],)
