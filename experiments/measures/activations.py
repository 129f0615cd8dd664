"""activations.csv: the size of the states at the end of each window, and how many of their entries are saturated."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from experiments.measures.measure import Measure, Row, share_above
from models.network import RecurrentNetwork
from models.norms import l2_norm
from models.trace import Trace

SATURATED = 0.97
"""Size of a saturated entry. There, tanh' = 1 - 0.97^2 = 0.06: the entry passes on less than 6 % of the gradient."""


class Activations(Measure):
    """Mean, standard deviation, root mean square and saturation of each state over batch and units.

    saturated is the share of entries whose size is above 0.97; a tanh with this value has a slope below 0.06. It is
    empty for states that the cell does not call bounded, such as c of an LSTM. A complex number counts as two entries.
    """

    columns = ("step", "layer", "state", "timestep", "mean", "std", "rms", "saturated")
    words = ("state",)

    @torch.no_grad()
    def before_update(self, step: int, network: RecurrentNetwork, trace: Trace) -> Iterable[Row]:
        for index, (layer, cell) in enumerate(zip(trace.layers, network.cells, strict=True)):
            for state, values in layer.states.items():
                for timesteps, group in trace.of_sequences(trace.at_ends(values[1:])):
                    statistics = _statistics(_entries(group), bounded=state in cell.bounded)
                    for timestep, numbers in zip(timesteps, statistics, strict=True):
                        yield step, index, state, timestep, *numbers


def _statistics(entries: Float[Tensor, "time entries"], *, bounded: bool) -> list[tuple[float | None, ...]]:
    """Mean, standard deviation, root mean square and saturation at each timestep."""
    mean = entries.double().mean(dim=1)
    root = entries.shape[1] ** 0.5
    sizes = (mean, l2_norm(entries - mean[:, None], dim=1) / root, l2_norm(entries, dim=1) / root)
    saturated: Sequence[float | None] = [None] * len(entries)
    if bounded:
        saturated = share_above(entries.abs(), SATURATED).tolist()
    return list(zip(*(size.tolist() for size in sizes), saturated, strict=True))


def _entries(states: Tensor) -> Tensor:
    """The entries of a state at each timestep as real numbers, (time, entries)."""
    return (torch.view_as_real(states) if states.is_complex() else states).flatten(1)
