"""A base class for cells with the parameters of torch's recurrent layers and written-out equations."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import linear

from models.cell import Gate, HiddenSequence, Inputs, InputSequence, State
from models.contributions import Bounds, OuterProducts
from models.gated import GatedCell
from models.recursion import Recurrence, Unrolled

Kernel = Callable[..., tuple[Tensor, ...]]
"""One of torch.rnn_tanh, torch.rnn_relu, torch.lstm and torch.gru, which `nn.RNN`, `nn.LSTM` and `nn.GRU` call."""


class TorchCell(GatedCell):
    """A cell with the parameters of a one-layer `nn.RNN`, `nn.LSTM` or `nn.GRU`, in torch's order and initialisation.

    torch has two biases, bias_ih and bias_hh (gates*hidden).

    A layer computes its sequences with its own equations or with torch's kernel, by a fixed rule: on the CPU with its
    own if they are the faster way (`make bench` measures it), elsewhere with the kernel.
    """

    biases = ("bias_ih", "bias_hh")
    bias_ih: Tensor
    bias_hh: Tensor

    own_is_faster: ClassVar[bool]
    """Whether the cell's own equations are faster than torch's kernel on the CPU."""

    @property
    @abstractmethod
    def kernel(self) -> Kernel | None:
        """torch's kernel for this cell; None if there is none."""

    @abstractmethod
    def solve(self, x: InputSequence, state: State, hidden: HiddenSequence | None) -> Unrolled:
        """Unroll the layer with the cell's own equations; see `Cell.unroll`."""

    def forward(self, x: InputSequence, state: State) -> tuple[HiddenSequence, State]:
        constant = not any(tensor.requires_grad for tensor in state)
        if self.has_equations and constant and self.own_is_faster and x.device.type == "cpu":
            unrolled = self.solve(x, state, None)
            hidden: Tensor = Recurrence.apply(unrolled, x, *self.parameters())  # type: ignore[no-untyped-call]
            return hidden, (hidden[-1], *[states[-1] for states in unrolled.states.values()][1:])
        if self.kernel is None or not self._has_its_step:
            return super().forward(x, state)
        return self.run_kernel(x, state)

    def unroll(self, x: InputSequence, state: State, windows: Bounds, hidden: HiddenSequence | None = None) -> Unrolled:
        if not self.has_equations:
            return super().unroll(x, state, windows, hidden)
        return self.solve(x, state, hidden)

    def preactivations(self, x: Inputs, h: Gate) -> tuple[Gate, ...]:
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        return a.chunk(len(self.gates), dim=-1)

    def run_kernel(self, x: InputSequence, state: State) -> tuple[HiddenSequence, State]:
        """Call torch's kernel as a single layer, time first."""
        assert self.kernel is not None
        before = [tensor[None] for tensor in state]
        hx = before[0] if len(before) == 1 else before
        output, *after = self.kernel(x, hx, self._weights, True, 1, 0.0, self.training, False, False)
        return output, tuple(tensor[0] for tensor in after)

    def outer_products(
        self, rows: Tensor, x: Tensor, h_before: Tensor, rows_of_input: Tensor | None = None
    ) -> dict[str, OuterProducts]:
        """The gradients of the parameters, from those of W_ih x_t + b_ih and W_hh h_{t-1} + b_hh.

        Args:
            rows: Gradient of W_hh h_{t-1} + b_hh, (time, batch, gates*hidden).
            x: Input of the layer.
            h_before: h_{t-1} at each timestep.
            rows_of_input: Gradient of W_ih x_t + b_ih if it is not the same.
        """
        bias_hh = OuterProducts(rows)
        bias_ih = bias_hh if rows_of_input is None else OuterProducts(rows_of_input)
        products = {
            "weight_ih": OuterProducts(rows if rows_of_input is None else rows_of_input, x),
            "weight_hh": OuterProducts(rows, h_before),
            "bias_ih": bias_ih,
            "bias_hh": bias_hh,
        }
        return {name: products[name] for name, _ in self.named_parameters()}

    @property
    def _weights(self) -> tuple[Tensor, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    @property
    def _has_its_step(self) -> bool:
        """Whether torch's kernel computes the cell: no subclass has changed its `step` or its gates."""
        owner = next(one for one in type(self).__mro__ if issubclass(one, TorchCell) and "solve" in vars(one))
        return type(self).step is owner.step and type(self).compute_gates is owner.compute_gates

    @property
    def has_equations(self) -> bool:
        """Whether the equations of `solve` are those of the cell, and its parameters are all that there are."""
        return self._has_its_step and dict(self.named_parameters()).keys() <= _PARAMETERS


_PARAMETERS = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
