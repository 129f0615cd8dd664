"""The gated recurrent unit, forward and backward."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from models.cell import Gate, HiddenSequence, Input, Inputs, InputSequence, State
from models.fused import Kernel, TorchCell
from models.recursion import Gradient, Trajectory, Unrolled, accumulate, one_loss_each, scale_rows


class GRU(TorchCell):
    """Gated recurrent unit (Cho et al. 2014), in the variant of cuDNN and torch.

        r_t, z_t = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), each with its own rows
        n_t      = tanh(W_ih x_t + b_ih + r_t (W_hh h_{t-1} + b_hh)), the candidate's rows
        h_t      = (1 - z_t) n_t + z_t h_{t-1}

    Args:
        forget_bias: Initial bias of the update gate z, which keeps the state: the sum of the gate's two biases. None
            keeps torch's own initialisation, which is about 0.
    """

    gates = ("reset", "update", "candidate")
    kept_by: ClassVar = {"h": "update"}
    bounded = ("h",)
    own_is_faster = True

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None = None) -> None:
        super().__init__(input_size, hidden_size)
        if forget_bias is not None:
            self.set_gate_bias("update", forget_bias)

    @property
    def kernel(self) -> Kernel | None:
        return torch.gru

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        reset_x, update_x, candidate_x = linear(x, self.weight_ih, self.bias_ih).chunk(3, dim=-1)
        reset_h, update_h, candidate_h = linear(h, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        reset = torch.sigmoid(reset_x + reset_h)
        return {
            "reset": reset,
            "update": torch.sigmoid(update_x + update_h),
            "candidate": torch.tanh(candidate_x + reset * candidate_h),
        }

    def step(self, x: Input, state: State) -> State:
        (h,) = state
        _, update, candidate = self.compute_gates(x, h).values()
        return ((1 - update) * candidate + update * h,)

    def solve(self, x: InputSequence, state: State, hidden: HiddenSequence | None) -> Unrolled:
        return UnrolledGRU(self, x, state, hidden)


class UnrolledGRU(Unrolled):
    """The equations of the gated recurrent unit, forward and backward.

        u_t = W_ih x_t + b_ih,   p_t = W_hh h_{t-1} + b_hh, each with the rows of r, z and n
        r_t = sigmoid(u^r_t + p^r_t),   z_t = sigmoid(u^z_t + p^z_t)
        n_t = tanh(u^n_t + r_t p^n_t)
        h_t = (1 - z_t) n_t + z_t h_{t-1}

    With dh_t = dL/dh_t, dp_t = dL/dp_t and du_t = dL/du_t:

        du^n_t = (1 - z_t) (1 - n_t^2) dh_t,   dp^n_t = r_t du^n_t
        dp^r_t = du^r_t = p^n_t r_t (1 - r_t) du^n_t
        dp^z_t = du^z_t = (h_{t-1} - n_t) z_t (1 - z_t) dh_t
        dh_{t-1} = z_t dh_t + W_hh^T dp_t + direct_{t-1}
        dx_t     = W_ih^T du_t
        dW_hh    = sum_t dp_t h_{t-1}^T,   dW_ih = sum_t du_t x_t^T,   db_hh = sum_t dp_t,   db_ih = sum_t du_t

        dh_t/dh_{t-1} = diag(z_t) + diag(dp_t/dh_t) W_hh, summed over the rows of r, z and n

    u, p and their gradients have the shape (time, batch, 3, hidden), everything else (time, batch, hidden).
    """

    @torch.no_grad()
    def __init__(self, cell: GRU, x: InputSequence, state: State, hidden: HiddenSequence | None) -> None:
        self._cell, self._x = cell, x
        time, batch, size = len(x), x.shape[1], cell.hidden_size
        u = linear(x, cell.weight_ih, cell.bias_ih)
        h = x.new_empty(time + 1, batch, size)
        h[0] = state[0]
        if hidden is None:
            p, rz, n = (x.new_empty(time, batch, gates * size) for gates in (3, 2, 1))
            u_rz, u_n = u[:, :, : 2 * size].unbind(), u[:, :, 2 * size :].unbind()
            p_t, p_rz, p_n = p.unbind(), p[:, :, : 2 * size].unbind(), p[:, :, 2 * size :].unbind()
            rz_t, r_t, z_t = rz.unbind(), rz[:, :, :size].unbind(), rz[:, :, size:].unbind()
            n_t, h_t = n.unbind(), h.unbind()
            weight, bias = cell.weight_hh.t(), cell.bias_hh
            for t in range(time):
                torch.addmm(bias, h_t[t], weight, out=p_t[t])
                torch.add(u_rz[t], p_rz[t], out=rz_t[t]).sigmoid_()
                torch.addcmul(u_n[t], r_t[t], p_n[t], out=n_t[t]).tanh_()
                torch.lerp(n_t[t], h_t[t], z_t[t], out=h_t[t + 1])
        else:
            h[1:] = hidden
            p = linear(h[:-1], cell.weight_hh, cell.bias_hh)
            rz = (u[:, :, : 2 * size] + p[:, :, : 2 * size]).sigmoid_()
            n = torch.addcmul(u[:, :, 2 * size :], rz[:, :, :size], p[:, :, 2 * size :]).tanh_()
        self._p_n = p[:, :, 2 * size :]
        self.states = {"h": h}
        self.gates = {"reset": rz[:, :, :size], "update": rz[:, :, size:], "candidate": n}

    def _slopes(self, timesteps: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """dp_t/dh_t, (time, batch, 3, hidden), and du^n_t/dh_t, (time, batch, hidden), entry by entry."""
        r, z, n = (gate[timesteps] for gate in self.gates.values())
        by_n = (1 - z).mul_(1 - n * n)
        by_p = n.new_empty(*n.shape[:2], 3, n.shape[2])
        torch.mul(by_n, r, out=by_p[:, :, 2])
        through_r = by_p[:, :, 2] * self._p_n[timesteps]
        torch.addcmul(through_r, through_r, r, value=-1, out=by_p[:, :, 0])
        through_z = self.states["h"][1:][timesteps] - n  # = z_t (h_{t-1} - n_t)
        torch.addcmul(through_z, through_z, z, value=-1, out=by_p[:, :, 1])
        return by_p, by_n

    @torch.no_grad()
    def backward(self, direct: Trajectory) -> Gradient:
        cell, z = self._cell, self.gates["update"].unbind()
        by_p, by_n = self._slopes()
        slopes = by_p.unbind()
        dh = direct.contiguous().clone()
        # With one loss, each slope is read once, before the gradient takes its place.
        dp = by_p if direct.dim() == 3 else direct.new_empty(*direct.shape[:-1], 3, cell.hidden_size)
        dh_t, dh_gates, dp_t = dh.unbind(), dh.unsqueeze(-2).unbind(), dp.unbind()
        dh_rows, dp_rows = dh.flatten(1, -2).unbind(), dp.flatten(-2).flatten(1, -2).unbind()
        for t in range(len(dh) - 1, -1, -1):
            torch.mul(dh_gates[t], slopes[t], out=dp_t[t])
            if t:
                dh_t[t - 1].addcmul_(dh_t[t], z[t])
                dh_rows[t - 1].addmm_(dp_rows[t], cell.weight_hh)

        du = dp.clone()
        torch.mul(dh, one_loss_each(by_n, dh), out=du[..., 2, :])
        dp, du = dp.flatten(-2), du.flatten(-2)
        contributions = cell.outer_products(dp, self._x, self.states["h"][:-1], rows_of_input=du)
        return Gradient({"h": dh}, contributions, lambda: du @ cell.weight_ih)

    @torch.no_grad()
    def along_gates(self, direct: Trajectory) -> dict[str, Trajectory]:
        return {"h": accumulate(self.gates["update"], direct)}

    @torch.no_grad()
    def jacobians(self, first: int, last: int) -> Float[Tensor, "time batch state state"]:
        by_p, _ = self._slopes(slice(first - 1, last))
        weights = torch.split(self._cell.weight_hh, by_p.shape[-1])
        jacobian = scale_rows(weights, by_p, out=by_p.new_zeros(*by_p.shape[:2], *weights[0].shape))
        jacobian.diagonal(dim1=-2, dim2=-1).add_(self.gates["update"][first - 1 : last])
        return jacobian
