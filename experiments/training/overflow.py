"""Overflow of gradients: find where a gradient left the range of its dtype, and tell it from other causes of nan."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from experiments.tasks.task import Batch, Task
from models.network import RecurrentNetwork, Window


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
    places: list[Overflow] = []

    def seen(timestep: int, layer: int, state: str, gradient: Tensor) -> None:
        if (not places or timestep > (places[0].timestep or 0)) and not gradient.isfinite().all():
            places[:] = [Overflow(timestep, layer, state)]

    network.zero_grad()
    loss = task.losses(network.watch(batch.inputs, seen), batch.targets).mean()
    torch.autograd.backward(loss * scale)
    if places:
        return places[0]
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return None if all(gradient.isfinite().all() for gradient in gradients) else Overflow(None, None, None)


def mark_overflow(parameters: Iterable[Parameter], trace: Iterable[Window]) -> list[Window]:
    """Replace nan by inf in the gradients of an overflow, where inf * 0 and inf - inf produced nan.

    Args:
        parameters: Parameters whose gradients are changed in place.
        trace: Windows of the same backpropagation.

    Returns:
        Copies of the windows that return inf in place of nan.
    """
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.nan_to_num_(nan=math.inf, posinf=math.inf, neginf=-math.inf)
    return [replace(window, overflowed=True) for window in trace]
