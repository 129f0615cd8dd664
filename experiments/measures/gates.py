"""gates.csv: statistics of the gates' values at the end of each window."""

from collections import defaultdict
from collections.abc import Iterable

import torch

from experiments.measures.measure import Measure, Row
from models.network import RecurrentNetwork, Window


class Gates(Measure):
    """Mean, standard deviation and saturation of each gate over batch and units. A cell without gates has no rows.

    A fused kernel does not return its gates. They are therefore computed again from the recorded states, for all
    windows in one product. They agree with the kernel's own to rounding (1e-6 in float32, 1e-15 in float64).
    saturated_low is the share of values below 0.1 and saturated_high the share above 0.9. For the candidate, which is a
    tanh, the limits are -0.9 and 0.9.
    """

    columns = ("step", "layer", "gate", "timestep", "mean", "std", "saturated_low", "saturated_high")
    words = ("gate",)

    @torch.no_grad()
    def before_update(self, step: int, network: RecurrentNetwork, trace: list[Window]) -> Iterable[Row]:
        windows = defaultdict(list)
        for window in trace:
            windows[window.layer].append(window)
        rows: list[Row] = []
        for layer, cell in enumerate(network.cells):
            inputs = torch.stack([window.input for window in windows[layer]])
            hidden = torch.stack([window.h_before for window in windows[layer]])
            for gate, values in cell.compute_gates(inputs, hidden).items():
                flat = values.flatten(1).double()
                low = (flat < (-0.9 if gate == "candidate" else 0.1)).double().mean(dim=1)
                high = (flat > 0.9).double().mean(dim=1)
                statistics = torch.stack([flat.mean(dim=1), flat.std(dim=1, correction=0), low, high], dim=1).tolist()
                for window, numbers in zip(windows[layer], statistics, strict=True):
                    rows.append((step, layer, gate, window.last, *numbers))
        return rows
