"""A layer unrolled over a sequence, and backpropagation through it: what all cells have in common.

A cell that writes out its equations (rnn.py, lstm.py, gru.py) has a subclass of `Unrolled`. For any other cell,
`models.differentiation.Differentiated` leaves the derivatives to autograd.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.contributions import Contribution

Trajectory = Tensor
"""A state, or its gradient, at every timestep: (time, batch, size).

The gradients of several losses at once have one more axis: (time, losses, batch, size)."""


@dataclass(frozen=True)
class Gradient:
    """The gradient of a loss with respect to everything in one layer.

    Attributes:
        states: dL/ds_t of every state by name, for t = 1, ..., T: the total derivative, over all paths.
        contributions: The part of each timestep in the gradient of each parameter, by the parameter's name.
        input: Function that computes dL/dx_t, (time, batch, input). It is the direct part of dL/dh_t in the layer
            below.
    """

    states: dict[str, Trajectory]
    contributions: Mapping[str, Contribution]
    input: Callable[[], Trajectory]


class Unrolled(ABC):
    """A layer unrolled over a sequence, with all that backpropagation needs.

    Attributes:
        states: Every state by name: before timestep 1, and after each timestep, (time + 1, batch, size).
        gates: Every gate by name at each timestep, (time, batch, hidden).
        gradient: The gradient that training computed with `Recurrence`; None if it used another way.
        further: The direct part of dL/ds_t of states other than h, by name, (time, batch, size): what reaches s_t
            neither through h_t nor through the next timestep. Empty for the layers of a network, which read out h only.
            Several losses at once do not have it.
    """

    states: dict[str, Trajectory]
    gates: dict[str, Trajectory]
    gradient: Gradient | None = None
    further: Mapping[str, Trajectory] = MappingProxyType({})

    @abstractmethod
    def backward(self, direct: Trajectory) -> Gradient:
        """Backpropagate a loss from timestep T to 1.

        Args:
            direct: The direct part of dL/dh_t: what reaches h_t through the read-out or the layer above at timestep t
                itself, (time, batch, hidden). With one more axis, (time, losses, batch, hidden), the function
                backpropagates several losses at once.
        """

    @abstractmethod
    def along_gates(self, direct: Trajectory) -> dict[str, Trajectory]:
        """The part of dL/ds_t that flows back along s alone, through the gate that keeps it.

        For the LSTM, that is dL/dc_t without everything that passes through an earlier h.

        Args:
            direct: As in `backward`, for one loss.

        Returns:
            That part for each state that is kept by a gate, by the state's name.
        """

    @abstractmethod
    def jacobians(self, first: int, last: int) -> Float[Tensor, "time batch state state"]:
        """The Jacobians ds_t/ds_{t-1} of timesteps `first` to `last`, counted from 1; s holds all states in order."""


class Recurrence(torch.autograd.Function):
    """A layer with written equations as one node of autograd's graph."""

    @staticmethod
    def forward(ctx: Any, unrolled: Unrolled, x: Tensor, *parameters: Tensor) -> Tensor:
        """Return h of every timestep. `parameters` are those of the cell, in the order of the contributions."""
        ctx.unrolled = unrolled
        return unrolled.states["h"][1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, direct: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input and the parameters, and keep that of the states in `unrolled`."""
        unrolled: Unrolled = ctx.unrolled
        unrolled.gradient = gradient = unrolled.backward(direct)
        x = gradient.input() if ctx.needs_input_grad[1] else None
        return None, x, *(contribution.total() for contribution in gradient.contributions.values())


def unrolled_by(hidden: Tensor) -> Unrolled | None:
    """The unrolled layer behind `hidden` if `Recurrence` computed it; otherwise None."""
    return getattr(hidden.grad_fn, "unrolled", None)


def one_loss_each(factors: Tensor, gradient: Trajectory) -> Tensor:
    """Factors of (time, batch, size), with an axis for the losses if the gradient has one."""
    return factors if gradient.dim() == factors.dim() else factors[:, None]


def accumulate(kept: Trajectory, direct: Trajectory) -> Trajectory:
    """Backpropagate along a state that is only scaled: d_{t-1} = kept_t d_t + direct_{t-1}.

    Args:
        kept: Factor by which each entry of the state is kept in each timestep, (time, batch, size).
        direct: What is added at each timestep.
    """
    along = direct.clone()
    steps, factors = along.unbind(), kept.unbind()
    for t in range(len(steps) - 1, 0, -1):
        steps[t - 1].addcmul_(steps[t], factors[t])
    return along


def scale_rows(weights: Sequence[Tensor], factors: Tensor, out: Tensor) -> Tensor:
    """Add sum_g diag(factors^g) W^g to `out`, for every timestep and sample.

    Args:
        weights: Recurrent matrix of each gate, (hidden, hidden).
        factors: Factors of the rows of each gate, (time, batch, gates, hidden).
        out: Matrices to add to, (time, batch, hidden, hidden).
    """
    for gate, weight in enumerate(weights):
        out.addcmul_(factors[:, :, gate, :, None], weight)
    return out
