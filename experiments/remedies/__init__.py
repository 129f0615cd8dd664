"""Remedies against vanishing and exploding gradients besides clipping.

`remedy.py` says what a remedy is, and how several of them work together. The others have a module each.
"""

from experiments.remedies.flossing import Flossing
from experiments.remedies.gradient_noise import GradientNoise
from experiments.remedies.h_detach import HDetach
from experiments.remedies.omega import Omega
from experiments.remedies.remedy import Remedy, Several

__all__ = ["Flossing", "GradientNoise", "HDetach", "Omega", "Remedy", "Several"]
