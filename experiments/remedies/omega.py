"""The regulariser Omega against vanishing gradients (Pascanu, Mikolov, Bengio 2013, section 3.3)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from experiments.remedies.remedy import Remedy
from models.network import RecurrentNetwork
from models.norms import l2_norm
from models.padding import is_present
from models.rnn import RNN
from models.trace import Trace


class Omega(Remedy):
    """Penalise each timestep that changes the norm of the gradient on its way back (eq. 9 and 10).

        Omega = sum_k ( ||dL/dh_{k+1} dh_{k+1}/dh_k|| / ||dL/dh_{k+1}|| - 1 )^2,   k = 1, ..., T - 1
        dL/dh_{k+1} dh_{k+1}/dh_k = W_hh^T (phi'(a_{k+1}) dL/dh_{k+1})

    The loss gets weight Omega, averaged over the sequences of the batch and added up over the layers. Only the
    immediate derivative by W_hh is used: dL/dh_{k+1} and phi'(a_{k+1}) are constants. A timestep without a gradient,
    dL/dh_{k+1} = 0, adds nothing.

    The authors' program (pascanur/trainingRNNs, RNN.py, commit 3f5df3f) has the squares of both norms and the mean over
    the timesteps in place of the sum, with a weight of 2.

    Args:
        weight: Factor of Omega.
    """

    def __init__(self, weight: Annotated[float, Field(ge=0)]) -> None:
        self.weight = weight

    def attach(self, network: RecurrentNetwork) -> None:
        for cell in network.cells:
            if not isinstance(cell, RNN):
                raise ValueError(f"is defined for cell=rnn alone, not for {type(cell).__name__}")

    def trace_penalty(self, network: RecurrentNetwork, trace: Trace) -> Tensor | None:
        omega = next(network.parameters()).new_zeros(())
        for cell, layer in zip(network.cells, trace.layers, strict=True):
            assert isinstance(cell, RNN)
            h, gradient = layer.states["h"][2:], layer.gradients["h"][1:]
            size = l2_norm(gradient.flatten(0, 1), dim=1).view(gradient.shape[:2])
            direction = (gradient.double() / size[..., None]).to(
                gradient.dtype
            )  # the squares of a gradient may underflow
            back = (cell.slopes(h) * direction.masked_fill(size[..., None] == 0, 0.0)) @ cell.weight_hh
            ratio = torch.linalg.vector_norm(back, dim=-1)
            left_out = size == 0
            if trace.starts is not None:  # h before the first timestep of a sequence is a constant
                left_out = left_out | ~is_present(trace.starts, len(h))
            omega = omega + ((ratio - 1) ** 2).masked_fill(left_out, 0.0).sum(dim=0).mean()
        return self.weight * omega
