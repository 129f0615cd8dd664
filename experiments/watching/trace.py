"""The trace of watched layers: what the measures of a run read."""

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from experiments.watching.readings import Reading
from models.contributions import Bounds, Contribution
from models.recursion import Trajectory
from models.trace import Layer, Trace


class WatchedTrace(Trace):
    """A trace of layers that were watched, whose gradients are known already.

    Args:
        readings: What each layer read, by its number. All have the same timesteps.
        windows: Windows of timesteps.
        with_truncation: See `Trace.with_truncation`; None if it is not known.
    """

    def __init__(
        self,
        readings: Mapping[int, Reading],
        windows: Bounds,
        with_truncation: Callable[[int | None], dict[str, Contribution] | None] | None = None,
    ) -> None:
        self.windows, self._overflowed = windows, False
        self._readings = list(readings.values())
        first = self._readings[0]
        self.starts = first.timesteps - first.lengths if first.is_ragged else None
        self._again = with_truncation
        self.layers = [_layer(number, reading) for number, reading in readings.items()]

    def of_single_losses(self, timesteps: Sequence[int]) -> list[Mapping[str, Trajectory]]:
        return [one.of_losses(timesteps) for one in self._readings if one.of_losses is not None]

    def with_truncation(self, truncation: int | None) -> dict[str, Contribution] | None:
        return None if self._again is None else self._again(truncation)


class OneLayer:
    """What the measures ask of a network, for one watched layer.

    Attributes:
        cells: The layer.
        readout_steps: Number of timesteps with a loss, counted from the end.
    """

    def __init__(self, reading: Reading, readout_steps: int = 1) -> None:
        self.cells, self.readout_steps = [reading.cell], readout_steps

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The layer's parameters that have a gradient."""
        named = self.cells[0].named_parameters()
        return [(f"layers.0.{name}", one) for name, one in named if one.grad is not None]


def _layer(number: int, reading: Reading) -> Layer:
    parameters = dict(reading.cell.named_parameters())
    trained = {f"layers.{number}.{name}": one.grad for name, one in parameters.items() if one.grad is not None}
    contributions = {f"layers.{number}.{name}": one for name, one in reading.contributions.items()}
    return Layer(reading.states, reading.gates, reading.gradients, reading.along_gates, contributions, trained)
