"""Clipping rules whose threshold follows the weights or the gradients of earlier steps."""

import bisect
import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from experiments.clipping.rule import scale_to
from models.network import RecurrentNetwork
from models.norms import l2_norm

Positive = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class ClipByUnit:
    """Scale the gradient of each unit relative to its weights: adaptive gradient clipping, AGC (Brock et al. 2021).

    With the weights W_i of unit i and their gradient G_i (eq. 3):

        G_i <- G_i ratio max(||W_i||, floor) / ||G_i||   if ||G_i|| > ratio max(||W_i||, floor)

    A unit is a row of a matrix; a bias vector counts as one unit, as in the authors' code.

    Args:
        ratio: Largest norm of a unit's gradient relative to the norm of its weights.
        floor: Smallest norm of the weights that the ratio refers to, so that weights of 0 can grow.
        readout: Whether to clip the gradient of the read-out as well. The paper does not.
    """

    def __init__(self, ratio: Positive, floor: Positive = 1e-3, readout: bool = False) -> None:
        self.ratio, self.floor, self.readout = ratio, floor, readout
        self._weights: list[Tensor | None] = []

    def attach(self, network: RecurrentNetwork) -> None:
        """Get to know the weights."""
        self._weights = [
            weight if self.readout or not name.startswith("readout.") else None
            for name, weight in network.named_parameters()
        ]

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float | None:
        limits = []
        for weight, gradient in zip(self._weights, gradients, strict=True):
            if weight is None:
                continue
            limit = self.ratio * _by_unit(weight.detach()).clamp(min=self.floor)
            size = _by_unit(gradient)
            factor = torch.where(size > limit, limit / size * (1 - torch.finfo(gradient.dtype).eps), 1.0)
            root = factor.sqrt().to(gradient.dtype).view(-1, *[1] * (gradient.dim() - 1))
            gradient.mul_(root).mul_(root)  # the factor itself may be too small for float32
            limits.append(limit)
        return float(l2_norm(torch.cat(limits)))


def _by_unit(tensor: Tensor) -> Tensor:
    """The norm of each row of a matrix, or that of a whole vector, (units,)."""
    return l2_norm(tensor.flatten(1), dim=1) if tensor.dim() > 1 else l2_norm(tensor)[None]


class AutoClip:
    """Clip by norm at a percentile of the norms of all steps so far (AutoClip, Seetharaman et al. 2020).

        threshold_t = the p-th percentile of ||g_1||, ..., ||g_t||
        g_t <- g_t min(1, threshold_t / ||g_t||)

    Between two norms, the percentile is interpolated linearly. A norm of 0 does not count.

    Args:
        percentile: p, from 0 to 100. The paper uses 10, with which about nine of ten steps are clipped.
    """

    def __init__(self, percentile: Annotated[float, Field(ge=0, le=100)]) -> None:
        self.percentile = percentile
        self._norms: list[float] = []

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float | None:
        if not norm:
            return None
        bisect.insort(self._norms, norm)
        place = self.percentile / 100 * (len(self._norms) - 1)
        below, above = self._norms[math.floor(place)], self._norms[math.ceil(place)]
        threshold = below + (place - math.floor(place)) * (above - below)
        scale_to(gradients, norm, threshold)
        return threshold

    def state_dict(self) -> dict[str, Any]:
        """Return the norms so far."""
        return {"norms": torch.tensor(self._norms, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the norms of earlier steps."""
        self._norms = state["norms"].tolist()


class ZClip:
    """Clip by norm where the norm is an outlier among those of recent steps (ZClip, Kumar et al. 2025).

    The mean m and the standard deviation s are moving averages. With z = (||g|| - m) / s and the limit z*:

        ||g|| <- m + z*^2 / z s                       if z > z*
        m <- decay m + (1 - decay) ||g||              with ||g|| as clipped
        s^2 <- decay s^2 + (1 - decay) (||g|| - m)^2

    The first `warmup` steps are not clipped; the first m and s are those of their norms. The threshold is m + z* s.
    The authors' code also clips at a fixed norm of 1 by default and adds 1e-6 to s; this rule does neither. A norm of 0
    does not count.

    Args:
        limit: z*, in standard deviations.
        decay: Weight of the past in the moving averages, from 0, below 1.
        warmup: Number of steps without clipping, at least 1.
    """

    def __init__(self, limit: Positive, decay: Decay, warmup: PositiveInt) -> None:
        self.limit, self.decay, self.warmup = limit, decay, warmup
        self._first: list[float] = []
        self._mean = self._deviation = 0.0

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float | None:
        if not norm:
            return None
        if len(self._first) < self.warmup:
            self._first.append(norm)
            self._mean = math.fsum(self._first) / len(self._first)
            self._deviation = math.hypot(*(one - self._mean for one in self._first)) / len(self._first) ** 0.5
            return None
        margin = self.limit * self._deviation
        threshold = self._mean + margin
        if norm > threshold:
            target = self._mean + margin * (margin / (norm - self._mean))
            scale_to(gradients, norm, target)
            norm = target
        self._mean = self.decay * self._mean + (1 - self.decay) * norm
        past, new = self.decay**0.5 * self._deviation, (1 - self.decay) ** 0.5 * (norm - self._mean)
        self._deviation = math.hypot(past, new)
        return threshold

    def state_dict(self) -> dict[str, Any]:
        """Return the averages, and the norms of the first steps."""
        return {"first": self._first, "mean": self._mean, "deviation": self._deviation}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with saved averages."""
        self._first, self._mean, self._deviation = list(state["first"]), state["mean"], state["deviation"]


class AdaGC:
    """Clip the gradient of each parameter relative to its own recent norms (AdaGC, Wang et al. 2025, algorithm 1).

    With the level l_i of parameter i, from the steps before:

        g_i <- g_i min(1, ratio l_i / ||g_i||)
        l_i <- decay l_i + (1 - decay) ||g_i||        with ||g_i|| as clipped

    In the first `warmup` steps, the whole gradient is clipped by norm at `threshold`, and l_i is the smallest norm of
    g_i so far. A norm of 0 does not count, because a level of 0 would stop the parameter for good.

    Args:
        ratio: Largest norm relative to the level.
        decay: Weight of the past in the level, from 0, below 1.
        threshold: Largest norm of the whole gradient in the first steps.
        warmup: Number of first steps.
    """

    def __init__(self, ratio: Positive, decay: Decay, threshold: Positive, warmup: NonNegativeInt) -> None:
        self.ratio, self.decay, self.threshold, self.warmup = ratio, decay, threshold, warmup
        self._steps = 0
        self._levels: list[float] = []

    def __call__(self, gradients: Sequence[Tensor], norm: float) -> float | None:
        self._steps += 1
        self._levels = self._levels or [math.inf] * len(gradients)
        if warming_up := self._steps <= self.warmup:
            scale_to(gradients, norm, self.threshold)
        limits = [math.inf if warming_up else self.ratio * level for level in self._levels]
        for i, (gradient, limit, level) in enumerate(zip(gradients, limits, self._levels, strict=True)):
            if size := float(l2_norm(gradient)):
                scale_to([gradient], size, limit)
                if warming_up or math.isinf(level):
                    self._levels[i] = min(level, size)
                else:
                    self._levels[i] = self.decay * level + (1 - self.decay) * min(size, limit)
        if warming_up:
            return self.threshold
        return math.hypot(*filter(math.isfinite, limits)) or None

    def state_dict(self) -> dict[str, Any]:
        """Return the levels."""
        return {"steps": self._steps, "levels": self._levels}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with saved levels."""
        self._steps, self._levels = state["steps"], list(state["levels"])
