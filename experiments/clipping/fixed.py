"""Clipping rules with a fixed threshold."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor

from experiments.clipping.rule import scale_to
from models.norms import l2_norm

Threshold = Annotated[float, Field(gt=0)]


class ClipNorm:
    """Scale g to g min(1, threshold / ||g||), which keeps its direction (Pascanu, Mikolov, Bengio 2013, algorithm 1).

    g is the gradient of all parameters together. torch's `clip_grad_norm_` divides by ||g|| + 1e-6 instead.

    Args:
        threshold: Largest norm that passes unchanged.
    """

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float | None:
        scale_to(gradients, norm, self.threshold)
        return self.threshold


class ClipNormByParameter:
    """Scale the gradient g_i of each parameter to g_i min(1, threshold / ||g_i||), as Keras does with `clipnorm`.

    A parameter is a whole matrix or bias vector of the network. The direction of the whole gradient may change.

    Args:
        threshold: Largest norm of a parameter's gradient that passes unchanged.
    """

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float | None:
        for gradient in gradients:
            scale_to([gradient], float(l2_norm(gradient)), self.threshold)
        return self.threshold


class ClipValue:
    """Clamp each entry to [-threshold, threshold], which may change the direction (Mikolov 2012).

    Args:
        threshold: Largest absolute value that passes unchanged.
    """

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float | None:
        for gradient in gradients:
            gradient.clamp_(-self.threshold, self.threshold)
        return self.threshold


class SoftClip:
    """Scale g to g threshold / (threshold + ||g||), a smooth form of clipping by norm (Zhang et al. 2020, eq. 6).

    With learning rate lr this is their normalised gradient descent, x - lr g / (||g|| / threshold + 1). The factor is
    between a half of and all of that of clipping by norm, min(1, threshold / ||g||). Every gradient shrinks; one whose
    norm equals the threshold is halved.

    Args:
        threshold: Norm that the scaled gradient never reaches.
    """

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float | None:
        scale_to(gradients, norm, norm / (1 + norm / self.threshold))
        return self.threshold
