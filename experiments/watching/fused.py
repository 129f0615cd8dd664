"""A call of nn.RNN, nn.LSTM or nn.GRU, redone layer by layer, and backpropagation through it.

torch's kernels return h of the top layer alone. The layers below are computed again from the same input, with the same
dropout between them, and compared with the states that the call returned. What does not agree is not seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from experiments.watching.calls import Call, NotSeen
from experiments.watching.readings import Reading
from experiments.watching.weights import ProjectedLSTM, make_cell
from models.cell import Cell, State
from models.contributions import Bounds
from models.recursion import Gradient, Trajectory, Unrolled

TOLERANCE = 1e4
"""Largest difference of a state that counts as rounding, in units of the dtype's precision."""

CHECKED = 4
"""Number of timesteps at which the equations of the top layer are compared with what the call returned."""


class Batch:
    """The layout of a call's input: time first, (time, batch, size), padded behind each sequence.

    Args:
        call: The call.
    """

    def __init__(self, call: Call) -> None:
        module: Any = call.module
        self._packed = call.input if isinstance(call.input, PackedSequence) else None
        data = call.input.data if isinstance(call.input, PackedSequence) else call.input
        self._alone = self._packed is None and data.dim() == 2
        self._batch_first = module.batch_first and not self._alone
        self.x = self.padded(data).detach()
        if self._packed is None:
            self.lengths = torch.full((self.x.shape[1],), len(self.x), device=self.x.device)
        else:
            self.lengths = pad_packed_sequence(self._packed)[1].to(self.x.device)
        self._is_ragged = bool((self.lengths != len(self.x)).any())

    @property
    def shape_in_memory(self) -> tuple[int, ...]:
        """The shape, but for its last axis, of a layer's output between the layers."""
        return self.x.shape[:2] if self._packed is None else self._packed.data.shape[:1]

    def padded(self, values: Tensor) -> Tensor:
        """Values in the layout of the input or output, time first and padded."""
        if self._packed is not None:
            return pad_packed_sequence(self._packed._replace(data=values))[0]
        return values[:, None] if self._alone else values.transpose(0, 1) if self._batch_first else values

    def from_memory(self, values: Tensor) -> Tensor:
        """Values in the layout between the layers, time first and padded."""
        return values if self._packed is None else self.padded(values)

    def states(self, tensor: Tensor) -> Tensor:
        """A state of all layers, (layers, batch, size)."""
        return tensor[:, None] if self._alone else tensor

    def reversed(self, values: Tensor) -> Tensor:
        """The values of each sequence in reverse order, padded behind, (time, ..., batch, size)."""
        if not self._is_ragged:
            return values.flip(0)
        steps = torch.arange(len(values), device=values.device)[:, None]
        source = torch.where(steps < self.lengths, self.lengths - 1 - steps, steps)
        return values[source, torch.arange(len(self.lengths), device=values.device)]

    def at_end(self, values: Tensor, last: Tensor) -> Tensor:
        """Add something to the last timestep of each sequence, in place."""
        batch = torch.arange(len(self.lengths), device=values.device)
        values[self.lengths - 1, batch] += last
        return values

    def ends_of(self, values: Tensor) -> Tensor:
        """The values at the last timestep of each sequence, (batch, size)."""
        if not self._is_ragged:
            return values[-1]
        return values[self.lengths - 1, torch.arange(len(self.lengths), device=values.device)]

    def is_inside(self) -> Tensor:
        """Whether each timestep belongs to its sequence, (time, batch)."""
        return torch.arange(len(self.x), device=self.x.device)[:, None] < self.lengths


@dataclass(frozen=True)
class Direction:
    """One direction of one layer.

    Attributes:
        number: Number among all directions of all layers, in torch's order of their states.
        cell: Our cell with its weights.
        unrolled: The layer unrolled over the batch, in the order in which it reads.
        is_reverse: Whether it reads from the last timestep to the first.
        x: What it reads, time first.
    """

    number: int
    cell: Cell
    unrolled: Unrolled
    is_reverse: bool
    x: Tensor


def names_of(module: nn.RNNBase, name: str) -> list[str]:
    """The names of the directions of all layers of a module, in torch's order of their states."""
    layers = [f"{name}[{layer}]" if module.num_layers > 1 else name for layer in range(module.num_layers)]
    return [one for layer in layers for one in ([layer, f"{layer} reverse"] if module.bidirectional else [layer])]


