"""lags.csv: the gradient of the loss of single timesteps with respect to earlier states, by lag."""

from collections.abc import Iterable

from experiments.measures.gradients import norm_per_sample
from experiments.measures.measure import Measure, Row
from models.network import RecurrentNetwork
from models.trace import Trace


class Lags(Measure):
    """The norm of dL_t/ds_{t-k} for some timesteps t and the lags k, for every layer and state.

    Where a task has a loss at several timesteps, dL/ds mixes the losses of all later timesteps. L_t is the loss of
    timestep t alone, so dL_t/ds_{t-k} shows how far back it reaches. grad_norm is normalised as in gradients.csv. The
    lags are those of gradients.csv.

    Args:
        lag_samples: Number of timesteps t, evenly spread over those with a loss; the last one is among them.
    """

    columns = ("step", "layer", "state", "loss_timestep", "lag", "grad_norm")
    words = ("state",)

    def __init__(self, lag_samples: int = 8) -> None:
        self._samples = lag_samples

    def before_update(self, step: int, network: RecurrentNetwork, trace: Trace) -> Iterable[Row]:
        length = trace.ends[-1]
        losses = spread(length, network.readout_steps or length, self._samples)
        lags = sorted({length - end for end in trace.ends})
        for index, gradients in enumerate(trace.of_single_losses(losses)):
            for state, gradient in gradients.items():
                for number, t in enumerate(losses):
                    reached = [lag for lag in lags if lag < t]
                    earlier = [t - lag for lag in reached]
                    values = gradient[[timestep - 1 for timestep in earlier], number]
                    for timesteps, group in trace.of_sequences(values, earlier):
                        for timestep, norm in zip(timesteps, norm_per_sample(group, values.shape[1]), strict=True):
                            yield step, index, state, t, t - timestep, norm


def spread(length: int, losses: int, samples: int) -> list[int]:
    """Some of the last `losses` timesteps of a sequence, evenly spread, with the last one among them."""
    samples = min(samples, losses)
    return [length - losses + losses * (number + 1) // samples for number in range(samples)]
