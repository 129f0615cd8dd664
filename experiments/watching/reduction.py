"""Is a loss a mean or a sum over time? A batch that is cut to half its timesteps tells."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from experiments.watching.calls import FUSED, Call


class Undecided(Exception):
    """Nothing can be said; the message says why."""


CLOSE = 1e-6
"""Largest relative difference between the gradients of the two losses at the outputs, apart from a factor."""


def name_reduction(calls: Sequence[Call], timesteps: int, batch: Any, of_batch: Callable[[Any], list[Call]]) -> str:
    """Say whether the loss is a mean or a sum over time.

    An output at a timestep does not depend on later inputs. So if the batch ends at timestep k of T, the gradient that
    the loss sends to an output up to k is the same for a sum over time, and T / k times as large for a mean.

    Args:
        calls: Calls of the model's layers with the whole batch, with the gradients that reached their outputs.
        timesteps: Number of timesteps T.
        batch: The batch. Each of its tensors is cut along the one axis that has the size T.
        of_batch: Computes the loss of a batch and its gradient, and returns the calls.

    Returns:
        A sentence.

    Raises:
        Undecided: Neither of the two holds to `CLOSE`.
    """
    kept = timesteps // 2
    whole = _at_outputs(calls)
    if not kept or whole is None:
        raise Undecided("the loss reads no output of nn.RNN, nn.LSTM or nn.GRU at the earlier timesteps")
    try:
        short = _at_outputs(of_batch(_cut(batch, timesteps, kept)))
    except Exception:
        short = None
    if short is None:
        raise Undecided(f"the loss of the first {kept} timesteps of the batch cannot be computed")
    common = min(len(whole), len(short), kept)
    whole, short = whole[:common], short[:common]
    if whole.shape != short.shape or not whole.any():
        raise Undecided(f"the loss reads no output of the first {common} timesteps")
    ratio = float((whole * short).sum() / whole.square().sum())
    if (short - ratio * whole).norm() <= CLOSE * short.norm():
        measured = f"cut to {kept} of {timesteps} timesteps, it sends {ratio:.3g} times as much back to each output"
        if abs(ratio - 1) < CLOSE:
            return f"the loss is a sum over time: {measured}, so the gradient grows with the number of timesteps"
        if abs(ratio * kept / timesteps - 1) < CLOSE:
            return f"the loss is a mean over time: {measured}"
    raise Undecided(f"cut to {kept} of {timesteps} timesteps, what it sends back fits neither")


def _at_outputs(calls: Sequence[Call]) -> Tensor | None:
    """What reached the output of the last module at its first call, time first."""
    if not calls or not isinstance(calls[-1].module, FUSED):
        return None
    first = next(call for call in calls if call.module is calls[-1].module)
    gradient = first.gradients.get("output")
    if gradient is None or not isinstance(first.input, Tensor):
        return None
    return gradient.transpose(0, 1) if first.module.batch_first and gradient.dim() == 3 else gradient


def _cut(batch: Any, timesteps: int, kept: int) -> Any:
    """The first timesteps of a batch.

    Raises:
        ValueError: It is not known which axis is time.
    """
    if isinstance(batch, Tensor):
        axes = [axis for axis, size in enumerate(batch.shape) if size == timesteps]
        if len(axes) > 1:
            raise ValueError(f"two axes have the size {timesteps}")
        return batch.narrow(axes[0], 0, kept) if axes else batch
    if isinstance(batch, dict):
        return {key: _cut(one, timesteps, kept) for key, one in batch.items()}
    if type(batch) in (tuple, list):
        return type(batch)(_cut(one, timesteps, kept) for one in batch)
    if isinstance(batch, int | float | str | torch.dtype | None):
        return batch
    raise ValueError(f"a {type(batch).__name__} cannot be cut")
