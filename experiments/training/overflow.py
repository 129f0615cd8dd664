"""Gradients beyond the range of their dtype: how they differ from other nan gradients, and where they left it."""

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
    """Where backpropagation, on its way back from timestep T, left the range of the dtype.

    Attributes:
        timestep: The last timestep with a gradient dL/ds beyond the range; None where only a parameter's is.
        layer: The layer of that state, from 0; None as above.
        state: The name of that state; None as above.
    """

    timestep: int | None
    layer: int | None
    state: str | None


def find_overflow(network: RecurrentNetwork, task: Task, batch: Batch) -> Overflow | None:
    """Where a gradient that is not finite left the range; None where it is not finite for another reason.

    Backpropagation is linear in the loss. Of the loss times a tiny factor, a gradient beyond the range is back within
    it, or leaves it at an earlier timestep. A nan that a cell, the read-out or the task makes is where it was.

    Replaces the gradients of the network's parameters by others: backpropagate again for those of the loss.

    Args:
        network: With finite parameters.
        task: Gives the loss, which is finite.
        batch: What the loss is of.
    """
    dtype = next(network.parameters()).dtype
    lost = _first_lost(network, task, batch, 1.0)
    if lost is None:
        return None
    lost_of_tiny = _first_lost(network, task, batch, torch.finfo(dtype).tiny ** 0.75)
    moved = lost_of_tiny is None or (lost_of_tiny.timestep or 0) < (lost.timestep or 0)
    return lost if moved else None


def _first_lost(network: RecurrentNetwork, task: Task, batch: Batch, scale: float) -> Overflow | None:
    """The place of the first gradient, from timestep T back, that is not finite; None where all are."""
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
    """Make inf of what inf * 0 and inf - inf made nan: in the parameters' gradients, and in those of the windows.

    Args:
        parameters: Whose gradients are changed in place.
        trace: The windows of the same backpropagation.

    Returns:
        The windows, whose gradients have inf in place of nan.
    """
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.nan_to_num_(nan=math.inf, posinf=math.inf, neginf=-math.inf)
    return [replace(window, overflowed=True) for window in trace]
