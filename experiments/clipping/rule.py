"""What a clipping rule is, and the measurement of its effect."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.norms import l2_norm

Clip = Callable[[Sequence[Tensor], float], float | None]
"""A clipping rule: it takes finite gradients and their total norm, changes the gradients in place, and returns its
threshold.

The threshold is None if the rule applies none. If the parts of the gradient have different thresholds, the rule returns
the root of the sum of their squares: the largest norm that these parts together can have afterwards.

A rule that needs the network defines `attach(network)`, which is called once before the training. A rule that keeps
state from step to step defines `state_dict` and `load_state_dict`, as torch's optimisers do. A resumed run then
continues with that state.
"""


class Clipped(NamedTuple):
    """The effect of a clipping rule at one step.

    Attributes:
        norm: L2 norm of the gradient of all parameters after clipping.
        threshold: Threshold that the rule applied; None without one.
        cosine: Cosine of the angle between the gradients before and after clipping: 1 if the direction is unchanged,
            None if either gradient is 0.
        share: Share of the gradient's entries that the rule changed, from 0 to 1. Entries that were 0 do not count.
    """

    norm: float
    threshold: float | None
    cosine: float | None
    share: float


def apply_clipping(clip: Clip, gradients: Sequence[Tensor], norm: float) -> Clipped:
    """Clip finite gradients in place, and measure the effect.

    Args:
        clip: Clipping rule.
        gradients: Gradients of all parameters.
        norm: Total norm of the gradients.

    Raises:
        TypeError, ValueError: The rule returned something other than None or a number above 0.
    """
    if isinstance(clip, NoClipping):
        return Clipped(norm, None, 1.0 if norm else None, 0.0)
    before = [gradient.clone() for gradient in gradients]
    threshold = clip(gradients, norm)
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, float | int)):
        raise TypeError(f"{type(clip).__name__} returned {threshold!r}; a clipping rule returns a number or None")
    if threshold is not None and not threshold > 0:
        raise ValueError(f"{type(clip).__name__} returned {threshold!r}; a threshold is above 0")
    pairs = list(zip(before, gradients, strict=True))
    if all(torch.equal(old, new) for old, new in pairs):
        return Clipped(norm, threshold, 1.0 if norm else None, 0.0)
    clipped = total_norm(gradients)
    inner = sum(float((old.double() * new.double()).sum()) for old, new in pairs)
    cosine = min(1.0, inner / norm / clipped) if norm and clipped else None
    old, new = (torch.cat([gradient.flatten() for gradient in one]) for one in (before, gradients))
    entries = old != 0
    changed = int(torch.count_nonzero(entries & (old != new)))
    return Clipped(clipped, threshold, cosine, changed / max(1, int(torch.count_nonzero(entries))))


class NoClipping:
    """Keep the gradient unchanged."""

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float | None:
        return None


def total_norm(gradients: Sequence[Tensor]) -> float:
    """The L2 norm of all gradients together, computed in float64, so it overflows only if a gradient itself does."""
    norms = torch.stack([l2_norm(gradient) for gradient in gradients])
    # Unless the gradients are float64, the squares of their norms fit, and the plain norm takes a third of the time.
    fit = all(gradient.dtype != torch.float64 for gradient in gradients)
    return float(torch.linalg.vector_norm(norms) if fit else l2_norm(norms))


def scale_to(gradients: Sequence[Tensor], norm: float, threshold: float) -> None:
    """Scale gradients in place so that their total norm is at most `threshold`. Smaller gradients stay unchanged.

    Args:
        gradients: Gradients of all parameters.
        norm: Total norm of the gradients.
        threshold: Largest total norm afterwards, above 0.
    """
    if norm <= threshold:
        return
    for gradient in gradients:
        numbers = torch.finfo(gradient.dtype)
        factor = threshold / norm
        parts = 1 if factor >= numbers.tiny else 2  # a denormal factor may be flushed to 0, its square root is not
        for _ in range(parts):
            rounded_down = 1 - numbers.eps  # otherwise rounding may leave the norm above the threshold
            gradient.mul_(factor ** (1 / parts) * rounded_down)
