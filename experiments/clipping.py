"""Gradient clipping: what is done to a gradient between backpropagation and the update."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

Threshold = Annotated[float, Field(gt=0)]


def total_norm(gradients: Sequence[Tensor]) -> float:
    """The L2 norm of all gradients together, in float64: it overflows only where the gradient itself did."""
    norms = [torch.linalg.vector_norm(gradient, dtype=torch.float64) for gradient in gradients]
    return float(torch.linalg.vector_norm(torch.stack(norms)))


class NoClipping:
    """Leave the gradient as it is."""

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float:
        """Clip finite gradients in place; `norm` is their norm before, the answer the norm afterwards."""
        return norm


class ClipNorm:
    """g <- g min(1, threshold / ||g||): the direction stays (Pascanu, Mikolov, Bengio 2013, algorithm 1).

    All parameters are scaled together. torch's `clip_grad_norm_` divides by ||g|| + 1e-6 instead.

    Args:
        threshold: the largest norm that passes.
    """

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float:
        if norm <= self.threshold:
            return norm
        for gradient in gradients:
            numbers = torch.finfo(gradient.dtype)
            factor = self.threshold / norm
            parts = 1 if factor >= numbers.tiny else 2  # a denormal factor may be flushed to 0, its root is not
            for _ in range(parts):
                rounded_down = 1 - numbers.eps  # or rounding may leave it above the threshold
                gradient.mul_(factor ** (1 / parts) * rounded_down)
        return total_norm(gradients)


class ClipValue:
    """Cut each entry to [-threshold, threshold] (Mikolov 2012): the direction may change.

    Args:
        threshold: the largest absolute value that passes.
    """

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float:
        for gradient in gradients:
            gradient.clamp_(-self.threshold, self.threshold)
        return total_norm(gradients)
