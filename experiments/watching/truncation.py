"""truncation.csv of a watched loop: how far the gradient is from the whole one if it is cut after K timesteps."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from experiments.measures.measure import Row, check_rows
from experiments.measures.truncation import Truncation, compare, difference
from experiments.watching.calls import NotSeen
from experiments.watching.readings import Reading
from experiments.watching.stacks import Modules, chain_of_stack, stacks_of
from experiments.watching.trace import WatchedTrace
from experiments.watching.truncated import count_from_first
from models.contributions import Bounds, Contribution
from models.truncation import pieces

OWN_CUT = "own_cut"
"""The word in the column `parameter` of the row of the cuts that the loop itself makes, wherever they are."""


class WatchedTruncation:
    """The rows of truncation.csv, of all layers together.

    Attributes:
        columns: Names of the columns.
    """

    columns = Truncation.columns

    def __init__(self) -> None:
        self._measure = Truncation()

    def rows(self, step: int, modules: Modules, windows: Callable[[int], Bounds]) -> list[Row]:
        """The rows of a recorded step.

        Args:
            step: Number of the step.
            modules: Each module, with the number of its first layer.
            windows: Function that cuts a number of timesteps into windows.

        Raises:
            NotSeen: No other cut can be tried.
        """
        readings = {
            number: one for first, module in modules.values() for number, one in enumerate(module.layers, first)
        }
        lengths = {one.timesteps for one in readings.values()}
        if len(lengths) > 1:
            raise NotSeen("its layers have different numbers of timesteps, so no cut is the same in all of them")
        bounds = windows(lengths.pop())
        stacks = stacks_of(modules)
        losses = max(losses_of(module.layers[-1]) for _, module in modules.values())
        is_cut = any(module.is_cut for _, module in modules.values())
        if losses == 1 and not is_cut:  # what a cut leaves out is then the sum of the parts before it
            return self._rows_of(step, WatchedTrace(readings, bounds), losses)
        chains = {}
        for stack in stacks:
            redone = [modules[name] for name in stack]
            numbers = [number for first, module in redone for number in range(first, first + len(module.layers))]
            chains[tuple(numbers)] = chain = chain_of_stack([module for _, module in redone])
            chain.check([readings[number] for number in numbers], bounds)
        own, *others = [chain.cuts for chain in chains.values()]
        if any(list(one) != list(own) for one in others):
            raise NotSeen("its states are detached after different timesteps")

        def again(truncation: int | None) -> dict[str, Contribution]:
            return {
                f"layers.{number}.{name}": one
                for numbers, chain in chains.items()
                for number, of in zip(
                    numbers, chain.backward(pieces(len(chain.output), truncation), bounds), strict=True
                )
                for name, one in of.items()
            }

        losses = max(chain.losses for chain in chains.values())
        if not is_cut:
            return self._rows_of(step, WatchedTrace(readings, bounds, again), losses)
        cut, whole = WatchedTrace(readings, bounds), again(None)
        uncut = {number: replace(one, contributions=_of_layer(number, whole)) for number, one in readings.items()}
        rows = self._rows_of(step, WatchedTrace(uncut, bounds, again), losses)
        apart = [last - first for first, last in pairwise([0, *own, bounds[-1][1]])]
        return [*rows, *self._own_row(step, cut, whole, max(apart))]

    def _rows_of(self, step: int, trace: WatchedTrace, losses: int) -> list[Row]:
        network: Any = _Layers(losses)
        return check_rows(self._measure, self._measure.before_update(step, network, trace))

    def _own_row(self, step: int, trace: WatchedTrace, whole: Mapping[str, Contribution], longest: int) -> list[Row]:
        """The row of what the loop's own cuts change, if the gradient without them is finite and not 0."""
        trained = {name: one for layer in trace.layers for name, one in layer.contributions.items()}
        totals = {name: one.total().double() for name, one in whole.items()}
        compared = dict(compare(totals, difference(totals, trained)))
        return [(step, OWN_CUT, longest, *compared["layers"])] if "layers" in compared else []


def _of_layer(number: int, contributions: Mapping[str, Contribution]) -> dict[str, Contribution]:
    prefix = f"layers.{number}."
    return {name.removeprefix(prefix): one for name, one in contributions.items() if name.startswith(prefix)}


class _Layers:
    """What `Truncation` asks of a network."""

    truncation = None

    def __init__(self, readout_steps: int) -> None:
        self.readout_steps = readout_steps


def losses_of(reading: Reading) -> int:
    """The number of timesteps from the first one with a direct part to the last."""
    return count_from_first((reading.direct.flatten(1) != 0).any(dim=1))
