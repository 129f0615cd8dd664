"""The trace of a network on one batch: states, gates and gradients of every layer at every timestep."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import torch
from jaxtyping import Bool
from torch import Tensor

from models.cell import Cell, HiddenSequence, InputSequence
from models.contributions import Bounds, Contribution
from models.differentiation import DetachedState
from models.padding import Starts, is_present
from models.recursion import Gradient, Trajectory, Unrolled, unrolled_by
from models.truncation import unroll


def cut(length: int, windows: int) -> Bounds:
    """Cut timesteps 1..length into `windows` parts of nearly equal length, or into `length` parts if that is less."""
    windows = min(windows, length)
    ends = [length * k // windows for k in range(windows + 1)]
    return [(before + 1, last) for before, last in pairwise(ends)]


@dataclass(frozen=True)
class Layer:
    """One layer on one batch.

    Attributes:
        states: Every state by name: before timestep 1, and after each timestep, (time + 1, batch, size).
        gates: Every gate by name at each timestep, (time, batch, hidden).
        gradients: dL/ds_t of every state by name, (time, batch, size): the total derivative. It is the sum of the
            direct part (through the read-out or the layer above at timestep t) and everything that comes back from
            later timesteps.
        along_gates: The part of dL/ds_t that flows back along s alone, for each state that is kept by a gate.
        contributions: The parts of all timesteps in the gradient of each parameter, by its name in the network.
        trained: The gradient that training uses of each parameter, before clipping, by its name in the network. It is
            the parameter's own `grad`, and not computed from `contributions`. Empty if it is not that of the loss
            alone, because a remedy adds a penalty.
    """

    states: Mapping[str, Trajectory]
    gates: Mapping[str, Trajectory]
    gradients: Mapping[str, Trajectory]
    along_gates: Mapping[str, Trajectory]
    contributions: Mapping[str, Contribution]
    trained: Mapping[str, Tensor] = field(default_factory=dict)


class Trace:
    """What backpropagation through time saw: every layer at every timestep.

    Args:
        unrolled: Layers, from the one that reads the input to the one that is read out.
        direct: The direct part of dL/dh_t of each layer, (time, batch, hidden).
        windows: Windows of timesteps. A measure writes a row for the end of each, or for each.
        overflowed: Whether a nan in a gradient means a value beyond the range of the dtype, which becomes inf.
        trained: See `Layer`.
        starts: Number of padded timesteps before each sequence; None for sequences without padding.
        unroll_again: Function that unrolls a layer, counted from 0, with another truncation.
        inputs: Input of each layer, (time, batch, input); empty where it is not known.

    Attributes:
        marked: Timesteps of each sequence that the task marks, (time, batch); None if the task marks none.

    Raises:
        DetachedState: The next timestep reads a state outside autograd's graph.
    """

    marked: Bool[Tensor, "time batch"] | None = None

    def __init__(
        self,
        unrolled: Sequence[Unrolled],
        direct: Sequence[Trajectory],
        windows: Bounds,
        overflowed: bool = False,
        trained: Mapping[str, Tensor] | None = None,
        starts: Starts | None = None,
        unroll_again: Callable[[int, int | None], Unrolled] | None = None,
        inputs: Sequence[Tensor] = (),
    ) -> None:
        self.starts, self.inputs = starts, inputs
        self.windows, self._overflowed, self._trained = windows, overflowed, trained or {}
        self._unroll_again = unroll_again
        self._unrolled, self._direct = unrolled, direct
        self.layers = [self._layer(*layer) for layer in zip(range(len(unrolled)), unrolled, direct, strict=True)]

    @property
    def ends(self) -> list[int]:
        """The last timestep of each window, counted from 1."""
        return [last for _, last in self.windows]

    def at_ends(self, values: Trajectory) -> Trajectory:
        """The values at the end of each window, of values at timesteps 1 to T."""
        return values if len(values) == len(self.windows) else values[[last - 1 for last in self.ends]]

    def of_sequences(
        self, values: Trajectory, timesteps: Sequence[int] | None = None
    ) -> list[tuple[list[int], Tensor]]:
        """The values of the sequences that have begun, in groups of timesteps at which they are the same sequences.

        Without padding, all timesteps are one group. A timestep before all sequences is in none.

        Args:
            values: Values of the timesteps that are asked for, (timesteps, batch, ...).
            timesteps: These timesteps, counted from 1; None for the ends of the windows.

        Returns:
            The timesteps of each group, and the values (timesteps, sequences, ...).
        """
        timesteps = self.ends if timesteps is None else list(timesteps)
        if self.starts is None:
            return [(timesteps, values)]
        begun = [tuple(one) for one in is_present(self.starts, self.ends[-1])[[t - 1 for t in timesteps]].tolist()]
        groups = []
        for sequences, group in groupby(range(len(timesteps)), begun.__getitem__):
            rows = list(group)
            if any(sequences):
                chosen = torch.tensor(sequences, device=values.device)
                groups.append(([timesteps[row] for row in rows], values[rows][:, chosen]))
        return groups

    def norms_and_shares(
        self, contribution: Contribution, whole: Tensor | None = None
    ) -> tuple[list[float], Sequence[float | None]]:
        """The L2 norm of each window's part in the gradient of a parameter, and its share of the whole.

        Args:
            contribution: Parts of all timesteps.
            whole: The gradient of the parameter, from another computation; None takes the sum of the parts.

        Returns:
            The norms and the shares. The shares are None if the whole gradient is 0 or not finite.
        """
        contribution = contribution.cut(self.windows)
        norms: list[float] = self._known(contribution.norms(self.windows)).tolist()
        return norms, contribution.shares(self.windows, whole) or [None] * len(norms)

    def _layer(self, index: int, unrolled: Unrolled, direct: Trajectory) -> Layer:
        gradient = unrolled.gradient or _backward(index, unrolled, direct)
        contributions = {f"layers.{index}.{name}": one for name, one in gradient.contributions.items()}
        return Layer(
            unrolled.states,
            unrolled.gates,
            {name: self._known(one) for name, one in gradient.states.items()},
            {name: self._known(one) for name, one in unrolled.along_gates(direct).items()},
            contributions,
            {name: self._trained[name] for name in contributions if name in self._trained},
        )

    def _known(self, values: Tensor) -> Tensor:
        return values.nan_to_num(torch.inf, torch.inf, -torch.inf) if self._overflowed else values

    def of_single_losses(self, timesteps: Sequence[int]) -> list[Mapping[str, Trajectory]]:
        """Backpropagate the losses of single timesteps, all at once.

        The loss L_t of timestep t is the part of the loss that depends on the output at that timestep.

        Args:
            timesteps: Timesteps t of the losses, counted from 1.

        Returns:
            dL_t/ds of every state by name for each layer, (time, losses, batch, size).
        """
        top = self._direct[-1]
        direct = top.new_zeros(len(top), len(timesteps), *top.shape[1:])
        for index, t in enumerate(timesteps):
            direct[t - 1, index] = top[t - 1]
        layers: list[Mapping[str, Trajectory]] = []
        for index, one in reversed(list(enumerate(self._unrolled))):
            gradient = _backward(index, one, direct)
            layers.insert(0, {name: self._known(states) for name, states in gradient.states.items()})
            if index:
                direct = gradient.input()
        return layers

    def with_truncation(self, truncation: int | None) -> dict[str, Contribution] | None:
        """Backpropagate the same loss at the same weights, but cut as `truncation` says (see `models.truncation`).

        Every layer is unrolled and backpropagated once more.

        Args:
            truncation: Timesteps after which the gradient is cut; None does not cut it.

        Returns:
            The parts of all timesteps in the gradient of each parameter of the layers, by its name in the network.
            None if a layer has other states than before, as a cell that draws random numbers has.
        """
        if self._unroll_again is None:
            return None
        direct = self._direct[-1]
        contributions: dict[str, Contribution] = {}
        for index in reversed(range(len(self._unrolled))):
            again = self._unroll_again(index, truncation)
            if not all(_close(again.states[name], states) for name, states in self._unrolled[index].states.items()):
                return None
            gradient = _backward(index, again, direct)
            contributions |= {f"layers.{index}.{name}": one for name, one in gradient.contributions.items()}
            if index:
                direct = gradient.input()
        return contributions


def follow(
    cells: Sequence[Cell],
    x: InputSequence,
    hidden: Sequence[HiddenSequence],
    windows: Bounds,
    *,
    overflowed: bool = False,
    penalized: bool = False,
    truncation: int | None = None,
    starts: Starts | None = None,
) -> Trace:
    """Trace the layers of a network after backpropagation. The gradients of the parameters stay as they are.

    A layer that was trained with its own equations has been traced on the way. Any other layer is unrolled once more.

    Args:
        cells: Layers, from the one that reads the input to the one that is read out.
        x: Input of the network.
        hidden: h of every timestep of each layer, with its gradient.
        windows: Windows of timesteps.
        overflowed: See `Trace`.
        penalized: Whether the gradients of the parameters include that of a penalty, so that they are not those of
            the loss alone; see `Layer.trained`.
        truncation: As in `RecurrentNetwork`.
        starts: As in `Trace`.

    Raises:
        DetachedState: The loss does not depend on a layer, or the next timestep reads a state outside the graph.
    """
    inputs = [one.detach() for one in (x, *hidden[:-1])]
    unrolled, direct = [], []
    for index, (cell, below, h) in enumerate(zip(cells, inputs, hidden, strict=True)):
        if h.grad is None:
            raise DetachedState(f"layer {index}: the loss does not depend on it")
        unrolled.append(unrolled_by(h) or unroll(cell, below, windows, h.detach(), truncation, starts))
        direct.append(h.grad)

    def unroll_again(index: int, truncation: int | None) -> Unrolled:
        return unroll(cells[index], inputs[index], windows, hidden[index].detach(), truncation, starts)

    trained = {
        f"layers.{index}.{name}": parameter.grad
        for index, cell in enumerate(cells)
        for name, parameter in cell.named_parameters()
        if parameter.grad is not None and not penalized
    }
    return Trace(unrolled, direct, windows, overflowed, trained, starts, unroll_again, inputs)


def _backward(index: int, unrolled: Unrolled, direct: Trajectory) -> Gradient:
    try:
        return unrolled.backward(direct)
    except DetachedState as error:
        raise DetachedState(f"layer {index}, {error}") from error


def _close(one: Tensor, other: Tensor) -> bool:
    """Whether two trajectories are the same but for rounding: different random numbers change them by far more."""
    return bool((one - other).abs().max() <= 0.01 * other.abs().max())
