"""The base class of recurrent layers: a cell defines one timestep, `step`, and unrolls it over a sequence."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from models.contributions import Bounds
from models.recursion import Unrolled

Input = Float[Tensor, "batch input"]
Inputs = Float[Tensor, "... input"]
Gate = Float[Tensor, "... hidden"]
InputSequence = Float[Tensor, "time batch input"]
HiddenSequence = Float[Tensor, "time batch hidden"]
State = tuple[Tensor, ...]
"""The state of a layer at one timestep: one tensor (batch, size) for each name in the cell's `state_names`.

The sizes may differ, except that of h, which is hidden_size. A state may be complex, except h."""

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
AtLeastOne = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class RecurrentBlock:
    """A square matrix that multiplies h or another state of its size, stored as some rows of a parameter.

    Attributes:
        name: Name of the parameter within the cell, followed by the gate if the parameter holds the matrices of several
            gates: `weight_hh[forget]`.
        parameter: The whole parameter, (gates*hidden, hidden).
        rows: Rows of the parameter that hold this matrix.
    """

    name: str
    parameter: Tensor
    rows: slice

    @property
    def weight(self) -> Float[Tensor, "hidden hidden"]:
        """The matrix as a view of the parameter, so writing to it changes the cell."""
        return self.parameter[self.rows]


class Cell(nn.Module):
    """A recurrent layer, defined by its `step`.

    To add a cell, write a subclass with a `step` and a constructor that takes `input_size` and `hidden_size`. A cell
    that has a faster way to compute a sequence also overrides `forward`, which must return the same values. A cell with
    written-out backward equations also overrides `unroll`.
    """

    state_names: tuple[str, ...] = ("h",)
    """Names of the tensors of the state. The first is the hidden state h, which is the output of the layer."""

    kept_by: ClassVar[dict[str, str]] = {}
    """The gate that keeps each state from one timestep to the next, by the state's name: {"c": "forget"}.

    A cell that keeps a state by 1 - gate writes "1 - NAME", such as {"h": "1 - forget"}.
    """

    bounded: tuple[str, ...] = ()
    """Names of the states whose entries stay within [-1, 1], because a tanh bounds them.

    Such a state is a tanh, a tanh times a gate, or a weighted mean of such values with weights that add up to 1.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    @property
    def has_equations(self) -> bool:
        """Whether `unroll` computes the gradients by written-out equations, and not by autograd."""
        return False

    def initial_state(self, batch: int) -> State:
        """The state before timestep 1, which is zero."""
        like = next(self.parameters())
        return tuple(like.new_zeros(batch, self.hidden_size) for _ in self.state_names)

    def step(self, x: Input, state: State) -> State:
        """Compute one timestep: read x and return the new state."""
        raise NotImplementedError(f"{type(self).__name__} defines no step(x, state); every cell must define it")

    def forward(self, x: InputSequence, state: State) -> tuple[HiddenSequence, State]:
        """Unroll over a sequence. Return h of every timestep and the state after the last one."""
        hidden = []
        with cached():  # computes a parametrised matrix once for all timesteps
            for x_t in x:
                state = self.step(x_t, state)
                hidden.append(state[0])
        return torch.stack(hidden), state

    def recurrent_blocks(self) -> list[RecurrentBlock]:
        """The recurrent matrices: `init` sets them, and the spectrum of each is recorded.

        By default a cell has none; a cell with recurrent matrices overrides this method.
        """
        return []

    def compute_gates(self, x: Inputs, h: Gate) -> dict[str, Gate]:
        """The values of the gates, by name, computed from x_t and h_{t-1} with any number of leading axes.

        By default a cell has no gates; a gated cell overrides this method.
        """
        return {}

    def all_gates(self, x: Inputs, state: State) -> dict[str, Gate]:
        """The values of the gates, by name, computed from x_t and the whole state before it.

        By default these are the gates that h alone sets; a cell whose gates read further states overrides this method
        instead of `compute_gates`.
        """
        return self.compute_gates(x, state[0])

    def unroll(self, x: InputSequence, state: State, windows: Bounds, hidden: HiddenSequence | None = None) -> Unrolled:
        """Unroll over a sequence outside autograd's graph, ready to backpropagate to every state and parameter.

        Args:
            x: Input of the layer.
            state: State before timestep 1.
            windows: Windows of timesteps whose parts in the gradient of a parameter are told apart.
            hidden: h of every timestep, if `forward` has computed it already; None computes it.
        """
        from models.differentiation import Differentiated  # which itself needs `Cell`

        return Differentiated(self, x, state, windows)
