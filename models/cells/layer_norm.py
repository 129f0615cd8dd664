"""LSTM and GRU with layer normalisation within the timestep."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from models.cell import Gate, Input, Inputs, State
from models.gated import GatedCell
from models.lstm import gates_of

EPSILON = 1e-5
"""What is added to the variance, as in the authors' code."""


class LayerNormLSTM(GatedCell):
    """Long short-term memory with layer normalisation (Ba, Kiros, Hinton 2016).

        i_t, f_t, o_t = sigmoid(LN_h(W_hh h_{t-1}) + LN_x(W_ih x_t) + b), each with its own rows
        g_t           = tanh(the same with the candidate's rows)
        c_t           = f_t c_{t-1} + i_t g_t
        h_t           = o_t tanh(LN_c(c_t))

        LN(a) = gain (a - mean(a)) / sqrt(var(a) + 1e-5) + shift

    The mean and variance of LN_h and LN_x are those of the rows of all gates together. At first, gains are 1 and shifts
    are 0. The size of W_hh, W_ih and x_t is lost: of a single input, only its sign acts on the cell.

    Args:
        forget_bias: Initial bias of the forget gate. None draws it like the other biases, around 0.
    """

    state_names = ("h", "c")
    kept_by: ClassVar = {"c": "forget"}
    bounded = ("h",)
    gates = ("input", "forget", "candidate", "output")
    biases = ("bias", "shift_h", "shift_x")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None) -> None:
        super().__init__(input_size, hidden_size)
        rows = len(self.bias)
        self.gain_h, self.gain_x, self.gain_c = _ones(rows), _ones(rows), _ones(hidden_size)
        self.shift_h, self.shift_x, self.shift_c = _zeros(rows), _zeros(rows), _zeros(hidden_size)
        if forget_bias is not None:
            self.set_gate_bias("forget", forget_bias)

    def preactivations(self, x: Inputs, h: Gate) -> tuple[Gate, ...]:
        by_h = normalize(linear(h, self.weight_hh), self.gain_h, self.shift_h)
        by_x = normalize(linear(x, self.weight_ih), self.gain_x, self.shift_x)
        return (by_h + by_x + self.bias).chunk(4, dim=-1)

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        return gates_of(self.preactivations(x, h))

    def step(self, x: Input, state: State) -> State:
        h, c = state
        input, forget, candidate, output = self.compute_gates(x, h).values()
        c = forget * c + input * candidate
        return output * torch.tanh(normalize(c, self.gain_c, self.shift_c)), c


class LayerNormGRU(GatedCell):
    """Gated recurrent unit with layer normalisation (Ba, Kiros, Hinton 2016).

        r_t, z_t = sigmoid(LN_h(W_hh h_{t-1}) + LN_x(W_ih x_t)), each with its own rows
        n_t      = tanh(LN'_x(W_ih x_t) + r_t LN'_h(W_hh h_{t-1})), the candidate's rows
        h_t      = (1 - z_t) n_t + z_t h_{t-1}

    LN is that of `LayerNormLSTM`. The rows of r and z share a mean and a variance; those of n have their own. There is
    no other bias than the shifts. As in the authors' code, z keeps the state; in their paper, 1 - z does.

    Args:
        forget_bias: Initial bias of the update gate z, which keeps the state. None keeps the paper's 0.
    """

    kept_by: ClassVar = {"h": "update"}
    bounded = ("h",)
    gates = ("reset", "update", "candidate")
    biases = ("shift_h", "shift_x")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None) -> None:
        super().__init__(input_size, hidden_size)
        rows = len(self.weight_hh)
        self.gain_h, self.gain_x = _ones(rows), _ones(rows)
        self.shift_h, self.shift_x = _zeros(rows), _zeros(rows)
        if forget_bias is not None:
            self.set_gate_bias("update", forget_bias)

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        gates_h, candidate_h = self._normalized(linear(h, self.weight_hh), self.gain_h, self.shift_h)
        gates_x, candidate_x = self._normalized(linear(x, self.weight_ih), self.gain_x, self.shift_x)
        reset, update = torch.sigmoid(gates_h + gates_x).chunk(2, dim=-1)
        return {"reset": reset, "update": update, "candidate": torch.tanh(candidate_x + reset * candidate_h)}

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        _, update, candidate = self.compute_gates(x, h).values()
        return ((1 - update) * candidate + update * h,)

    def _normalized(self, *rows: Tensor) -> list[Gate]:
        """The normalised rows of r and z, and those of n, from a (..., 3 hidden), its gain and its shift."""
        sizes = [2 * self.hidden_size, self.hidden_size]
        return [normalize(*parts) for parts in zip(*(torch.split(one, sizes, dim=-1) for one in rows), strict=True)]


def normalize(a: Gate, gain: Tensor, shift: Tensor) -> Gate:
    """LN(a) over the last axis, with the biased variance."""
    return layer_norm(a, a.shape[-1:], gain, shift, EPSILON)


def _ones(size: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(size))


def _zeros(size: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(size))
