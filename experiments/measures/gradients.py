"""gradients.csv: the norm of the gradient with respect to the state, timestep by timestep."""

from collections import defaultdict
from collections.abc import Iterable

import torch

from experiments.measures.measure import Measure, Row
from models.network import RecurrentNetwork, Window
from models.norms import l2_norm


class Gradients(Measure):
    """The norm of dL/ds at the end of each window, for every layer and state.

    L is the mean over the batch of the losses l_b, and grad_norm = sqrt(mean over b of ||dl_b/ds_b||^2)
    = sqrt(batch) ||dL/ds||_F, which does not depend on the batch size. Norms are computed in float64, so their squares
    do not underflow before the gradient itself does. underflow is the share of the gradient's entries that are 0 or
    below the smallest normal number of their dtype; these entries have lost precision.
    """

    columns = ("step", "layer", "state", "timestep", "lag", "grad_norm", "underflow")
    words = ("state",)

    def before_update(self, step: int, network: RecurrentNetwork, trace: list[Window]) -> Iterable[Row]:
        length = max(window.last for window in trace)
        lines = defaultdict(list)
        for window in trace:
            for state in window.states:
                lines[window.layer, state].append((window.last, window.state_gradient(state)))
        for (layer, state), line in lines.items():
            timesteps, gradients = zip(*line, strict=True)
            stacked = torch.stack(gradients).flatten(1)
            norms = l2_norm(stacked, dim=1) * gradients[0].shape[0] ** 0.5
            underflow = (stacked.abs() < torch.finfo(stacked.dtype).tiny).double().mean(dim=1)
            for timestep, norm, share in zip(timesteps, norms.tolist(), underflow.tolist(), strict=True):
                yield step, layer, state, timestep, length - timestep, norm, share
