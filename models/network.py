"""The recurrent network: a stack of cells and a linear read-out, unrolled in one piece or in windows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from models.cell import Cell

Bounds = list[tuple[int, int]]
"""The first and the last timestep of each window of a sequence, counted from 1."""


def cut(length: int, windows: int) -> Bounds:
    """Cut timesteps 1..length into `windows` parts of nearly equal length, or into `length` parts if that is less."""
    windows = min(windows, length)
    ends = [length * k // windows for k in range(windows + 1)]
    return [(before + 1, last) for before, last in pairwise(ends)]


class DetachedState(RuntimeError):
    """The gradient of a state, window or parameter does not exist, because the loss does not depend on it."""


@dataclass(frozen=True)
class Window:
    """One layer in one window of timesteps, with the tensors whose gradients backpropagation keeps.

    Attributes:
        layer: Index of the layer, from 0.
        first: First timestep of the window, from 1.
        last: Last timestep of the window.
        states: States after timestep `last`, by name, each a tensor (batch, hidden) of the graph.
        slopes: Slopes dh_t/ds_t, (batch, hidden), of the states whose effect on h the fused kernel hides from
            autograd (see `Cell.hidden_slopes`).
        input: Input of the layer at timestep `last`, (batch, input), detached from the graph.
        h_before: Hidden state before that timestep, h_{last-1}, (batch, hidden), detached from the graph.
        weights: Aliases of the layer's parameters that belong to this window alone, by their names in the network.
        hidden: h of every timestep of the window, (time, batch, hidden), part of the graph.
        overflowed: Whether a nan in a gradient means a value beyond the range of the dtype, which is returned as inf.
    """

    layer: int
    first: int
    last: int
    states: dict[str, Tensor]
    slopes: dict[str, Tensor]
    input: Tensor
    h_before: Tensor
    weights: dict[str, Tensor]
    hidden: Tensor
    overflowed: bool = False

    def state_gradient(self, name: str) -> Float[Tensor, "batch hidden"]:
        """The total derivative dL/ds at the last timestep of the window. Call it after backpropagation.

        It is the sum of the direct part (through the loss or the layer above at this timestep) and of everything that
        comes back from later timesteps.

        Raises:
            DetachedState: The loss does not depend on this state. This is an error, not a gradient of zero.
        """
        through = [self.states[name].grad]
        if name in self.slopes and (hidden := self.states["h"].grad) is not None:
            through.append(hidden * self.slopes[name])
        parts = [part for part in through if part is not None]
        if not parts:
            raise DetachedState(
                f"layer {self.layer}, state {name}, timestep {self.last}: the loss does not depend on it"
            )
        return self._without_nan(torch.stack(parts).sum(dim=0))

    def weight_gradient(self, name: str) -> Tensor:
        """The part of dL/dW that this window contributes, summed over its timesteps.

        The parts are the temporal components of Pascanu et al. (2013, eq. 4). Call it after backpropagation.

        Raises:
            DetachedState: The loss does not depend on this window.
        """
        part = self.weights[name].grad
        if part is None:
            raise DetachedState(f"{name}, timesteps {self.first} to {self.last}: the loss does not depend on it")
        return self._without_nan(part)

    def _without_nan(self, gradient: Tensor) -> Tensor:
        if not self.overflowed:
            return gradient
        return gradient.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


class RecurrentNetwork(nn.Module):
    """Layers of recurrent cells, and a linear read-out of the hidden state of the last layer.

    Args:
        make_cell: Function that makes the cell of a layer, called with `input_size` and `hidden_size`.
        initialize: Function that sets the recurrent matrices of a cell in place.
        input_size: Size of the input at each timestep.
        hidden_size: Size of the hidden state of every layer.
        num_layers: Number of layers.
        output_size: Size of the output at each timestep that is read out.
        readout_steps: Number of timesteps, counted from the end, that are read out; None reads out all of them.
        dtype: Data type of all parameters. The initialisation draws in this type, so an orthogonal matrix is
            orthogonal to its precision.
    """

    def __init__(
        self,
        make_cell: Callable[..., Cell],
        initialize: Callable[[Cell], None],
        *,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        output_size: int,
        readout_steps: int | None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(make_cell(input_size=size, hidden_size=hidden_size) for size in sizes)
        self.readout = nn.Linear(hidden_size, output_size)
        self.readout_steps = readout_steps
        self.to(dtype)
        with torch.no_grad():
            for cell in self.cells:
                initialize(cell)

    @property
    def cells(self) -> list[Cell]:
        """The layers, from the one that reads the input to the one that is read out."""
        return cast(list[Cell], list(self.layers))

    def forward(self, x: Float[Tensor, "time batch input"]) -> Float[Tensor, "steps batch output"]:
        """Return the outputs of the timesteps that are read out."""
        for cell in self.cells:
            x, _ = cell(x, cell.initial_state(x.shape[1]))
        return self._read_out([x])

    def watch(
        self, x: Float[Tensor, "time batch input"], seen: Callable[[int, int, str, Tensor], None]
    ) -> Float[Tensor, "steps batch output"]:
        """Compute `forward` one step at a time, so that a callback sees every state's gradient and none is kept.

        Args:
            x: Input of the network.
            seen: Callback that backpropagation calls for every state, later timesteps first, with the timestep (from
                1), the layer (from 0), the name of the state and the total derivative dL/ds.
        """
        for layer, cell in enumerate(self.cells):
            state, hidden = cell.initial_state(x.shape[1]), []
            for timestep, x_t in enumerate(x, start=1):
                state = cell.step(x_t, state)
                for name, tensor in zip(cell.state_names, state, strict=True):
                    if tensor.requires_grad:
                        tensor.register_hook(partial(seen, timestep, layer, name))  # type: ignore[no-untyped-call]
                hidden.append(state[0])
            x = torch.stack(hidden)
        return self._read_out([x])

    def unroll(
        self, x: Float[Tensor, "time batch input"], windows: int
    ) -> tuple[Float[Tensor, "steps batch output"], list[Window]]:
        """Compute `forward` in windows, and keep the gradients of the states and weights of each window.

        In each window, each layer is one call of the (fused) cell with its own alias of the parameters. The loss, the
        layer above and the next window all use the same tensor for the last h of the window, so the gradient of that
        tensor is the total derivative. The gradients of the parameters themselves are those of `forward`.

        Args:
            x: Input of the network.
            windows: Number of windows.

        Returns:
            The outputs of the timesteps that are read out, and the windows of every layer.
        """
        trace = []
        top_hidden = []
        states = [cell.initial_state(x.shape[1]) for cell in self.cells]
        for first, last in cut(len(x), windows):
            inputs = x[first - 1 : last]
            for layer, cell in enumerate(self.cells):
                aliases = {name: parameter.view_as(parameter) for name, parameter in cell.named_parameters()}
                output, after = functional_call(cell, aliases, (inputs, states[layer]))
                h_before = output[-2] if len(output) > 1 else states[layer][0]
                state = (output[-1], *after[1:])
                with torch.no_grad():
                    slopes = cell.hidden_slopes(inputs[-1], h_before, state)
                for tensor in (*aliases.values(), *state):
                    tensor.retain_grad()
                # Slicing made the last h a new tensor. Everything that follows must use it, not `output[-1]`.
                hidden = torch.cat([output[:-1], state[0][None]])
                trace.append(
                    Window(
                        layer=layer,
                        first=first,
                        last=last,
                        states=dict(zip(cell.state_names, state, strict=True)),
                        slopes=slopes,
                        input=inputs[-1].detach(),
                        h_before=h_before.detach(),
                        weights={f"layers.{layer}.{name}": alias for name, alias in aliases.items()},
                        hidden=hidden,
                    )
                )
                inputs, states[layer] = hidden, state
            top_hidden.append(inputs)
        return self._read_out(top_hidden), trace

    def _read_out(self, hidden: list[Float[Tensor, "_ batch hidden"]]) -> Float[Tensor, "steps batch output"]:
        """Read out the last timesteps only. Earlier ones would enter the graph with a gradient of 0."""
        needed = self.readout_steps or sum(len(window) for window in hidden)
        kept: list[Tensor] = []
        for window in reversed(hidden):
            if needed > 0:
                kept.insert(0, window[-needed:])
                needed -= len(window)
        outputs: Tensor = self.readout(torch.cat(kept) if len(kept) > 1 else kept[0])
        return outputs
