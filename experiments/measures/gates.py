"""gates.csv: statistics of the gates' values at the end of each window."""

from collections.abc import Iterable

import torch

from experiments.measures.measure import Measure, Row, share_above, share_below
from models.network import RecurrentNetwork
from models.trace import Trace


class Gates(Measure):
    """Mean, standard deviation and saturation of each gate over batch and units. A cell without gates has no rows.

    saturated_low is the share of values below 0.1 and saturated_high the share above 0.9. For the candidate, which is a
    tanh, the limits are -0.9 and 0.9.
    """

    columns = ("step", "layer", "gate", "timestep", "mean", "std", "saturated_low", "saturated_high")
    words = ("gate",)

    @torch.no_grad()
    def before_update(self, step: int, network: RecurrentNetwork, trace: Trace) -> Iterable[Row]:
        rows: list[Row] = []
        for index, layer in enumerate(trace.layers):
            for gate, values in layer.gates.items():
                flat = trace.at_ends(values).flatten(1)
                low, high = share_below(flat, -0.9 if gate == "candidate" else 0.1), share_above(flat, 0.9)
                flat = flat.double()
                mean = flat.mean(dim=1)
                std = (torch.linalg.vector_norm(flat - mean[:, None], dim=1) ** 2 / flat.shape[1]).sqrt()
                statistics = torch.stack([mean, std, low, high], dim=1).tolist()
                for timestep, numbers in zip(trace.ends, statistics, strict=True):
                    rows.append((step, index, gate, timestep, *numbers))
        return rows
