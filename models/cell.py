"""What every recurrent layer is: one `step`, and the unrolling of it over a sequence."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

Input = Float[Tensor, "batch input"]
Hidden = Float[Tensor, "batch hidden"]
Inputs = Float[Tensor, "... input"]
Gate = Float[Tensor, "... hidden"]
InputSequence = Float[Tensor, "time batch input"]
HiddenSequence = Float[Tensor, "time batch hidden"]
State = tuple[Tensor, ...]
"""The state of a layer at one timestep: a tensor (batch, hidden) for each of the cell's `state_names`."""


@dataclass(frozen=True)
class RecurrentBlock:
    """A square matrix that h is multiplied with on its way through a timestep: rows of a parameter.

    Attributes:
        name: of the parameter within the cell, with the gate behind it where it holds several: `weight_hh[forget]`.
        parameter: (gates*hidden, hidden).
        rows: the block's.
    """

    name: str
    parameter: nn.Parameter
    rows: slice

    @property
    def weight(self) -> Float[Tensor, "hidden hidden"]:
        """A view: writing to it initialises that part of the cell."""
        return self.parameter[self.rows]


class Cell(nn.Module):
    """A recurrent layer, defined by its `step`.

    A new cell is a subclass with a `step`, constructed with `input_size` and `hidden_size`. A cell for which a fused
    kernel exists overrides `forward` as well, with the same result.
    """

    state_names: ClassVar[tuple[str, ...]] = ("h",)
    """The names of the state's tensors. The first is the hidden state h, the layer's output."""

    kept_by: ClassVar[dict[str, str]] = {}
    """Which gate keeps a state from one timestep to the next: {"c": "forget"}; "1 - NAME" where a gate's rest does."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    def initial_state(self, batch: int) -> State:
        """The state before timestep 1: zeros."""
        like = next(self.parameters())
        return tuple(like.new_zeros(batch, self.hidden_size) for _ in self.state_names)

    def step(self, x: Input, state: State) -> State:
        """One timestep: the state after reading x."""
        raise NotImplementedError(f"{type(self).__name__} has no step(x, state)")

    def forward(self, x: InputSequence, state: State) -> tuple[HiddenSequence, State]:
        """Unroll over a sequence: h of every timestep, and the state after the last one."""
        hidden = []
        for x_t in x:
            state = self.step(x_t, state)
            hidden.append(state[0])
        return torch.stack(hidden), state

    def recurrent_blocks(self) -> list[RecurrentBlock]:
        """The recurrent matrices: what `init` sets, and whose spectrum is recorded; none unless the cell names them."""
        return []

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        """The gates that read x_t and h_{t-1}, by name; none unless the cell has gates. Any number of leading axes."""
        return {}

    def hidden_slopes(self, x: Input, h_before: Hidden, state: State) -> dict[str, Hidden]:
        """dh_t/ds_t, elementwise, of each state s besides h whose way into h_t `forward` hides from autograd.

        Nothing is hidden by the `forward` above. A fused kernel returns c_t only as the value handed to timestep t+1:
        what dL/dc_t owes to h_t = o_t tanh(c_t) has to be added with this slope.

        Args:
            x: what the cell read at timestep t.
            h_before: h_{t-1}.
            state: the state after timestep t.
        """
        return {}
