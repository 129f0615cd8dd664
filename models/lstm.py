"""Long short-term memory, forward and backward."""

from collections.abc import Iterable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from models.cell import Gate, HiddenSequence, Input, Inputs, InputSequence, State
from models.fused import Kernel, TorchCell
from models.recursion import Gradient, Trajectory, Unrolled, accumulate, scale_rows


class LSTM(TorchCell):
    """Long short-term memory with a forget gate (Hochreiter, Schmidhuber 1997; Gers, Schmidhuber, Cummins 2000).

        i_t, f_t, o_t = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), each with its own rows
        g_t           = tanh(the same with the candidate's rows)
        c_t           = f_t c_{t-1} + i_t g_t
        h_t           = o_t tanh(c_t)

    Args:
        forget_bias: Initial bias of the forget gate: the sum of the gate's two biases. The usual value 1 (Gers et al.;
            Jozefowicz et al. 2015) keeps sigmoid(1) = 73 % of the cell state per timestep. None keeps torch's own
            initialisation, which is about 0 and keeps half.
    """

    state_names = ("h", "c")
    kept_by: ClassVar = {"c": "forget"}
    bounded = ("h",)
    gates = ("input", "forget", "candidate", "output")
    own_is_faster = False

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        if forget_bias is not None:
            self.set_gate_bias("forget", forget_bias)

    @property
    def kernel(self) -> Kernel | None:
        return torch.lstm

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        return gates_of(self.preactivations(x, h))

    def step(self, x: Input, state: State) -> State:
        h, c = state
        input, forget, candidate, output = self.compute_gates(x, h).values()
        c = forget * c + input * candidate
        return output * torch.tanh(c), c

    def solve(self, x: InputSequence, state: State, hidden: HiddenSequence | None) -> Unrolled:
        return UnrolledLSTM(self, x, state, hidden)


def gates_of(preactivations: Iterable[Gate]) -> dict[str, Gate]:
    """The gates of an LSTM by name, from a_t of each gate in the order of `LSTM.gates`."""
    input, forget, candidate, output = preactivations
    return {
        "input": torch.sigmoid(input),
        "forget": torch.sigmoid(forget),
        "candidate": torch.tanh(candidate),
        "output": torch.sigmoid(output),
    }


