"""What one layer read in a step, with all states and gradients; and how several calls become one batch of sequences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from experiments.watching.calls import NotSeen
from models.cell import Cell
from models.contributions import Contribution, OuterProducts
from models.recursion import Trajectory

OfLosses = Callable[[Sequence[int]], Mapping[str, Trajectory]]
"""The gradients of the losses of single timesteps, as in `Trace.of_single_losses`."""


@dataclass(frozen=True)
class Reading:
    """A layer that reads a batch of sequences, which all begin at timestep 1 and end at their own.

    Attributes:
        cell: Our cell with the layer's weights.
        states: As in `Layer`.
        gates: As in `Layer`.
        gradients: As in `Layer`.
        along_gates: As in `Layer`.
        contributions: As in `Layer`, by the parameter's name in the cell.
        direct: The direct part of dL/dh_t, (time, batch, hidden); in a loop over cells
            whose states are changed between the calls, the total derivative.
        lengths: Number of timesteps of each sequence, (batch).
        of_losses: See `OfLosses`; None if it is not defined.
        x: Input, (time, batch, input); None in packed sequences and bidirectional layers.
        handed: The part of dL/ds_T of each state that came through the state which the call returned, by its name,
            (batch, size). That of h is in `direct`, too.
        dropped: What dropout multiplied h of every timestep with, (time, batch, hidden); None without dropout.
    """

    cell: Cell
    states: Mapping[str, Trajectory]
    gates: Mapping[str, Trajectory]
    gradients: Mapping[str, Trajectory]
    along_gates: Mapping[str, Trajectory]
    contributions: Mapping[str, Contribution]
    direct: Trajectory
    lengths: Int64[Tensor, " batch"]
    of_losses: OfLosses | None = None
    x: Trajectory | None = None
    handed: Mapping[str, Tensor] = field(default_factory=dict)
    dropped: Trajectory | None = None

    @property
    def timesteps(self) -> int:
        """Number of timesteps of the longest sequence."""
        return len(self.direct)

    @property
    def is_ragged(self) -> bool:
        """Whether some sequences are shorter than others."""
        return bool((self.lengths != self.timesteps).any())


def one_after_the_other(readings: Sequence[Reading]) -> Reading:
    """Join readings of which each continues with the last state of the one before."""
    if len(readings) == 1:
        return readings[0]
    if any(reading.is_ragged for reading in readings[:-1]):
        raise NotSeen("a packed batch continues with the state of another one")
    before = readings[0]
    after = _joined([{name: states[1:] for name, states in one.states.items()} for one in readings])
    return Reading(
        before.cell,
        {name: torch.cat([before.states[name][:1], states]) for name, states in after.items()},
        _joined([one.gates for one in readings]),
        _joined([one.gradients for one in readings]),
        {},
        _products(readings, lambda parts: OuterProducts.join(parts, [])),
        torch.cat([one.direct for one in readings]),
        readings[-1].lengths + sum(one.timesteps for one in readings[:-1]),
    )


def side_by_side(readings: Sequence[Reading]) -> Reading:
    """Make one batch of all sequences, with padding before the shorter ones, so that all end at the last timestep.

    States, gates and gradients are 0 in the padding.
    """
    length = max(one.timesteps for one in readings)
    if len(readings) == 1 and not readings[0].is_ragged:
        return readings[0]
    shifts = [_Shift(length, one.lengths) for one in readings]

    def shifted(of: Callable[[Reading], Mapping[str, Trajectory]]) -> dict[str, Trajectory]:
        names = [name for name in of(readings[0]) if all(name in of(one) for one in readings)]
        return {
            name: torch.cat([shift(of(one)[name]) for one, shift in zip(readings, shifts, strict=True)], dim=1)
            for name in names
        }

    def of_products(parts: Sequence[OuterProducts]) -> OuterProducts:
        moved = [part.apply(shift) for part, shift in zip(parts, shifts, strict=True)]
        return OuterProducts.beside(moved)

    states = shifted(lambda one: {name: values[1:] for name, values in one.states.items()})
    before = {name: torch.cat([one.states[name][:1] for one in readings], dim=1) for name in states}
    return Reading(
        readings[0].cell,
        {name: torch.cat([before[name], values]) for name, values in states.items()},
        shifted(lambda one: one.gates),
        shifted(lambda one: one.gradients),
        shifted(lambda one: one.along_gates),
        _products(readings, of_products),
        shifted(lambda one: {"h": one.direct})["h"],
        torch.cat([one.lengths for one in readings]),
    )


class _Shift:
    """Moves sequences of different lengths to the end of `length` timesteps, with 0 before them."""

    def __init__(self, length: int, lengths: Tensor) -> None:
        source = torch.arange(length, device=lengths.device)[:, None] - (length - lengths)
        self._absent, self._source = source < 0, source.clamp(min=0)

    def __call__(self, values: Tensor) -> Tensor:
        """Move values of (time, batch, size)."""
        moved = values[self._source, torch.arange(values.shape[1], device=values.device)]
        return moved.masked_fill(self._absent[..., None], 0.0)


def _products(readings: Sequence[Reading], join: Callable[[list[Any]], OuterProducts]) -> dict[str, Contribution]:
    """Join the contributions of all readings; empty if one of them has only sums over windows.

    Two biases that share one gradient keep sharing it.
    """
    names = [name for name in readings[0].contributions if all(name in one.contributions for one in readings)]
    joined: dict[tuple[int, ...], Contribution] = {}
    found = {}
    for name in names:
        parts = [one.contributions[name] for one in readings]
        if not all(isinstance(part, OuterProducts) for part in parts):
            continue
        key = tuple(map(id, parts))
        joined[key] = joined.get(key) or join(parts)
        found[name] = joined[key]
    return found


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join tensors of the same name along time."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
