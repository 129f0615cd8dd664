"""The largest Lyapunov exponents of a layer's forward dynamics, as a function that autograd can differentiate."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

from models.cell import Cell
from models.differentiation import pack, unpack


def lyapunov_exponents(
    cell: Cell, x: Float[Tensor, "time batch input"], count: int, transient: int
) -> Float[Tensor, "batch count"]:
    """The `count` largest Lyapunov exponents along the trajectory of x, in nats per timestep.

    With random orthonormal columns Q_0 and J_t = ds_t/ds_{t-1} (Benettin et al. 1980; Engelken 2023, algorithm 1):

        Q_t R_t = J_t Q_{t-1},   lambda_i = mean over t of ln |R_t,ii|

    The Jacobians are those of the cell's `step`. An exponent is -inf if its direction collapsed.

    Args:
        cell: Layer.
        x: Input of the layer.
        count: Number of exponents, at most the size of the state; a complex state counts twice.
        transient: First timesteps that do not count, because Q still turns into the directions that grow most. At most
            T - 1 are left out.
    """
    state = cell.initial_state(x.shape[1])
    sizes = [(one.shape[-1], one.is_complex()) for one in state]

    def step(before: Tensor, x_t: Tensor) -> Tensor:
        return pack(cell.step(x_t, unpack(before, sizes)))

    def one_sample(before: Tensor, x_t: Tensor) -> Tensor:
        return step(before[None], x_t[None])[0]

    states = [pack(state)]
    for x_t in x:
        states.append(step(states[-1], x_t))
    before = torch.stack(states[:-1])
    jacobians = vmap(jacrev(one_sample))(before.flatten(0, 1), x.flatten(0, 1)).unflatten(0, before.shape[:2])
    q: Tensor = torch.linalg.qr(torch.randn_like(before[0, :, :, None].expand(-1, -1, count))).Q
    logarithms = []
    for jacobian in jacobians:
        q, r = torch.linalg.qr(jacobian @ q)
        logarithms.append(r.diagonal(dim1=-2, dim2=-1).abs().log())
    return torch.stack(logarithms[min(transient, len(x) - 1) :]).mean(dim=0)
