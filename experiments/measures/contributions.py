"""contributions.csv: the part of each weight's gradient that comes from each window of timesteps."""

from collections.abc import Iterable

from experiments.measures.measure import Measure, Row
from models.contributions import Contribution
from models.network import RecurrentNetwork
from models.trace import Trace


class Contributions(Measure):
    """Each window's part of dL/dW, for every parameter W of the layers (Pascanu et al. 2013, eq. 3 to 5).

    grad_norm is the L2 norm of the part. share is the inner product of the part with the whole gradient, divided by the
    squared norm of the whole gradient. The whole gradient is the one that training uses, before clipping, so the shares
    of a parameter add up to 1 only if the parts add up to it. With a remedy that adds a penalty to the loss, training
    uses the gradient of both; the whole gradient is then the sum of the parts. The share is empty if the whole gradient
    is 0 or not finite.
    """

    columns = ("step", "parameter", "first_timestep", "last_timestep", "grad_norm", "share")
    words = ("parameter",)

    def before_update(self, step: int, network: RecurrentNetwork, trace: Trace) -> Iterable[Row]:
        for layer in trace.layers:
            whole: Contribution | None = None
            for name, contribution in layer.contributions.items():
                if contribution is not whole:  # torch's two biases share one
                    whole, parts = contribution, contribution.cut(trace.windows)
                norms, shares = trace.norms_and_shares(parts, layer.trained.get(name))
                for (first, last), norm, share in zip(trace.windows, norms, shares, strict=True):
                    yield step, name, first, last, norm, share
