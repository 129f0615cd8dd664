"""The vanilla recurrent network, forward and backward."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from models.cell import HiddenSequence, Input, InputSequence, State
from models.fused import Kernel, TorchCell
from models.recursion import Gradient, Trajectory, Unrolled

_KERNELS = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "logistic": torch.sigmoid,
    "identity": lambda a: a,
}
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh_,
    "relu": torch.relu_,
    "logistic": torch.sigmoid_,
    "identity": lambda a: a,
}
_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (~(h <= 0)).to(h.dtype),  # 1 for nan, as in autograd
    "logistic": lambda h: h * (1 - h),
    "identity": torch.ones_like,
}
"""phi'(a) as a function of h = phi(a)."""


class RNN(TorchCell):
    """Vanilla recurrent network (Elman 1990).

        h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

    Args:
        nonlinearity: The function phi: tanh, relu, logistic or identity.
        bias: Whether there are biases. Without them, bias_ih and bias_hh are zero and not learned.
    """

    own_is_faster = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: Literal["tanh", "relu", "logistic", "identity"] = "tanh",
        bias: bool = True,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.nonlinearity = nonlinearity
        self.bounded = ("h",) if nonlinearity == "tanh" else ()
        if not bias:
            for name in self.biases:
                delattr(self, name)
                self.register_buffer(name, torch.zeros(hidden_size), persistent=False)

    @property
    def kernel(self) -> Kernel | None:
        return _KERNELS.get(self.nonlinearity)

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        return (_FUNCTIONS[self.nonlinearity](a),)

    def slopes(self, h: HiddenSequence) -> HiddenSequence:
        """phi'(a_t) as a function of h_t = phi(a_t)."""
        return _SLOPES[self.nonlinearity](h)

    def solve(self, x: InputSequence, state: State, hidden: HiddenSequence | None) -> Unrolled:
        return UnrolledRNN(self, x, state, hidden)


class UnrolledRNN(Unrolled):
    """The equations of the vanilla recurrent network, forward and backward (Werbos 1990).

        a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        h_t = phi(a_t)

    With dh_t = dL/dh_t and da_t = dL/da_t:

        da_t     = phi'(a_t) dh_t
        dh_{t-1} = W_hh^T da_t + direct_{t-1}
        dx_t     = W_ih^T da_t
        dW_hh    = sum_t da_t h_{t-1}^T,   dW_ih = sum_t da_t x_t^T,   db_hh = db_ih = sum_t da_t

        dh_t/dh_{t-1} = diag(phi'(a_t)) W_hh

    All of them have the shape (time, batch, hidden).
    """

    @torch.no_grad()
    def __init__(self, cell: RNN, x: InputSequence, state: State, hidden: HiddenSequence | None) -> None:
        self._cell, self._x = cell, x
        h = x.new_empty(len(x) + 1, x.shape[1], cell.hidden_size)
        h[0] = state[0]
        if hidden is None:
            phi, weight = _IN_PLACE[cell.nonlinearity], cell.weight_hh.t()
            steps = h.unbind()
            for t, u in enumerate(linear(x, cell.weight_ih, cell.bias_ih + cell.bias_hh).unbind()):
                phi(torch.addmm(u, steps[t], weight, out=steps[t + 1]))
        else:
            h[1:] = hidden
        self.states, self.gates = {"h": h}, {}

    @torch.no_grad()
    def backward(self, direct: Trajectory) -> Gradient:
        weight, slopes = self._cell.weight_hh, self._slopes().unbind()
        dh, da = direct.contiguous().clone(), direct.new_empty(direct.shape)
        dh_t, da_t = dh.unbind(), da.unbind()
        dh_rows, da_rows = dh.flatten(1, -2).unbind(), da.flatten(1, -2).unbind()  # for several losses at once
        for t in range(len(dh) - 1, -1, -1):
            torch.mul(dh_t[t], slopes[t], out=da_t[t])
            if t:
                dh_rows[t - 1].addmm_(da_rows[t], weight)
        contributions = self._cell.outer_products(da, self._x, self.states["h"][:-1])
        return Gradient({"h": dh}, contributions, lambda: da @ self._cell.weight_ih)

    def along_gates(self, direct: Trajectory) -> dict[str, Trajectory]:
        return {}

    @torch.no_grad()
    def jacobians(self, first: int, last: int) -> Float[Tensor, "time batch state state"]:
        return self._slopes()[first - 1 : last, :, :, None] * self._cell.weight_hh

    def _slopes(self) -> Float[Tensor, "time batch hidden"]:
        """phi'(a_t) of every timestep."""
        return self._cell.slopes(self.states["h"][1:])
