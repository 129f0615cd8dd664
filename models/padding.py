"""Sequences of different lengths in one batch, padded before their first timestep, so that all end at timestep T.

A sequence begins from the initial state wherever it starts, so its states and gradients are those that it has alone.
No gradient comes back to the padding. A lag T - t counts from the end of every sequence.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from models.cell import Cell, HiddenSequence, Inputs, InputSequence, State
from models.contributions import Bounds, OuterProducts
from models.differentiation import Differentiated
from models.recursion import Gradient, Trajectory, Unrolled

Starts = Int64[Tensor, " batch"]
"""The number of padded timesteps before each sequence. A negative number or 0 means that there are none."""


def is_present(starts: Starts, length: int) -> Bool[Tensor, "time batch"]:
    """Whether each sequence has begun at each timestep, its first one included."""
    return torch.arange(length, device=starts.device)[:, None] >= starts


def begin(cell: Cell, state: State, waiting: Bool[Tensor, " batch"]) -> State:
    """Replace the state of the waiting sequences by the initial state."""
    initial = cell.initial_state(len(waiting))
    return tuple(torch.where(waiting[:, None], one, other) for one, other in zip(initial, state, strict=True))


def run(cell: Cell, x: InputSequence, state: State, starts: Starts) -> HiddenSequence:
    """Run a layer over sequences that begin at their own timesteps, at once. Return h of every timestep.

    Args:
        cell: Layer that draws no random numbers, since its timesteps are not those of the sequences.
        x: Input of the layer.
        state: Initial state.
        starts: Number of padded timesteps before each sequence. h is 0 there.
    """
    length = len(x)
    hidden = _by(starts, length)(cell(_by(-starts, length)(x), state)[0])
    return hidden.masked_fill(~is_present(starts, length)[..., None], 0.0)


def unroll(
    cell: Cell, x: InputSequence, state: State, windows: Bounds, hidden: HiddenSequence | None, starts: Starts
) -> Unrolled:
    """Unroll a layer as `Cell.unroll` does, for sequences that begin at their own timesteps.

    Args:
        cell: Layer.
        x: Input of the layer.
        state: State before timestep 1 of the sequences without padding.
        windows: Windows of timesteps.
        hidden: h of every timestep; None computes it.
        starts: Number of padded timesteps before each sequence.

    Returns:
        The layer. Its Jacobians are known from the second timestep of a sequence on.
    """
    if cell.has_equations:
        return _Shifted(cell, x, begin(cell, state, starts >= 0), hidden, starts)
    return _Differentiated(cell, x, state, windows, starts)


class _Shifted(Unrolled):
    """A layer with written equations. They see sequences that all begin at timestep 1, with the padding behind them.

    What follows a sequence does not change its states, and without a loss there no gradient comes back from it.
    """

    def __init__(
        self, cell: Cell, x: InputSequence, state: State, hidden: HiddenSequence | None, starts: Starts
    ) -> None:
        length = len(x)
        self._present = is_present(starts, length)
        self._starts = starts = starts.clamp(0, length - 1)
        self._earlier, self._later = _by(-starts, length), _by(starts, length)
        known = None if hidden is None else self._earlier(hidden)
        self._unrolled = cell.unroll(self._earlier(x), state, [(1, length)], known)
        states = self._unrolled.states.items()
        self.states = {name: torch.cat([steps[:1], self._known(steps[1:])]) for name, steps in states}
        self.gates = {name: self._known(values) for name, values in self._unrolled.gates.items()}

    def backward(self, direct: Trajectory) -> Gradient:
        found = self._unrolled.backward(self._earlier(direct))
        moved: dict[int, OuterProducts] = {}  # two biases of an RNN or LSTM have one gradient
        for one in found.contributions.values():
            assert isinstance(one, OuterProducts)
            moved[id(one)] = moved.get(id(one)) or one.apply(self._later)
        contributions = {name: moved[id(one)] for name, one in found.contributions.items()}
        states = {name: self._known(one) for name, one in found.states.items()}
        return Gradient(states, contributions, lambda: self._known(found.input()))

    def along_gates(self, direct: Trajectory) -> dict[str, Trajectory]:
        found = self._unrolled.along_gates(self._earlier(direct))
        return {name: self._known(one) for name, one in found.items()}

    def jacobians(self, first: int, last: int) -> Float[Tensor, "time batch state state"]:
        timesteps = (torch.arange(first, last + 1, device=self._starts.device)[:, None] - self._starts).clamp(min=1)
        begin = int(timesteps.min())
        found = self._unrolled.jacobians(begin, int(timesteps.max()))
        return found[timesteps - begin, torch.arange(len(self._starts), device=found.device)]

    def _known(self, values: Trajectory) -> Trajectory:
        """The values in the order of the layer's timesteps, with 0 in the padding."""
        values = self._later(values)
        present = self._present[:, None] if values.dim() == 4 else self._present
        return values.masked_fill(~present[..., None], 0.0)


def _by(timesteps: Starts, length: int) -> Callable[[Trajectory], Trajectory]:
    """A function that moves each sequence by a number of timesteps. What leaves at one end comes back at the other."""
    batch = torch.arange(len(timesteps), device=timesteps.device)
    source = (torch.arange(length, device=timesteps.device)[:, None] - timesteps) % length

    def move(values: Trajectory) -> Trajectory:
        return values.movedim(-2, 1)[source, batch].movedim(1, -2)

    return move


class _Beginning(Cell):
    """A cell that begins each sequence at its own timestep.

    A further input says, with a 1, that the state before a timestep is the initial one.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.input_size + 1, cell.hidden_size)
        self.cell = cell
        self.state_names, self.kept_by = cell.state_names, cell.kept_by  # type: ignore[misc]

    def step(self, x: Tensor, state: State) -> State:
        return self.cell.step(x[..., :-1], self._begun(x, state))

    def all_gates(self, x: Inputs, state: State) -> dict[str, Tensor]:
        return self.cell.all_gates(x[..., :-1], self._begun(x, state))

    def _begun(self, x: Tensor, state: State) -> State:
        initial = self.cell.initial_state(x.shape[-2])
        return tuple(torch.where(x[..., -1:] > 0, one, other) for one, other in zip(initial, state, strict=True))


class _Differentiated(Differentiated):
    """A layer without written equations: autograd does not see anything before a sequence's first timestep."""

    def __init__(self, cell: Cell, x: InputSequence, state: State, windows: Bounds, starts: Starts) -> None:
        waiting = torch.arange(len(x), device=x.device)[:, None] <= starts
        super().__init__(_Beginning(cell), torch.cat([x, waiting[..., None].to(x.dtype)], dim=-1), state, windows)

    def backward(self, direct: Trajectory) -> Gradient:
        found = super().backward(direct)
        contributions = {name.removeprefix("cell."): one for name, one in found.contributions.items()}
        return Gradient(found.states, contributions, lambda: found.input()[..., :-1])
