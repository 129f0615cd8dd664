"""contributions.csv: the part of each weight's gradient that comes from each window of timesteps."""

from collections import defaultdict
from collections.abc import Iterable

import torch

from experiments.measures.measure import Measure, Row
from models.network import RecurrentNetwork, Window
from models.norms import l2_norm


class Contributions(Measure):
    """Each window's part of dL/dW, for every parameter W of the layers (Pascanu et al. 2013, eq. 3 to 5).

    grad_norm is the L2 norm of the part. share is the inner product of the part with the whole gradient, divided by the
    squared norm of the whole gradient, so the shares of one parameter add up to 1. The share is empty if the whole
    gradient is 0 or not finite.
    """

    columns = ("step", "parameter", "first_timestep", "last_timestep", "grad_norm", "share")
    words = ("parameter",)

    def before_update(self, step: int, network: RecurrentNetwork, trace: list[Window]) -> Iterable[Row]:
        windows = defaultdict(list)
        for window in trace:
            for name in window.weights:
                windows[name].append(window)
        for name, parts in windows.items():
            gradients = torch.stack([window.weight_gradient(name) for window in parts]).flatten(1).double()
            whole = gradients.sum(dim=0)
            norms = l2_norm(gradients, dim=1).tolist()
            # Divide by the norm twice, because its square may underflow.
            size = l2_norm(whole)
            shares = (gradients / size @ (whole / size)).tolist() if 0 < size < torch.inf else [None] * len(parts)
            for window, norm, share in zip(parts, norms, shares, strict=True):
                yield step, name, window.first, window.last, norm, share
