"""The layers of a watched module, backpropagated once more with other cuts: what truncation.csv needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from experiments.watching.calls import NotSeen
from experiments.watching.readings import Reading
from experiments.watching.sequences import Link
from models.cell import Cell, State
from models.contributions import Bounds, Contribution
from models.recursion import Gradient, Unrolled
from models.truncation import Pieces

TOLERANCE = 1e4
"""Largest difference of a gradient that counts as rounding, in units of the dtype's precision."""


@dataclass(frozen=True)
class ChainLayer:
    """One layer over the timesteps of all calls of a sequence.

    Attributes:
        cell: Our cell with the layer's weights.
        x: Input, (time, batch, input).
        before: State before timestep 1.
        hidden: h of every timestep, (time, batch, hidden).
        further: What reaches each state from outside the module through the states that calls returned, by name,
            (time, batch, size). It does not include what a later call hands back to them.
        dropped: What dropout multiplied the output with, (time, batch, hidden); None without dropout.
    """

    cell: Cell
    x: Tensor
    before: State
    hidden: Tensor
    further: Mapping[str, Tensor]
    dropped: Tensor | None = None


@dataclass(frozen=True)
class Chain:
    """The layers of a module, from the one that reads the input upwards, over one batch of sequences.

    Attributes:
        layers: The layers.
        output: What reaches the output of the topmost layer, (time, batch, hidden).
        cuts: Timesteps after which the loop detached the states.
    """

    layers: Sequence[ChainLayer]
    output: Tensor
    cuts: Sequence[int]

    @property
    def losses(self) -> int:
        """The number of timesteps from the first one that something outside the chain reaches to the last."""
        reached = (self.output.flatten(1) != 0).any(dim=1)
        for layer in self.layers:
            for part in layer.further.values():
                reached |= (part.flatten(1) != 0).any(dim=1)
        return count_from_first(reached)

    def input_gradient(self) -> Tensor:
        """The gradient of what the lowest layer reads, (time, batch, input), with the loop's own cuts."""
        return self._backward(self._own_bounds, [(1, len(self.output))])[1].input()

    def backward(self, bounds: Bounds, windows: Bounds) -> list[Mapping[str, Contribution]]:
        """Backpropagate with a gradient that does not leave its piece.

        Args:
            bounds: First and last timestep of each piece.
            windows: Windows of timesteps.

        Returns:
            The parts of all timesteps in the gradient of each parameter, for each layer.
        """
        return self._backward(bounds, windows)[0]

    @property
    def _own_bounds(self) -> list[tuple[int, int]]:
        return [(before + 1, last) for before, last in pairwise([0, *self.cuts, len(self.output)])]

    def _backward(self, bounds: Bounds, windows: Bounds) -> tuple[list[Mapping[str, Contribution]], Gradient]:
        output, found = self.output, []
        for layer in reversed(self.layers):
            if layer.dropped is not None:
                output = output * layer.dropped
            unrolled: Unrolled
            if len(bounds) == 1:
                unrolled = layer.cell.unroll(layer.x, layer.before, windows, layer.hidden)
            else:
                unrolled = Pieces(layer.cell, layer.x, layer.before, windows, layer.hidden, bounds)
            unrolled.further = {name: one for name, one in layer.further.items() if name != "h"}
            gradient = unrolled.backward(output + layer.further["h"])
            found.append(gradient.contributions)
            if layer is not self.layers[0]:
                output = gradient.input()
        return found[::-1], gradient

    def check(self, readings: Sequence[Reading], windows: Bounds) -> None:
        """Check that the loop's own cuts lead to the gradients that the loop has.

        Args:
            readings: What each layer read.
            windows: Windows of timesteps.

        Raises:
            NotSeen: They do not.
        """
        own = self.backward(self._own_bounds, windows)
        for reading, found in zip(readings, own, strict=True):
            for name, one in reading.contributions.items():
                expected = one.total()
                far = (found[name].total() - expected).abs().amax()
                if not far <= TOLERANCE * torch.finfo(expected.dtype).eps * expected.abs().amax():
                    raise NotSeen("its states are used or changed between its calls, so other cuts cannot be tried")


def count_from_first(reached: Tensor) -> int:
    """The number of timesteps from the first one that is reached to the last; all if none is reached."""
    found = reached.tolist()
    return len(found) - found.index(True) if True in found else len(found)


def chain_of(calls: Sequence[Sequence[Reading]], links: Sequence[Sequence[Link]]) -> Chain:
    """The layers of one module over the calls of a step.

    Args:
        calls: What each layer read in each call; in a loop over cells, one for all calls together.
        links: How each call came by its states.

    Raises:
        NotSeen: Other cuts cannot be tried.
    """
    if any(one.x is None for of_call in calls for one in of_call):
        raise NotSeen("other cuts cannot be tried in packed sequences and bidirectional layers")
    after = links[1:]
    if any(len({*of_call}) > 1 or of_call[0] == "changed" for of_call in after):
        raise NotSeen("its states are changed between its calls, so other cuts cannot be tried")
    lengths = [of_call[0].timesteps for of_call in calls] if len(calls) == len(links) else [1] * len(links)
    ends = list(accumulate(lengths))
    cuts = [end for end, of_call in zip(ends, after, strict=False) if of_call[0] == "detached"]
    is_carried = [end not in cuts for end in ends[:-1]] + [False] if len(calls) > 1 else [False]
    layers = []
    for of_layer in zip(*calls, strict=True):
        dropped = [one.dropped for one in of_layer if one.dropped is not None]
        layers.append(
            ChainLayer(
                of_layer[0].cell,
                torch.cat([one.x for one in of_layer if one.x is not None]),
                tuple(states[0] for states in of_layer[0].states.values()),
                torch.cat([one.states["h"][1:] for one in of_layer]),
                _further(of_layer, is_carried),
                torch.cat(dropped) if dropped else None,
            )
        )
    output = torch.cat([_of_output(of_call[-1]) for of_call in calls])
    return Chain(layers, output, cuts)


def _of_output(reading: Reading) -> Tensor:
    """What reached the output of the topmost layer in a call."""
    output = reading.direct.clone()
    if "h" in reading.handed:
        output[-1] -= reading.handed["h"]
    return output


def _further(calls: Sequence[Reading], is_carried: Sequence[bool]) -> dict[str, Tensor]:
    """What reached the states that one layer's calls returned, but for those that the next call carries on.

    That is all that reached them in most loops; `Chain.check` finds out.
    """
    further = {name: [torch.zeros_like(one.states[name][1:]) for one in calls] for name in calls[0].states}
    for number, (reading, carried) in enumerate(zip(calls, is_carried, strict=True)):
        for name, handed in reading.handed.items():
            if not carried:
                further[name][number][-1] = handed
    return {name: torch.cat(parts) for name, parts in further.items()}