class FusedCall:
    """A call of nn.RNN, nn.LSTM or nn.GRU as its layers.

    Args:
        call: The call.
        windows: Function that cuts a number of timesteps into windows.

    Raises:
        NotSeen: The call cannot be redone.
    """

    def __init__(self, call: Call, windows: Callable[[int], Bounds]) -> None:
        self._call, self._batch = call, Batch(call)
        self._module: Any = call.module
        call.check()
        self._windows = windows(len(self._batch.x))
        self._masks = self._dropped_out()
        self._layers = self._redo()
        self._check()

    def readings(self) -> list[Reading]:
        """Each direction of each layer, in torch's order of their states."""
        batch, call = self._batch, self._call
        output = batch.padded(call.gradients.get("output", torch.zeros_like(call.output)))
        ends: dict[str, Tensor] = {
            name: batch.states(call.gradients[name]) for name in ("h", "c") if name in call.gradients
        }
        gradients, directs = self._backward(output, ends)
        is_plain = not (batch._is_ragged or self._module.bidirectional)
        return [
            Reading(
                one.cell,
                one.unrolled.states,
                one.unrolled.gates,
                gradients[one.number].states,
                one.unrolled.along_gates(directs[one.number]),
                self._contributions(one, gradients[one.number]),
                directs[one.number],
                batch.lengths,
                self._of_losses(one.number) if is_plain else None,
                one.x if is_plain else None,
                {name: reached[one.number] for name, reached in ends.items()},
                mask,
            )
            for layer, mask in zip(self._layers, [*self._masks, None], strict=True)
            for one in layer
        ]

    def _contributions(self, one: Direction, gradient: Gradient) -> Mapping[str, Any]:
        if isinstance(one.cell, ProjectedLSTM) and self._batch._is_ragged:
            return {}  # sums over windows that do not end where the sequences do
        return gradient.contributions

    def _of_losses(self, number: int) -> Callable[[Sequence[int]], Mapping[str, Trajectory]]:
        return lambda timesteps: self._single_losses(tuple(timesteps))[number].states

    @lru_cache(maxsize=1)  # noqa: B019
    def _single_losses(self, timesteps: tuple[int, ...]) -> dict[int, Gradient]:
        output = self._batch.padded(self._call.gradients.get("output", torch.zeros_like(self._call.output)))
        direct = output.new_zeros(len(output), len(timesteps), *output.shape[1:])
        for index, t in enumerate(timesteps):
            direct[t - 1, index] = output[t - 1]
        if "h" in self._call.gradients and len(output) in timesteps:
            direct[-1, -1] += self._batch.states(self._call.gradients["h"])[-1]
        return self._backward(direct, {})[0]

    def _backward(
        self, output: Trajectory, ends: Mapping[str, Tensor]
    ) -> tuple[dict[int, Gradient], dict[int, Trajectory]]:
        """Backpropagate what reaches the output and the returned states."""
        batch, gradients, directs = self._batch, {}, {}
        for layer, mask in zip(reversed(self._layers), [None, *reversed(self._masks)], strict=True):
            if mask is not None:
                output = output * (mask if output.dim() == 3 else mask[:, None])
            below: Tensor | None = None
            for one, direct in zip(layer, output.chunk(len(layer), dim=-1), strict=True):
                direct = batch.reversed(direct) if one.is_reverse else direct.clone()
                if "h" in ends:
                    batch.at_end(direct, ends["h"][one.number])
                if "c" in ends:
                    states = one.unrolled.states["c"][1:]
                    one.unrolled.further = {"c": batch.at_end(torch.zeros_like(states), ends["c"][one.number])}
                gradients[one.number] = gradient = one.unrolled.backward(direct)
                directs[one.number] = direct
                if one.number >= len(layer):
                    x = batch.reversed(gradient.input()) if one.is_reverse else gradient.input()
                    below = x if below is None else below + x
            if below is not None:
                output = below
        return gradients, directs

    def _redo(self) -> list[list[Direction]]:
        """Unroll all layers, from the one that reads the input upwards."""
        module, batch, call = self._module, self._batch, self._call
        states = [batch.states(tensor.detach()) for tensor in call.before]
        x, layers = batch.x, []
        top = batch.padded(call.output).chunk(1 + module.bidirectional, dim=-1)
        for layer in range(module.num_layers):
            directions = []
            hidden = []
            for index in range(1 + module.bidirectional):
                is_reverse = index == 1
                number = layer * (1 + module.bidirectional) + index
                cell = make_cell(module, self._weights(number))
                state = tuple(one[number] for one in states) or zero_state(cell, x)
                read = batch.reversed(x) if is_reverse else x
                known = None
                if layer == module.num_layers - 1:
                    known = batch.reversed(top[index]) if is_reverse else top[index]
                unrolled = cell.unroll(read, state, self._windows, known)
                directions.append(Direction(number, cell, unrolled, is_reverse, read))
                h = unrolled.states["h"][1:]
                hidden.append(batch.reversed(h) if is_reverse else h)
            layers.append(directions)
            x = torch.cat(hidden, dim=-1)
            if layer < len(self._masks) and (mask := self._masks[layer]) is not None:
                x = x * mask
        return layers

    def _weights(self, number: int) -> dict[str, Tensor]:
        """The weights of one direction of one layer by their names in our cells."""
        found = {}
        for name in self._module._all_weights[number]:
            weight = self._call.weight(name)
            if weight is not None:
                found["_".join(name.split("_")[:2])] = weight
        return found

    def _dropped_out(self) -> list[Tensor | None]:
        """What dropout multiplied the output of each layer but the top one with, time first and padded."""
        module, batch = self._module, self._batch
        if not (module.dropout and module.training and module.num_layers > 1):
            return [None] * (module.num_layers - 1)
        if self._call.random is None or batch.x.device.type != "cpu":
            raise NotSeen(f"its dropout between layers on {batch.x.device.type} cannot be repeated")
        size = (module.proj_size or module.hidden_size) * (1 + module.bidirectional)
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._call.random)
            ones = batch.x.new_ones(*batch.shape_in_memory, size)
            return [batch.from_memory(dropout(ones, module.dropout)) for _ in range(module.num_layers - 1)]

    def _check(self) -> None:
        """Check that each layer computes what the call returned.

        Raises:
            NotSeen: It does not.
        """
        batch = self._batch
        some = self._checked_timesteps()
        inside = batch.is_inside()[some] if batch._is_ragged else slice(None)
        returned = [batch.states(tensor.detach()) for tensor in self._call.after]
        for layer in self._layers:
            for one in layer:
                for states, last in zip(one.unrolled.states.values(), returned, strict=True):
                    check_same(batch.ends_of(states[1:]), last[one.number])
        for one in self._layers[-1]:  # h of the top layer was taken from the call, so its equations have to be checked
            x = self._below(one.is_reverse)[some]
            before = tuple(states[:-1][some].flatten(0, 1) for states in one.unrolled.states.values())
            expected = one.unrolled.states["h"][1:][some]
            h = one.cell.step(x.flatten(0, 1), before)[0].view(expected.shape)
            check_same(h[inside], expected[inside])

    def _checked_timesteps(self) -> list[int]:
        """Some timesteps, evenly spread: what holds there holds at all, as all have the same weights."""
        length = len(self._batch.x)
        return sorted({length * k // CHECKED for k in range(CHECKED)} | {length - 1})

    def _below(self, is_reverse: bool) -> Tensor:
        """What the top layer read, in the order in which it read."""
        batch = self._batch
        x = batch.x
        if len(self._layers) > 1:
            below = [(one.unrolled.states["h"][1:], one.is_reverse) for one in self._layers[-2]]
            x = torch.cat([batch.reversed(h) if reverse else h for h, reverse in below], dim=-1)
            if (mask := self._masks[-1]) is not None:
                x = x * mask
        return batch.reversed(x) if is_reverse else x


def zero_state(cell: Cell, x: Tensor) -> State:
    """The state before the first timestep if none is given."""
    projected = cell.weight_hr.shape[0] if isinstance(cell, ProjectedLSTM) else cell.hidden_size
    sizes = {"h": projected, "c": cell.hidden_size}
    return tuple(x.new_zeros(x.shape[1], sizes[name]) for name in cell.state_names)


def check_same(found: Tensor, expected: Tensor) -> None:
    """Check that two tensors differ by rounding at most.

    Raises:
        NotSeen: They differ by more.
    """
    if not found.numel():
        return
    size = expected.abs().amax().clamp(min=1.0)
    if (found - expected).abs().amax() <= TOLERANCE * torch.finfo(found.dtype).eps * size:
        return
    most = float(((found - expected).abs() / size).nan_to_num(torch.inf).amax())
    if torch.equal(found.isfinite(), expected.isfinite()) and not expected.isfinite().all():
        return
    if most > TOLERANCE * torch.finfo(found.dtype).eps:
        raise NotSeen(
            f"its states come out differently when they are computed again (by {most:.1e}); "
            "is watch.step called before the optimiser's step, and is the layer torch's own?"
        )
