"""JANET, an LSTM with nothing but its forget gate."""

from typing import ClassVar

import torch

from models.cell import Gate, Input, Inputs, NotNegative, State
from models.gated import GatedCell


class JANET(GatedCell):
    """Just another network: an LSTM with only a forget gate (van der Westhuizen, Lasenby 2018).

        s_t  = W_f x_t + U_f h_{t-1} + b_f
        c~_t = tanh(W_c x_t + U_c h_{t-1} + b_c)
        h_t  = sigmoid(s_t) h_{t-1} + (1 - sigmoid(s_t - beta)) c~_t

    The paper calls the state c; h is the same. Its beta is 1 in all its experiments, so that the state may grow.

    Args:
        forget_bias: Initial bias of the forget gate. None draws it like the other bias, around 0. The paper prefers
            init=chrono.
        beta: By how much the input gate lags behind 1 - f; at least 0.
    """

    kept_by: ClassVar = {"h": "forget"}
    gates = ("forget", "candidate")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None, beta: NotNegative) -> None:
        super().__init__(input_size, hidden_size)
        self.beta = beta
        self.bounded = ("h",) if beta == 0 else ()
        if forget_bias is not None:
            self.set_gate_bias("forget", forget_bias)

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        s, candidate = self.preactivations(x, h)
        return {
            "forget": torch.sigmoid(s),
            "input": 1 - torch.sigmoid(s - self.beta),
            "candidate": torch.tanh(candidate),
        }

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        forget, input, candidate = self.compute_gates(x, h).values()
        return (forget * h + input * candidate,)
