"""The recurrent network: a stack of cells and a linear read-out, unrolled whole or in windows."""

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
"""The first and the last timestep, counted from 1, of each window of a sequence."""


def cut(length: int, windows: int) -> Bounds:
    """Cut timesteps 1..length into `windows` runs of nearly equal length; never into more than there are timesteps."""
    windows = min(windows, length)
    ends = [length * k // windows for k in range(windows + 1)]
    return [(before + 1, last) for before, last in pairwise(ends)]


class DetachedState(RuntimeError):
    """A state was asked for its gradient, but the loss does not depend on it."""


@dataclass(frozen=True)
class Window:
    """One layer over one window of timesteps, as backpropagation will see it.

    Attributes:
        layer: the layer's index, from 0.
        first: the window's first timestep, from 1.
        last: its last timestep; `states` are the states after it.
        states: tensors (batch, hidden) of the graph, by the cell's state names.
        slopes: dh_t/ds_t of the states whose way into h the fused kernel hides (see `Cell.hidden_slopes`).
        input: (batch, input), what the layer read at `last`.
        h_before: (batch, hidden), the hidden state that met it, h_{last-1}.
        weights: this window's own aliases of the layer's parameters, by name in the network.
        hidden: (time, batch, hidden), h of each of the window's timesteps, as part of the graph.
        overflowed: whether a nan in a gradient stands for a value beyond the range of the dtype: it is inf then.
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
        """The total derivative dL/ds at the window's last timestep, once the loss was backpropagated.

        It is the direct part (the loss or the layer above, at this timestep) and all that comes back from later ones.

        Raises:
            DetachedState: the loss does not depend on this state. That is an error and not a gradient of zero.
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
        """This window's part of dL/dW, summed over its timesteps: Pascanu et al.'s temporal components (2013, eq. 4).

        Raises:
            DetachedState: the loss does not depend on this window.
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
    """Layers of recurrent cells, and a linear read-out of the last one's hidden state.

    Args:
        make_cell: called with `input_size` and `hidden_size`, once a layer.
        initialize: sets a cell's recurrent matrices in place.
        readout_steps: how many timesteps, counted from the end, are read out; None: all of them.
        dtype: of all parameters. The initialisation draws in it, so that an orthogonal matrix is one to its precision.
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
        """The layers, the one that reads the input first."""
        return cast(list[Cell], list(self.layers))

    def forward(self, x: Float[Tensor, "time batch input"]) -> Float[Tensor, "steps batch output"]:
        """The outputs of the timesteps that are read out."""
        for cell in self.cells:
            x, _ = cell(x, cell.initial_state(x.shape[1]))
        return self._read_out([x])

    def watch(
        self, x: Float[Tensor, "time batch input"], seen: Callable[[int, int, str, Tensor], None]
    ) -> Float[Tensor, "steps batch output"]:
        """`forward` by the cells' `step`, which lets backpropagation show every state's gradient without keeping it.

        Args:
            x: What is read.
            seen: Called by backpropagation with timestep (from 1), layer (from 0), the state's name, and the total
                derivative dL/ds, later timesteps first.
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
        """`forward`, cut into windows whose states and weights keep their gradients.

        In each window each layer is one call of the (fused) cell, with its own alias of the parameters. Its last h is
        made the one tensor that the loss, the layer above and the next window all go through, so that its gradient is
        the total derivative; the parameters' own gradients are those of `forward`.
        """
        trace = []
        hidden = []
        states = [cell.initial_state(x.shape[1]) for cell in self.cells]
        for first, last in cut(len(x), windows):
            signal = x[first - 1 : last]
            for layer, cell in enumerate(self.cells):
                aliases = {name: parameter.view_as(parameter) for name, parameter in cell.named_parameters()}
                h_before = states[layer][0]
                output, state = functional_call(cell, aliases, (signal, states[layer]))
                states[layer] = state = (output[-1], *state[1:])
                h_before = output[-2] if len(output) > 1 else h_before
                with torch.no_grad():
                    slopes = cell.hidden_slopes(signal[-1], h_before, state)
                for tensor in (*aliases.values(), *state):
                    tensor.retain_grad()
                below, signal = signal, torch.cat([output[:-1], state[0][None]])
                trace.append(
                    Window(
                        layer=layer,
                        first=first,
                        last=last,
                        states=dict(zip(cell.state_names, state, strict=True)),
                        slopes=slopes,
                        input=below[-1].detach(),
                        h_before=h_before.detach(),
                        weights={f"layers.{layer}.{name}": alias for name, alias in aliases.items()},
                        hidden=signal,
                    )
                )
            hidden.append(signal)
        return self._read_out(hidden), trace

    def _read_out(self, hidden: list[Float[Tensor, "_ batch hidden"]]) -> Float[Tensor, "steps batch output"]:
        """Read out the last timesteps, and touch none before them: they would be in the graph, with a gradient of 0."""
        needed = self.readout_steps or sum(len(window) for window in hidden)
        kept: list[Tensor] = []
        for window in reversed(hidden):
            if needed > 0:
                kept.insert(0, window[-needed:])
                needed -= len(window)
        outputs: Tensor = self.readout(torch.cat(kept) if len(kept) > 1 else kept[0])
        return outputs
