"""contributions.csv: which timesteps the gradient of a shared weight comes from."""

from collections import defaultdict
from collections.abc import Iterable

import torch

from experiments.measures.measure import Measure, Row
from models.network import RecurrentNetwork, Window


class Contributions(Measure):
    """Each window's part of dL/dW, W a parameter that all timesteps share (Pascanu et al. 2013, eq. 3 to 5).

    grad_norm is the part's L2 norm; share is its inner product with the whole gradient over the whole's squared norm,
    so that the shares of one parameter add up to 1. Where the whole gradient is 0 or not finite there is no share.
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
            norms = torch.linalg.vector_norm(gradients, dim=1).tolist()
            # Dividing by the norm twice, not by its square, which may underflow.
            size = torch.linalg.vector_norm(whole)
            shares = (gradients / size @ (whole / size)).tolist() if 0 < size < torch.inf else [None] * len(parts)
            for window, norm, share in zip(parts, norms, shares, strict=True):
                yield step, name, window.first, window.last, norm, share
