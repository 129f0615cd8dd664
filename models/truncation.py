"""Truncated backpropagation through time: a sequence in pieces, with a gradient that does not leave its piece.

The hidden state goes on from piece to piece, so the outputs are those of the whole sequence (Williams, Peng 1990).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from models import padding
from models.cell import Cell, HiddenSequence, InputSequence, State
from models.contributions import Bounds, Contribution
from models.differentiation import DetachedState
from models.padding import Starts
from models.recursion import Gradient, Trajectory, Unrolled

T = TypeVar("T")


def pieces(length: int, truncation: int | None) -> Bounds:
    """Cut timesteps 1..length into pieces of `truncation` timesteps, counted back from the end.

    The first piece takes the rest. There is one piece if `truncation` is None or at least `length`.
    """
    if truncation is None:
        return [(1, length)]
    lasts = range(length, 0, -truncation)
    return [(max(1, last - truncation + 1), last) for last in reversed(lasts)]


def run(cell: Cell, x: InputSequence, truncation: int | None, starts: Starts | None = None) -> HiddenSequence:
    """Run a layer over a sequence. Return h of every timestep, whose gradient does not flow from piece to piece.

    Args:
        cell: Layer.
        x: Input of the layer.
        truncation: Number of timesteps in a piece; None does not truncate.
        starts: Number of padded timesteps before each sequence; None for sequences without padding. h is 0 there.
    """
    state = cell.initial_state(x.shape[1])
    cuts = {last for _, last in pieces(len(x), truncation)}
    if starts is None and len(cuts) == 1:
        return cell(x, state)[0]  # type: ignore[no-any-return]
    if starts is not None and len(cuts) == 1 and cell.has_equations:
        return padding.run(cell, x, state, starts)
    hidden = []
    for before, last in pairwise(sorted({0, *cuts, *([] if starts is None else starts.tolist())})):
        if starts is not None:
            state = padding.begin(cell, state, starts >= before)
        h, state = cell(x[before:last], state)
        if last in cuts:
            state = tuple(tensor.detach() for tensor in state)
        hidden.append(h)
    whole = torch.cat(hidden)
    return whole if starts is None else whole.masked_fill(~padding.is_present(starts, len(x))[..., None], 0.0)


def unroll(
    cell: Cell,
    x: InputSequence,
    windows: Bounds,
    hidden: HiddenSequence,
    truncation: int | None,
    starts: Starts | None = None,
) -> Unrolled:
    """Unroll a layer as `Cell.unroll` does, with a gradient that does not flow from piece to piece.

    Args:
        cell: Layer.
        x: Input of the layer.
        windows: Windows of timesteps; they need not fit the pieces.
        hidden: h of every timestep, as `run` returned it.
        truncation: Number of timesteps in a piece; None does not truncate.
        starts: Number of padded timesteps before each sequence; None for sequences without padding.
    """
    state = cell.initial_state(x.shape[1])
    bounds = pieces(len(x), truncation)
    if len(bounds) == 1:
        return _unroll(cell, x, state, windows, hidden, starts)
    return Pieces(cell, x, state, windows, hidden, bounds, starts)


def _unroll(
    cell: Cell, x: InputSequence, state: State, windows: Bounds, hidden: HiddenSequence, starts: Starts | None
) -> Unrolled:
    if starts is None:
        return cell.unroll(x, state, windows, hidden)
    return padding.unroll(cell, x, state, windows, hidden, starts)


class Pieces(Unrolled):
    """A layer unrolled piece by piece: everything but the gradient is that of the whole sequence.

    Args:
        cell: Layer.
        x: Input of the layer.
        state: State before timestep 1.
        windows: Windows of timesteps.
        hidden: h of every timestep.
        bounds: First and last timestep of each piece.
        starts: Number of padded timesteps before each sequence; None for sequences without padding.
    """

    def __init__(
        self,
        cell: Cell,
        x: InputSequence,
        state: State,
        windows: Bounds,
        hidden: HiddenSequence,
        bounds: Bounds,
        starts: Starts | None = None,
    ) -> None:
        self._bounds = bounds
        self._pieces: list[Unrolled] = []
        self._windows: list[int] = []
        for first, last in bounds:
            here = [
                (number, (max(begin, first) - first + 1, min(end, last) - first + 1))
                for number, (begin, end) in enumerate(windows)
                if begin <= last and first <= end
            ]
            self._windows += [number for number, _ in here]
            timesteps = slice(first - 1, last)
            begins = None if starts is None else starts - (first - 1)
            piece = _unroll(cell, x[timesteps], state, [window for _, window in here], hidden[timesteps], begins)
            state = tuple(steps[-1] for steps in piece.states.values())
            self._pieces.append(piece)
        before = self._pieces[0].states
        after = _joined([{name: steps[1:] for name, steps in piece.states.items()} for piece in self._pieces])
        self.states = {name: torch.cat([before[name][:1], steps]) for name, steps in after.items()}
        self.gates = _joined([piece.gates for piece in self._pieces])

    def backward(self, direct: Trajectory) -> Gradient:
        gradients = self._each(lambda piece, part: piece.backward(part), direct)
        every = {name: [one.contributions.get(name) for one in gradients] for name in gradients[-1].contributions}
        known: dict[tuple[Contribution, ...], Contribution] = {}  # an RNN's and an LSTM's two biases have one gradient
        contributions = {}
        for name, parts in every.items():
            present = tuple(part for part in parts if part is not None)
            if present not in known:
                known[present] = present[0].join(present, self._windows)
            contributions[name] = known[present]
        states = _joined([one.states for one in gradients])
        return Gradient(states, contributions, lambda: torch.cat([one.input() for one in gradients]))

    def along_gates(self, direct: Trajectory) -> dict[str, Trajectory]:
        return _joined(self._each(lambda piece, part: piece.along_gates(part), direct))

    def jacobians(self, first: int, last: int) -> Float[Tensor, "time batch state state"]:
        return torch.cat(
            [
                piece.jacobians(max(begin, first) - begin + 1, min(end, last) - begin + 1)
                for piece, (begin, end) in zip(self._pieces, self._bounds, strict=True)
                if begin <= last and first <= end
            ]
        )

    def _each(self, backward: Callable[[Unrolled, Trajectory], T], direct: Trajectory) -> list[T]:
        """Backpropagate through each piece by itself."""
        found = []
        for piece, (first, last) in zip(self._pieces, self._bounds, strict=True):
            if self.further:
                piece.further = {name: part[first - 1 : last] for name, part in self.further.items()}
            try:
                found.append(backward(piece, direct[first - 1 : last]))
            except DetachedState as error:
                raise DetachedState(
                    f"in timesteps {first} to {last}, counted from the first of them: {error}"
                ) from error
        return found


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join tensors of the same name along time."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
