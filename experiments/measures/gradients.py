"""gradients.csv: the norm of the gradient with respect to the state, timestep by timestep."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from experiments.measures.measure import Measure, Row, share_below
from models.network import RecurrentNetwork
from models.norms import l2_norm
from models.read_entries import read_entries
from models.trace import Trace


class Gradients(Measure):
    """The norm of dL/ds at the end of each window, for every layer and state.

    L is the mean over the batch of the losses l_b, and grad_norm = sqrt(mean over b of ||dl_b/ds_b||^2)
    = sqrt(batch) ||dL/ds||_F, which does not depend on the batch size. Norms are computed in float64, so their squares
    do not underflow before the gradient itself does. underflow is the share of the gradient's entries that are 0 or
    below the smallest normal number of their dtype; these entries have lost precision. Entries that nothing reads, no
    later timestep and no loss or layer at their own, do not count: their gradient is 0 by construction.
    grad_norm_direct is the norm of the part that flows back along the state alone, through the gate that keeps it; it
    is empty for other states.
    """

    columns = ("step", "layer", "state", "timestep", "lag", "grad_norm", "underflow", "grad_norm_direct")
    words = ("state",)

    def __init__(self) -> None:
        self._read: dict[int, dict[str, Tensor]] = {}

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
                    shares = self._underflow(index, state, timesteps, values, network, trace)
                    numbers = zip(norm_per_sample(values, batch), shares, directs, strict=True)
                    for timestep, (norm, share, direct) in zip(timesteps, numbers, strict=True):
                        yield step, index, state, timestep, length - timestep, norm, share, direct

    def _underflow(
        self, index: int, state: str, timesteps: Sequence[int], values: Tensor, network: RecurrentNetwork, trace: Trace
    ) -> list[float]:
        """The share of entries below the smallest normal number at each timestep, among those that something reads."""
        shares, cell = _share_below_normal(values), network.cells[index]
        if not any(shares) or cell.has_equations:
            return shares
        if index not in self._read:
            states = trace.layers[index].states
            self._read[index] = read_entries(cell, tuple(states[name][-1] for name in cell.state_names))
        read = self._read[index][state]
        if read.all() or not read.any():  # readers of gradients.csv leave out a state that is not read at all
            return shares
        outputs = network.readout_steps if index == len(network.cells) - 1 else None
        first_output = 1 if outputs is None else trace.ends[-1] - outputs + 1
        of_read = _share_below_normal(values[..., read])
        return [
            share if state == "h" and timestep >= first_output else among_read
            for timestep, share, among_read in zip(timesteps, shares, of_read, strict=True)
        ]


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


def _share_below_normal(gradients: Tensor) -> list[float]:
    """The share of entries below the smallest normal number at each timestep."""
    size = _real(gradients).flatten(1).abs()
    smallest = torch.finfo(size.dtype).tiny
    below: list[float] = share_below(size, smallest).tolist()
    return below


def _real(gradients: Tensor) -> Tensor:
    """The entries of a gradient as real numbers."""
    return torch.view_as_real(gradients).flatten(-2) if gradients.is_complex() else gradients
