"""h-detach: block the gradient that flows back through h at random, so that the cell state carries it."""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from experiments.remedies.remedy import Remedy
from models.cell import Cell, Input, State
from models.network import RecurrentNetwork

Probability = Annotated[float, Field(ge=0, le=1)]


class HDetach(Remedy):
    """Block the gradient that reaches h_{t-1} from timestep t, with some probability at each timestep (Arpit 2018).

    The forward pass is the same. The gradient still flows through the other states, such as c of an LSTM, and from the
    loss to h. A timestep is blocked for all sequences of the batch at once, as in the authors' code
    (bhargav104/h-detach, commit a39dd13). Evaluations draw no random numbers. gradients.csv shows the gradient with the
    blocks, also in a probe. Jacobians and Lyapunov exponents are those of the cell without them.

    The cell is unrolled timestep by timestep in autograd's graph, which is slower than torch's kernel.

    Args:
        probability: Probability that a timestep is blocked.
    """

    def __init__(self, probability: Probability) -> None:
        self.probability = probability

    def attach(self, network: RecurrentNetwork) -> None:
        for cell in network.cells:
            kind = type(cell)
            if len(cell.state_names) == 1:
                raise ValueError(
                    f"needs a cell with a state besides h that carries the gradient, and {kind.__name__} has none; "
                    "try cell=lstm, whose c does"
                )
            # As torch's parametrizations do: the class of this one cell changes, its parameters and their names do not.
            cell.__class__ = type(kind.__name__, (_Detaching, kind), {"probability": self.probability})


class _Detaching(Cell):
    """A cell whose step blocks the gradient of h at random. Its sequences are unrolled by this step."""

    probability: float

    def step(self, x: Input, state: State) -> State:
        h, *others = state
        if torch.is_grad_enabled() and torch.rand(()) < self.probability:
            h = _Blocked.apply(h)  # type: ignore[no-untyped-call]
        return super().step(x, (h, *others))

    forward = Cell.forward
    unroll = Cell.unroll


class _Blocked(torch.autograd.Function):
    """The identity, with a gradient of 0. A detached tensor would leave the graph, and its gradient be unknown."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)
