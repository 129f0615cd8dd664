"""truncation.csv of a watched loop: how far the gradient is from the whole one if it is cut after K timesteps."""

from collections.abc import Callable, Sequence
from typing import Any

from experiments.measures.measure import Row, check_rows
from experiments.measures.truncation import Truncation
from experiments.watching.calls import NotSeen
from experiments.watching.readings import Reading
from experiments.watching.redone import Redone
from experiments.watching.trace import WatchedTrace
from models.contributions import Bounds, Contribution


class WatchedTruncation:
    """The rows of truncation.csv, of all layers together.

    Attributes:
        columns: Names of the columns.
    """

    columns = Truncation.columns

    def __init__(self) -> None:
        self._measure = Truncation()

    def rows(
        self, step: int, modules: Sequence[tuple[int, Redone]], windows: Callable[[int], Bounds]
    ) -> tuple[list[Row], int | None]:
        """The rows of a recorded step, and the number of timesteps after which the loop itself cuts the gradient.

        Args:
            step: Number of the step.
            modules: Each module, with the number of its first layer.
            windows: Function that cuts a number of timesteps into windows.

        Raises:
            NotSeen: No other cut can be tried.
        """
        readings = {number: one for first, module in modules for number, one in enumerate(module.layers, first)}
        lengths = {one.timesteps for one in readings.values()}
        if len(lengths) > 1:
            raise NotSeen("its layers have different numbers of timesteps, so no cut is the same in all of them")
        length = lengths.pop()
        bounds = windows(length)
        losses = max(losses_of(module.layers[-1]) for _, module in modules)
        network: Any = _Layers(losses, None)
        again: Callable[[int | None], dict[str, Contribution]] | None = None
        if losses > 1 or any(module.is_cut for _, module in modules):
            if len(modules) > 1:
                raise NotSeen("one layer may read another one's output, so other cuts cannot be tried")
            ((first, module),) = modules
            chain = module.chain()
            chain.check(module.layers, bounds)
            network = _Layers(losses, chain.own)

            def again(truncation: int | None) -> dict[str, Contribution]:
                return chain.with_truncation(first, truncation, bounds)

        trace = WatchedTrace(readings, bounds, again)
        return check_rows(self._measure, self._measure.before_update(step, network, trace)), network.truncation


class _Layers:
    """What `Truncation` asks of a network."""

    def __init__(self, readout_steps: int, truncation: int | None) -> None:
        self.readout_steps, self.truncation = readout_steps, truncation


def losses_of(reading: Reading) -> int:
    """The number of timesteps from the first one with a direct part to the last."""
    direct = (reading.direct.flatten(1) != 0).any(dim=1).tolist()
    return len(direct) - direct.index(True) if True in direct else len(direct)
