"""Gradient clipping: rules that change the gradient between backpropagation and the update.

`rule.py` says what a clipping rule is, applies one and measures its effect. `fixed.py` holds the rules with a fixed
threshold, `adaptive.py` those whose threshold follows the weights or the gradients of earlier steps.
"""

from experiments.clipping.adaptive import AdaGC, AutoClip, ClipByUnit, ZClip
from experiments.clipping.fixed import ClipNorm, ClipNormByParameter, ClipValue, SoftClip
from experiments.clipping.rule import Clip, Clipped, NoClipping, apply_clipping, scale_to, total_norm

__all__ = [
    "AdaGC",
    "AutoClip",
    "Clip",
    "ClipByUnit",
    "ClipNorm",
    "ClipNormByParameter",
    "ClipValue",
    "Clipped",
    "NoClipping",
    "SoftClip",
    "ZClip",
    "apply_clipping",
    "scale_to",
    "total_norm",
]