class UnrolledLSTM(Unrolled):
    """The equations of long short-term memory, forward and backward.

        a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh, with the rows of i, f, g and o
        i_t = sigmoid(a^i_t),   f_t = sigmoid(a^f_t),   g_t = tanh(a^g_t),   o_t = sigmoid(a^o_t)
        c_t = f_t c_{t-1} + i_t g_t
        h_t = o_t tanh(c_t)

    With dh_t = dL/dh_t, dc_t = dL/dc_t and da_t = dL/da_t:

        dc_t   = f_{t+1} dc_{t+1} + o_t (1 - tanh(c_t)^2) dh_t
        da^i_t = g_t i_t (1 - i_t) dc_t,   da^f_t = c_{t-1} f_t (1 - f_t) dc_t,   da^g_t = i_t (1 - g_t^2) dc_t
        da^o_t = tanh(c_t) o_t (1 - o_t) dh_t = h_t (1 - o_t) dh_t
        dh_{t-1} = W_hh^T da_t + direct_{t-1}
        dx_t     = W_ih^T da_t
        dW_hh    = sum_t da_t h_{t-1}^T,   dW_ih = sum_t da_t x_t^T,   db_hh = db_ih = sum_t da_t

        dc_t/dc_{t-1} = diag(f_t),   dc_t/dh_{t-1} = diag(da_t/dc_t) W_hh, summed over the rows of i, f and g
        dh_t/ds_{t-1} = diag(o_t (1 - tanh(c_t)^2)) dc_t/ds_{t-1}, and for h also diag(da^o_t/dh_t) W_hh's rows of o

    a and da have the shape (time, batch, 4, hidden), everything else (time, batch, hidden).

    torch's kernel returns h of every timestep, but of c only the last. The gates follow from h in one product each,
    and c from the gates.
    """

    @torch.no_grad()
    def __init__(self, cell: LSTM, x: InputSequence, state: State, hidden: HiddenSequence | None) -> None:
        self._cell, self._x = cell, x
        time, batch, size = len(x), x.shape[1], cell.hidden_size
        if hidden is None:
            hidden, _ = cell.run_kernel(x, state)
        h, c = (x.new_empty(time + 1, batch, size) for _ in range(2))
        h[0], c[0] = state
        h[1:] = hidden
        i, f, g, o = (self._before_gate(rows, h[:-1]) for rows in map(cell.rows, cell.gates))
        i, f, g, o = i.sigmoid_(), f.sigmoid_(), g.tanh_(), o.sigmoid_()
        c_t, added, kept = c.unbind(), (i * g).unbind(), f.unbind()
        for t in range(time):
            torch.addcmul(added[t], kept[t], c_t[t], out=c_t[t + 1])
        self.states = {"h": h, "c": c}
        self.gates = {"input": i, "forget": f, "candidate": g, "output": o}
        self._h_by_c = torch.addcmul(o, h[1:], c[1:].tanh(), value=-1)  # dh_t/dc_t = o_t (1 - tanh(c_t)^2)

    def _before_gate(self, rows: slice, h_before: Tensor) -> Float[Tensor, "time batch hidden"]:
        """a_t of one gate at every timestep. The functions of gates are faster on a tensor for each than on slices."""
        cell = self._cell
        a = linear(self._x, cell.weight_ih[rows], (cell.bias_ih + cell.bias_hh)[rows])
        a.view(-1, cell.hidden_size).addmm_(h_before.view(-1, cell.hidden_size), cell.weight_hh[rows].t())
        return a

    def _slopes(self, timesteps: slice = slice(None)) -> Tensor:
        """da_t/dc_t for i, f and g, and da_t/dh_t for o, entry by entry: (time, batch, 4, hidden)."""
        i, f, g, o = (gate[timesteps] for gate in self.gates.values())
        h, c_before = self.states["h"][1:][timesteps], self.states["c"][:-1][timesteps]
        ig, fc = i * g, f * c_before
        slopes = h.new_empty(*h.shape[:2], 4, h.shape[2])
        for gate, (a, b, d) in enumerate([(ig, ig, i), (fc, fc, f), (i, ig, g), (h, h, o)]):
            torch.addcmul(a, b, d, value=-1, out=slopes[:, :, gate])
        return slopes

    @torch.no_grad()
    def backward(self, direct: Trajectory) -> Gradient:
        cell, f = self._cell, self.gates["forget"].unbind()
        slopes, h_by_c = self._slopes(), self._h_by_c.unbind()
        ifg, o = slopes[:, :, :3].unbind(), slopes[:, :, 3].unbind()
        dh, dc = direct.contiguous().clone(), direct.new_empty(direct.shape)
        # With one loss, each slope is read once, before the gradient takes its place.
        da = slopes if direct.dim() == 3 else direct.new_empty(*direct.shape[:-1], 4, cell.hidden_size)
        dh_t, dc_t, dc_gates = dh.unbind(), dc.unbind(), dc.unsqueeze(-2).unbind()
        da_ifg, da_o = da[..., :3, :].unbind(), da[..., 3, :].unbind()
        dh_rows, da_rows = dh.flatten(1, -2).unbind(), da.flatten(-2).flatten(1, -2).unbind()
        later, further = torch.zeros_like(dc_t[0]), self.further.get("c") if direct.dim() == 3 else None
        for t in range(len(dh) - 1, -1, -1):
            if further is not None:
                later.add_(further[t])
            torch.addcmul(later, dh_t[t], h_by_c[t], out=dc_t[t])
            torch.mul(dc_gates[t], ifg[t], out=da_ifg[t])
            torch.mul(dh_t[t], o[t], out=da_o[t])
            if t:
                dh_rows[t - 1].addmm_(da_rows[t], cell.weight_hh)
                torch.mul(dc_t[t], f[t], out=later)
        da = da.flatten(-2)
        contributions = cell.outer_products(da, self._x, self.states["h"][:-1])
        return Gradient({"h": dh, "c": dc}, contributions, lambda: da @ cell.weight_ih)

    @torch.no_grad()
    def along_gates(self, direct: Trajectory) -> dict[str, Trajectory]:
        reaching = direct * self._h_by_c
        if "c" in self.further:
            reaching += self.further["c"]
        return {"c": accumulate(self.gates["forget"], reaching)}

    @torch.no_grad()
    def jacobians(self, first: int, last: int) -> Float[Tensor, "time batch state state"]:
        timesteps = slice(first - 1, last)
        slopes, h_by_c = self._slopes(timesteps), self._h_by_c[timesteps]
        size = h_by_c.shape[-1]
        jacobian = h_by_c.new_zeros(*h_by_c.shape[:2], 2 * size, 2 * size)
        h_by_s, c_by_s = jacobian[..., :size, :], jacobian[..., size:, :]
        weights = torch.split(self._cell.weight_hh, size)
        scale_rows(weights[:3], slopes[:, :, :3], out=c_by_s[..., :size])
        c_by_s[..., size:].diagonal(dim1=-2, dim2=-1).copy_(self.gates["forget"][timesteps])
        torch.mul(h_by_c[..., None], c_by_s, out=h_by_s)
        h_by_s[..., :size].addcmul_(slopes[:, :, 3, :, None], weights[3])
        return jacobian
