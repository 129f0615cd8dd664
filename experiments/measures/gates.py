"""gates.csv: statistics of the gates' values at the end of each window."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from experiments.measures.measure import Measure, Row, share_above, share_below
from models.network import RecurrentNetwork
from models.trace import Trace


class Gates(Measure):
    """Mean, standard deviation and saturation of each gate over batch and units. A cell without gates has no rows.

    saturated_low is the share of values below 0.1 and saturated_high the share above 0.9. For the candidate, which is a
    tanh, the limits are -0.9 and 0.9.

    A task may mark timesteps of each sequence, such as the two marked numbers of the adding problem. Then marked is the
    share of sequences that mark this timestep, mean_marked the mean over these sequences and the units, and
    mean_unmarked that over the other sequences; each mean is empty if there is no such sequence.
    """

    columns = (
        "step", "layer", "gate", "timestep", "mean", "std", "saturated_low", "saturated_high",
        "marked", "mean_marked", "mean_unmarked",
    )  # fmt: skip
    words = ("gate",)

    @torch.no_grad()
    def before_update(self, step: int, network: RecurrentNetwork, trace: Trace) -> Iterable[Row]:
        rows: list[Row] = []
        marks = None if trace.marked is None else trace.of_sequences(trace.at_ends(trace.marked))
        for index, layer in enumerate(trace.layers):
            for gate, values in layer.gates.items():
                for number, (timesteps, group) in enumerate(trace.of_sequences(trace.at_ends(values))):
                    low_limit = -0.9 if gate == "candidate" else 0.1
                    statistics = _statistics(group.flatten(1), low_limit)
                    by_marks = _by_marks(group, None if marks is None else marks[number][1])
                    for timestep, numbers, means in zip(timesteps, statistics, by_marks, strict=True):
                        rows.append((step, index, gate, timestep, *numbers, *means))
        return rows


def _statistics(values: Float[Tensor, "windows entries"], low_limit: float) -> list[list[float]]:
    """Mean, standard deviation, and the shares of values below `low_limit` and above 0.9, at each timestep."""
    low, high = share_below(values, low_limit), share_above(values, 0.9)
    values = values.double()
    mean = values.mean(dim=1)
    std = (torch.linalg.vector_norm(values - mean[:, None], dim=1) ** 2 / values.shape[1]).sqrt()
    statistics: list[list[float]] = torch.stack([mean, std, low, high], dim=1).tolist()
    return statistics


def _by_marks(
    values: Float[Tensor, "windows batch hidden"], marked: Bool[Tensor, "windows batch"] | None
) -> list[Sequence[float | None]]:
    """The share of marked sequences, and the means over marked and over unmarked sequences, for each window."""
    if marked is None:
        return [(None, None, None)] * len(values)
    means = values.mean(dim=2, dtype=torch.float64)
    columns: list[list[float | None]] = [marked.double().mean(dim=1).tolist()]
    for chosen in (marked, ~marked):
        counts = chosen.sum(dim=1)
        sums = torch.where(chosen, means, 0.0).sum(dim=1)
        columns.append([mean if count else None for mean, count in zip((sums / counts).tolist(), counts, strict=True)])
    return list(zip(*columns, strict=True))
