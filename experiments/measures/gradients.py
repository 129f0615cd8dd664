"""gradients.csv: the norm of the gradient with respect to the state, timestep by timestep."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from experiments.measures.measure import Measure, Row, share_below
from models.network import RecurrentNetwork
from models.norms import l2_norm
from models.trace import Trace


class Gradients(Measure):
    """The norm of dL/ds at the end of each window, for every layer and state.

    L is the mean over the batch of the losses l_b, and grad_norm = sqrt(mean over b of ||dl_b/ds_b||^2)
    = sqrt(batch) ||dL/ds||_F, which does not depend on the batch size. Norms are computed in float64, so their squares
    do not underflow before the gradient itself does. underflow is the share of the gradient's entries that are 0 or
    below the smallest normal number of their dtype; these entries have lost precision. grad_norm_direct is the norm of
    the part that flows back along the state alone, through the gate that keeps it; it is empty for other states.
    """

    columns = ("step", "layer", "state", "timestep", "lag", "grad_norm", "underflow", "grad_norm_direct")
    words = ("state",)

    def before_update(self, step: int, network: RecurrentNetwork, trace: Trace) -> Iterable[Row]:
        length = trace.ends[-1]
        for index, layer in enumerate(trace.layers):
            for state, gradients in layer.gradients.items():
                batch = gradients.shape[1]
                of_sequences = trace.of_sequences(trace.at_ends(gradients))
                along: Iterable[Sequence[float | None]] = ([None] * len(timesteps) for timesteps, _ in of_sequences)
                if state in layer.along_gates:
                    parts = trace.of_sequences(trace.at_ends(layer.along_gates[state]))
                    along = (norm_per_sample(part, batch) for _, part in parts)
                for (timesteps, values), directs in zip(of_sequences, along, strict=True):
                    numbers = zip(norm_per_sample(values, batch), _underflow(values), directs, strict=True)
                    for timestep, (norm, share, direct) in zip(timesteps, numbers, strict=True):
                        yield step, index, state, timestep, length - timestep, norm, share, direct


def norm_per_sample(gradients: Tensor, batch: int) -> list[float]:
    """sqrt(mean over b of ||dl_b/ds_b||^2) at each timestep.

    Args:
        gradients: dL/ds of the sequences b that have begun, (time, sequences, size).
        batch: Number of all sequences, over which L is the mean.
    """
    sequences = gradients.shape[1]
    factor = sequences**0.5 * (batch / sequences)
    norms: list[float] = (l2_norm(_real(gradients).flatten(1), dim=1) * factor).tolist()
    return norms


def _underflow(gradients: Tensor) -> list[float]:
    """The share of entries below the smallest normal number at each timestep."""
    size = _real(gradients).flatten(1).abs()
    smallest = torch.finfo(size.dtype).tiny
    below: list[float] = share_below(size, smallest).tolist()
    return below


def _real(gradients: Tensor) -> Tensor:
    """The entries of a gradient as real numbers."""
    return torch.view_as_real(gradients).flatten(-2) if gradients.is_complex() else gradients
