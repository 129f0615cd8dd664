"""Gradient noise: fading Gaussian noise on the gradient of every update."""

from typing import Annotated, Any

import torch
from pydantic import Field

from experiments.remedies.remedy import Remedy
from models.network import RecurrentNetwork

NotNegative = Annotated[float, Field(ge=0)]


class GradientNoise(Remedy):
    """Add Gaussian noise to the gradient, with a variance that falls with the updates (Neelakantan et al. 2015, eq. 1).

        g_t <- g_t + N(0, s_t^2),   s_t^2 = scale / (1 + t)^decay,   t = 0, 1, ...

    The noise is added after clipping, so its size does not depend on the gradient.

    Args:
        scale: Variance of the noise of the first update; 0.01, 0.3 or 1 in the paper.
        decay: Exponent with which the variance falls.
    """

    def __init__(self, scale: NotNegative, decay: NotNegative = 0.55) -> None:
        self.scale, self.decay = scale, decay
        self._updates = 0

    def before_update(self, network: RecurrentNetwork) -> None:
        deviation = (self.scale / (1 + self._updates) ** self.decay) ** 0.5
        self._updates += 1
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(torch.randn_like(parameter), alpha=deviation)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates so far."""
        return {"updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue to count the updates."""
        self._updates = state["updates"]
