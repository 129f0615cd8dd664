"""The regulariser Omega against vanishing gradients (Pascanu, Mikolov, Bengio 2013, section 3.3)."""

from collections.abc import Iterable
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from experiments.remedies.remedy import Remedy
from models.cell import Cell, InputSequence
from models.differentiation import pack, unpack
from models.network import RecurrentNetwork
from models.norms import l2_norm
from models.padding import is_present
from models.pull_back import pull_back
from models.rnn import RNN
from models.trace import Layer, Trace


class Omega(Remedy):
    """Penalise each timestep that changes the norm of the gradient on its way back (eq. 9 and 10).

        Omega = sum_k ( ||dL/ds_{k+1} ds_{k+1}/ds_k|| / ||dL/ds_{k+1}|| - 1 )^2,   k = 1, ..., T - 1

    The loss gets weight Omega, averaged over the sequences of the batch and added up over the layers. Only the
    immediate derivative is used: s_k, the input and dL/ds_{k+1} are constants. A timestep without a gradient,
    dL/ds_{k+1} = 0, adds nothing.

    The paper defines Omega for cell=rnn, whose state s is h:

        dL/dh_{k+1} dh_{k+1}/dh_k = W_hh^T (phi'(a_{k+1}) dL/dh_{k+1})

    Here phi'(a_{k+1}) is a constant as well, so Omega acts on W_hh alone. (The paper's state is a_k, and the slope in
    its Jacobian that of the constant state.)

    The extension to other cells is ours. s holds all states side by side, such as h and c of an LSTM; a complex number
    counts as two. dL/ds is the gradient of each state with the others of the same timestep held fixed. Omega acts on
    all parameters of the step, also through the slopes, because the gates are among them. All timesteps are computed
    at once, each from its recorded state.

    The authors' program (pascanur/trainingRNNs, RNN.py, commit 3f5df3f) has the squares of both norms and the mean over
    the timesteps in place of the sum, with a weight of 2.

    Args:
        weight: Factor of Omega.
    """

    def __init__(self, weight: Annotated[float, Field(ge=0)]) -> None:
        self.weight = weight

    def attach(self, network: RecurrentNetwork) -> None:
        for cell in network.cells:
            if not _has_closed_form(cell):
                _check_step(cell)

    def trace_penalty(self, network: RecurrentNetwork, trace: Trace) -> Tensor | None:
        omega = next(network.parameters()).new_zeros(())
        for cell, x, layer in zip(network.cells, trace.inputs, trace.layers, strict=True):
            gradient = pack(layer.gradients[name] for name in cell.state_names)[1:]
            direction, left_out = _normalized(gradient)
            if _has_closed_form(cell):
                assert isinstance(cell, RNN)
                back = (cell.slopes(layer.states["h"][2:]) * direction) @ cell.weight_hh
                ratio = torch.linalg.vector_norm(back, dim=-1)
            else:
                ratio = _ratio(cell, x, layer, direction)
            if trace.starts is not None:  # the state before the first timestep of a sequence is a constant
                left_out = left_out | ~is_present(trace.starts, len(gradient))
            omega = omega + ((ratio - 1) ** 2).masked_fill(left_out, 0.0).sum(dim=0).mean()
        return self.weight * omega


def _normalized(gradient: Float[Tensor, "time batch state"]) -> tuple[Tensor, Tensor]:
    """Gradients of norm 1, and where a gradient is 0, and stays so. The squares of a gradient may underflow."""
    size = l2_norm(gradient.flatten(0, 1), dim=1).view(gradient.shape[:2])
    direction = (gradient.double() / size[..., None]).to(gradient.dtype)
    return direction.masked_fill(size[..., None] == 0, 0.0), size == 0


def _has_closed_form(cell: Cell) -> bool:
    """Whether the cell is a vanilla RNN with the step of its equations."""
    return isinstance(cell, RNN) and cell.has_equations


def _ratio(
    cell: Cell, x: InputSequence, layer: Layer, direction: Float[Tensor, "time batch state"]
) -> Float[Tensor, "time batch"]:
    """||dL/ds_{k+1} ds_{k+1}/ds_k|| / ||dL/ds_{k+1}|| for k = 1, ..., T - 1, in the graph of the parameters.

    Args:
        cell: Layer.
        x: Input of the layer.
        layer: Its trace.
        direction: Recorded gradient of all states at timesteps 2 to T, scaled to a norm of 1.
    """
    before = tuple(layer.states[name][1:-1].flatten(0, 1) for name in cell.state_names)
    sizes = [(one.shape[-1], one.is_complex()) for one in before]
    gradient, back = map(pack, pull_back(cell, x[1:].flatten(0, 1), before, unpack(direction.flatten(0, 1), sizes)))
    size = torch.linalg.vector_norm(gradient, dim=-1)
    ratio: Tensor = torch.linalg.vector_norm(back, dim=-1) / size.masked_fill(size == 0, 1.0)
    return ratio.view(direction.shape[:2])


def _check_step(cell: Cell) -> None:
    """Check that a timestep can be computed again, and that its Jacobian depends on parameters.

    Raises:
        ValueError: It cannot, or does not.
    """
    name, like = type(cell).__name__, next(cell.parameters())
    state = cell.initial_state(1)
    devices = [like.device] if like.device.type == "cuda" else []
    before = [buffer.clone() for buffer in cell.buffers()]
    with torch.random.fork_rng(devices):
        random = [torch.get_rng_state(), *map(torch.cuda.get_rng_state, devices)]
        try:
            _, back = pull_back(cell, like.new_zeros(1, cell.input_size), state, tuple(map(torch.ones_like, state)))
        except RuntimeError as error:
            raise ValueError(f"needs a cell with a step that autograd differentiates; {name}: {error}") from error
        if not _same(random, [torch.get_rng_state(), *map(torch.cuda.get_rng_state, devices)]):
            raise ValueError(
                f"needs a cell that draws no random numbers in its step, as for dropout or h_detach; {name} does"
            )
    if not _same(before, cell.buffers()):
        raise ValueError(f"needs a cell that changes no buffer in its step; {name} does")
    if not any(part.requires_grad for part in back):
        raise ValueError(f"needs a cell whose ds_t/ds_(t-1) depends on its parameters; that of {name} is constant")


def _same(ones: Iterable[Tensor], others: Iterable[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))
