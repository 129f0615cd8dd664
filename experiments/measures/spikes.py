"""spikes.csv: where a gradient that leaves its running distribution comes from: timestep, layer, state, sequence."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from experiments.measures.measure import Measure, Row
from experiments.measures.parameters import parts_of
from experiments.spike_detector import Spike, SpikeDetector
from experiments.store.files import write_whole
from experiments.tasks.task import Batch
from models.network import RecurrentNetwork
from models.origin import find_origin
from models.trace import Trace

BATCHES = "spikes"
"""Folder of the saved batches in the run's folder."""


class Spikes(Measure):
    """One row for each step whose gradient norm is a spike (`SpikeDetector`) or not finite, with its `Origin`.

    Args:
        spike_limit: See `SpikeDetector`.
        spike_batches: Whether to save the batch and the parameters of each such step to spikes/STEP.pt in the run's
            folder.
    """

    columns = (
        "step", "grad_norm", "median_grad_norm", "limit", "z_score", "timestep", "layer", "state", "parameter",
        "parameter_share", "sample", "sample_share",
    )  # fmt: skip
    words = ("state", "parameter")
    asks = True

    def __init__(self, spike_limit: float = 6.0, spike_batches: bool = False) -> None:
        self._detector, self._saves = SpikeDetector(spike_limit), spike_batches
        self._spike: Spike | None = None

    def wants(self, grad_norm: float) -> bool:
        self._spike = self._detector.judge(grad_norm)
        return self._spike is not None

    def on_request(self, step: int, network: RecurrentNetwork, batch: Batch, trace: Trace) -> Iterable[Row]:
        assert self._spike is not None
        if self._saves and self.folder is not None:
            _save(step, network, batch, self.folder)
        gradients = {part.name: part.gradient for part in parts_of(network)}
        yield step, *self._spike, *find_origin(trace, gradients, self._spike.limit)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the detector."""
        return self._detector.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with a saved state."""
        self._detector.load_state_dict(state)


def _save(step: int, network: RecurrentNetwork, batch: Batch, folder: Path) -> None:
    """Save a batch and the parameters that it was backpropagated with."""
    buffer = io.BytesIO()
    torch.save({"inputs": batch.inputs, "targets": batch.targets, "network": network.state_dict()}, buffer)
    (folder / BATCHES).mkdir(exist_ok=True)
    write_whole(folder / BATCHES / f"{step}.pt", buffer.getvalue())
