"""The gradient of the state pulled back by one timestep, for all timesteps at once, in the graph of the parameters."""

import torch
from torch import Tensor
from torch.nn.utils.parametrize import cached

from models.cell import Cell, Input, State
from models.differentiation import told_apart


def pull_back(cell: Cell, x: Input, before: State, gradients: State) -> tuple[State, State]:
    """Multiply the gradient of the state after a timestep by the Jacobian of the timestep.

    The rows are independent: they may be timesteps of a sequence as well as sequences. The states and the gradients are
    constants; the product depends on the parameters alone.

    A recorded dL/dc_t of an LSTM contains what reaches c_t through h_t of the same timestep, and the Jacobian contains
    that path as well. The first result therefore leaves it out: it is the gradient of each state with the other states
    of the same timestep held fixed.

    Args:
        cell: Layer.
        x: Input of each timestep, (rows, input).
        before: State before the timestep.
        gradients: dL/ds of each state after the timestep, as recorded in a trace.

    Returns:
        dL/ds of each state after the timestep with the others held fixed, and its product with ds/dbefore.
    """
    before = tuple(one.detach().requires_grad_() for one in before)
    with torch.enable_grad(), cached():
        after = told_apart(cell.step(x, before), before)
    fixed = gradients
    for _ in after[1:]:  # once for each state that may lie between a state and another one of the same timestep
        fixed = tuple(
            gradient - _through(after[:i] + after[i + 1 :], state, fixed[:i] + fixed[i + 1 :])
            for i, (state, gradient) in enumerate(zip(after, gradients, strict=True))
        )
    back: State = torch.autograd.grad(
        after, before, fixed, create_graph=True, allow_unused=True, materialize_grads=True
    )
    return fixed, back


def _through(others: State, state: Tensor, gradients: State) -> Tensor:
    """What reaches a state through other states of the same timestep."""
    (found,) = torch.autograd.grad(
        others, state, gradients, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return found
