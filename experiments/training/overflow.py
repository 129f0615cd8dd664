"""Overflow of gradients: find where a gradient left the range of its dtype, and tell it from other causes of nan."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.tasks.task import Batch, Task
from experiments.training.backpropagation import backpropagate
from models.network import RecurrentNetwork
from models.trace import cut


class Overflow(NamedTuple):
    """The place where the gradient, on its way back from timestep T, left the range of the dtype.

    Attributes:
        timestep: Last timestep with a gradient dL/ds beyond the range; None if only a parameter's gradient is.
        layer: Layer of that state, from 0; None as above.
        state: Name of that state; None as above.
    """

    timestep: int | None
    layer: int | None
    state: str | None


def find_overflow(network: RecurrentNetwork, task: Task, batch: Batch) -> Overflow | None:
    """Find where a gradient overflowed; None if it is finite, or not finite for another reason.

    Backpropagation is linear in the loss. If the loss is multiplied by a tiny factor, a gradient that overflowed is
    finite, or overflows at an earlier timestep. A nan from the cell, the read-out or the task stays where it is.

    The function overwrites the gradients of the network's parameters. Backpropagate again to get those of the loss.

    Args:
        network: Network with finite parameters.
        task: Task that computes the loss, which must be finite.
        batch: Batch on which the loss is computed.
    """
    dtype = next(network.parameters()).dtype
    first = _first_nonfinite(network, task, batch, 1.0)
    if first is None:
        return None
    scaled_down = _first_nonfinite(network, task, batch, torch.finfo(dtype).tiny ** 0.75)
    moved = scaled_down is None or (scaled_down.timestep or 0) < (first.timestep or 0)
    return first if moved else None


def _first_nonfinite(network: RecurrentNetwork, task: Task, batch: Batch, scale: float) -> Overflow | None:
    """The place of the first gradient, from timestep T backwards, that is not finite; None if all are finite."""
    length = len(batch.inputs)
    trace = backpropagate(network, task, batch, windows=cut(length, length), scale=scale).trace
    assert trace is not None
    places = [
        (int(lost.nonzero().max()) + 1, layer, state)
        for layer, one in enumerate(trace.layers)
        for state, gradients in one.gradients.items()
        if (lost := ~gradients.isfinite().flatten(1).all(dim=1)).any()
    ]
    if places:
        return Overflow(*max(places, key=lambda place: place[:2]))
    return None if all(gradient.isfinite().all() for gradient in gradients_of(network)) else Overflow(None, None, None)


def infinite_where_unknown(network: RecurrentNetwork) -> None:
    """Replace nan by inf in the gradients of the parameters, where inf * 0 and inf - inf produced it."""
    for gradient in gradients_of(network):
        gradient.nan_to_num_(nan=math.inf, posinf=math.inf, neginf=-math.inf)


def gradients_of(network: RecurrentNetwork) -> list[Tensor]:
    """The gradients of the parameters that have one."""
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
