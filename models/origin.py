"""Where a large gradient comes from: the timestep, the layer, the state, the parameter and the sequence."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.norms import l2_norm
from models.trace import Layer, Trace


class Origin(NamedTuple):
    """Where a gradient comes from that is larger than a limit.

    Attributes:
        timestep: Latest timestep t such that the gradient that arises in timesteps t to T is larger than the limit, or
            not finite. The gradient of the parameters outside the layers, such as the read-out, counts in full. None if
            that alone is larger, or if the parts of all timesteps together are not.
        layer: Layer with the largest gradient of its parameters over those timesteps, counted from 0; the topmost one
            of those that are not finite. None if `timestep` is.
        state: State of that layer with the largest gradient at that timestep. None if `timestep` is.
        parameter: Parameter with the largest gradient; of a recurrent matrix with gates, the gate's block, as in
            `layers.0.weight_hh[forget]`. None if the gradient is 0 or not finite.
        parameter_share: Its squared norm over that of the whole gradient.
        sample: Sequence of the batch with the largest gradient of the layers' parameters, counted from 0, or the first
            one that is not finite. Of cells that leave the derivatives to autograd, that with the largest dL/ds at that
            timestep in that layer.
        sample_share: Its squared norm over the sum of those of all sequences. If some are not finite, 1 over their
            number.
    """

    timestep: int | None
    layer: int | None
    state: str | None
    parameter: str | None
    parameter_share: float | None
    sample: int | None
    sample_share: float | None


@torch.no_grad()
def find_origin(trace: Trace, gradients: Mapping[str, Tensor], limit: float | None) -> Origin:
    """Find where a large gradient comes from.

    Args:
        trace: Trace of the batch, with a window for each timestep.
        gradients: Gradient of each parameter of the network by its name, and of each gate's block of one under
            `NAME[GATE]`.
        limit: Largest norm of an ordinary gradient of all parameters; None if only one that is not finite
            counts.
    """
    of_layers = {name for layer in trace.layers for name in layer.contributions}
    others = [gradient for name, gradient in gradients.items() if name not in of_layers and "[" not in name]
    outside = math.hypot(*(float(l2_norm(one)) for one in others))
    largest = math.inf if limit is None else limit
    timestep, layer, state = None, None, None
    at_timestep: dict[str, Tensor] = {}
    if _is_ordinary(outside, largest):
        timestep, layer = _first_beyond(trace, outside, largest)
    if timestep is not None and layer is not None:
        at_timestep = {name: _real(one[timestep - 1]) for name, one in trace.layers[layer].gradients.items()}
        state = max(at_timestep, key=lambda name: _order(float(l2_norm(at_timestep[name]))))
    by_sample = _norms_by_sample(trace.layers)
    if by_sample is None and at_timestep:
        by_sample = l2_norm(torch.cat(list(at_timestep.values()), dim=1), dim=1)
    return Origin(timestep, layer, state, *_largest_parameter(gradients), *_largest_sample(by_sample))


def _is_ordinary(norm: float, largest: float) -> bool:
    return math.isfinite(norm) and norm <= largest


def _real(gradient: Tensor) -> Tensor:
    """The entries of dL/ds_t, (batch, size), as real numbers."""
    return torch.view_as_real(gradient).flatten(1) if gradient.is_complex() else gradient


def _order(norm: float) -> float:
    """The norm as a number to compare; one that is not finite is the largest."""
    return norm if math.isfinite(norm) else math.inf


def _first_beyond(trace: Trace, outside: float, largest: float) -> tuple[int | None, int | None]:
    """The timestep, going back from T, at which the gradient becomes too large, and the layer with the largest one."""
    latest_first = trace.windows[::-1]
    parts = [[one.parts(latest_first) for one in layer.contributions.values()] for layer in trace.layers]
    sums: list[list[Tensor]] = []
    for _, last in latest_first:
        new = [[next(part).double() for part in layer] for layer in parts]
        sums = [[a + b for a, b in zip(*both, strict=True)] for both in zip(sums, new, strict=True)] if sums else new
        norms = [math.hypot(*(float(l2_norm(one)) for one in layer)) for layer in sums]
        if not _is_ordinary(math.hypot(outside, *norms), largest):
            return last, max(range(len(norms)), key=lambda layer: (_order(norms[layer]), layer))
    return None, None


def _norms_by_sample(layers: Sequence[Layer]) -> Tensor | None:
    """The norm of each sequence's gradient of all parameters of the layers; None if a cell does not tell them apart."""
    norms = [one.norms_by_sample() for layer in layers for one in layer.contributions.values()]
    if any(one is None for one in norms):
        return None
    return l2_norm(torch.stack([one for one in norms if one is not None]), dim=0)


def _largest_parameter(gradients: Mapping[str, Tensor]) -> tuple[str | None, float | None]:
    norms = {name: float(l2_norm(one)) for name, one in gradients.items()}
    whole = math.hypot(*(norm for name, norm in norms.items() if "[" not in name))
    if not 0 < whole < math.inf:
        return None, None
    divided = {name.partition("[")[0] for name in norms if "[" in name}
    largest = max(norms.keys() - divided, key=lambda name: (norms[name], name))
    return largest, (norms[largest] / whole) ** 2


def _largest_sample(norms: Tensor | None) -> tuple[int | None, float | None]:
    if norms is None or not norms.any():
        return None, None
    if not norms.isfinite().all():
        lost = (~norms.isfinite()).nonzero().flatten()
        return int(lost[0]), 1 / len(lost)
    shares = (norms / norms.max()).square()
    return int(norms.argmax()), float(shares.max() / shares.sum())
