"""How a change of a layer's state at one timestep changes its last state: Jacobians and their products."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

from models.cell import Cell, InputSequence

CHUNK = 16
"""Timesteps whose Jacobians are held at once: 64 MiB a chunk for 32 samples of 128 numbers of state, in float64."""


@torch.no_grad()
def unroll_states(cell: Cell, x: InputSequence) -> Float[Tensor, "timesteps_and_0 batch state"]:
    """The state before timestep 1 and after each one, its tensors (h, or h and c) side by side."""
    state = cell.initial_state(x.shape[1])
    states = [torch.cat(state, dim=-1)]
    for x_t in x:
        state = cell.step(x_t, state)
        states.append(torch.cat(state, dim=-1))
    return torch.stack(states)


@torch.no_grad()
def step_jacobians(
    cell: Cell, x: InputSequence, before: Float[Tensor, "time batch state"]
) -> Float[Tensor, "time batch state state"]:
    """ds_t/ds_{t-1} of each timestep and sample, in one batch.

    Args:
        cell: whose `step` is differentiated.
        x: what it reads at each timestep.
        before: the state s_{t-1} that meets x_t.
    """

    def step(state: Tensor, x_t: Tensor) -> Tensor:
        parts = tuple(part[None] for part in state.chunk(len(cell.state_names)))
        return torch.cat(cell.step(x_t[None], parts), dim=-1)[0]

    jacobians: Tensor = vmap(jacrev(step))(before.flatten(0, 1), x.flatten(0, 1))
    return jacobians.view(*before.shape, before.shape[-1])


def backward_step_jacobians(
    cell: Cell, x: InputSequence, states: Float[Tensor, "timesteps_and_0 batch state"]
) -> Iterator[Float[Tensor, "batch state state"]]:
    """ds_t/ds_{t-1} for t = T, T-1, ..., 1, a few timesteps in memory at a time."""
    for end in range(len(x), 0, -CHUNK):
        start = max(0, end - CHUNK)
        yield from step_jacobians(cell, x[start:end], states[start:end]).flip(0)


@dataclass(frozen=True)
class Spectrum:
    """The singular values of ds_T/ds_t, each entry for a sample (batch,), as natural logarithms.

    Attributes:
        lag: T - t.
        log_max: of the largest.
        log_mean: the mean over them all: ln |det| / N.
        log_min: of the smallest; -inf where the Jacobian is singular.
        log_mean_squared: of the mean of their squares, ||ds_T/ds_t||_F^2 / N.
    """

    lag: int
    log_max: Tensor
    log_mean: Tensor
    log_min: Tensor
    log_mean_squared: Tensor


class JacobianProduct:
    """The product ds_T/ds_t = J_T J_{T-1} ... J_{t+1}, grown backwards in time without overflow or underflow.

    Its transpose is kept as Q R: Q orthogonal, R a product of triangular factors whose logarithmic size is kept apart,
    and so is its inverse's, so that the largest and the smallest singular value keep their precision however far apart
    they are. Use float64.
    """

    def __init__(self, batch: int, size: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> None:
        eye = torch.eye(size, dtype=dtype, device=device).expand(batch, size, size)
        self.lag = 0
        self._q, self._r, self._inverse = eye.clone(), eye.clone(), eye.clone()
        self._r_log_scale, self._inverse_log_scale = eye.new_zeros(batch), eye.new_zeros(batch)
        self.log_diagonal = eye.new_zeros(batch, size)
        """ln |R_ii|, summed over all factors: over the lag, the Lyapunov exponents."""

    def multiply(self, jacobian: Float[Tensor, "batch state state"]) -> None:
        """Go one timestep further back."""
        self._q, factor = torch.linalg.qr(jacobian.mT @ self._q)
        self.lag += 1
        self.log_diagonal += factor.diagonal(dim1=-2, dim2=-1).abs().log()
        self._r, self._r_log_scale = _rescaled(factor @ self._r, self._r_log_scale)
        eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device).expand_as(factor)
        inverse = torch.linalg.solve_triangular(factor, eye, upper=True)
        self._inverse, self._inverse_log_scale = _rescaled(self._inverse @ inverse, self._inverse_log_scale)

    def spectrum(self) -> Spectrum:
        """The singular values of the product so far."""
        singular = torch.isneginf(self.log_diagonal).any(dim=-1)
        inverse = torch.where(singular[:, None, None], torch.zeros_like(self._inverse), self._inverse)
        log_min = -(torch.linalg.matrix_norm(inverse, 2).log() + self._inverse_log_scale)
        squares = self._r.square().sum(dim=(-2, -1)) / self._r.shape[-1]
        return Spectrum(
            lag=self.lag,
            log_max=torch.linalg.matrix_norm(self._r, 2).log() + self._r_log_scale,
            log_mean=self.log_diagonal.mean(dim=-1),
            log_min=torch.where(singular, torch.full_like(log_min, -torch.inf), log_min),
            log_mean_squared=squares.log() + 2 * self._r_log_scale,
        )


def _rescaled(matrix: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """The matrix over its largest entry, and the logarithm of all that was divided away."""
    largest = matrix.abs().amax(dim=(-2, -1))
    divisor = torch.where((largest > 0) & largest.isfinite(), largest, torch.ones_like(largest))
    return matrix / divisor[:, None, None], log_scale + divisor.log()


def analyze(
    jacobians: Iterable[Float[Tensor, "batch state state"]], recorded_lags: set[int], transient: int
) -> tuple[list[Spectrum], Float[Tensor, "batch state"]]:
    """Multiply step Jacobians up, from the last timestep backwards.

    Args:
        jacobians: of timesteps T, T-1, ..., 1.
        recorded_lags: at which the singular values are taken.
        transient: the first multiplications, during which Q turns into the directions that last; they do not count for
            the exponents.

    Returns:
        The spectra by rising lag, and the Lyapunov exponents in nats a timestep, largest first.
    """
    product: JacobianProduct | None = None
    spectra: list[Spectrum] = []
    begun = torch.zeros(())
    for jacobian in jacobians:
        if product is None:
            batch, size, _ = jacobian.shape
            product = JacobianProduct(batch, size, jacobian.dtype, str(jacobian.device))
            begun = product.log_diagonal.clone()
            if 0 in recorded_lags:
                spectra.append(product.spectrum())
        product.multiply(jacobian)
        if product.lag == transient:
            begun = product.log_diagonal.clone()
        if product.lag in recorded_lags:
            spectra.append(product.spectrum())
    if product is None:
        raise ValueError("no Jacobians were given")
    exponents = (product.log_diagonal - begun) / (product.lag - transient)
    return spectra, exponents.sort(dim=-1, descending=True).values
