"""The trace of one watched layer: what the measures of a run read."""

from collections.abc import Mapping, Sequence

from experiments.watching.readings import Reading
from models.contributions import Bounds
from models.recursion import Trajectory
from models.trace import Layer, Trace


class WatchedTrace(Trace):
    """A trace with the one layer that was watched, whose gradients are known already.

    Args:
        reading: What the layer read.
        windows: Windows of timesteps.
    """

    def __init__(self, reading: Reading, windows: Bounds) -> None:
        self.windows, self._overflowed = windows, False
        self._reading = reading
        self.starts = reading.timesteps - reading.lengths if reading.is_ragged else None
        parameters = dict(reading.cell.named_parameters())
        trained = {f"layers.0.{name}": one.grad for name, one in parameters.items() if one.grad is not None}
        contributions = {f"layers.0.{name}": one for name, one in reading.contributions.items()}
        self.layers = [
            Layer(reading.states, reading.gates, reading.gradients, reading.along_gates, contributions, trained)
        ]

    def of_single_losses(self, timesteps: Sequence[int]) -> list[Mapping[str, Trajectory]]:
        return [] if self._reading.of_losses is None else [self._reading.of_losses(timesteps)]
