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
    """ds_t/ds_{t-1} for t = T, T-1, ..., 1, a few timesteps in memory at a time; nan where s_t is."""
    for end in range(len(x), 0, -CHUNK):
        start = max(0, end - CHUNK)
        jacobians = step_jacobians(cell, x[start:end], states[start:end])
        lost = states[start + 1 : end + 1].isnan().any(dim=-1)  # relu and identity have a slope there nonetheless
        yield from jacobians.masked_fill(lost[..., None, None], torch.nan).flip(0)


@dataclass(frozen=True)
class Spectrum:
    """The singular values of ds_T/ds_t, each entry for a sample (batch,), as natural logarithms.

    The logarithm of a singular value of 0 is -inf. All are nan for a sample with a step Jacobian that is not finite.

    Attributes:
        lag: T - t.
        log_max: of the largest.
        log_mean: the mean over them all: ln |det| / N; -inf where the Jacobian is singular.
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

    Its transpose is kept as Q R. The columns of Q are orthonormal, and R is a product of triangular factors whose
    logarithmic size is kept apart, as is that of its inverse: the largest and the smallest singular value keep their
    precision however far apart they are. Use float64.

    A direction that a timestep maps to zero has collapsed: its column of Q is zero from there on, and the others span
    exactly what the product still reaches. Relu units that are off do this at every timestep. A direction counts as
    mapped to zero where what is left of it is below the rounding error, about sqrt(N) eps ||J||_F.
    """

    def __init__(self, batch: int, size: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> None:
        eye = torch.eye(size, dtype=dtype, device=device).expand(batch, size, size)
        self.lag = 0
        self._q, self._r, self._inverse = eye.clone(), eye.clone(), eye.clone()
        self._r_log_scale, self._inverse_log_scale = eye.new_zeros(batch), eye.new_zeros(batch)
        self._rounding = size**0.5 * torch.finfo(dtype).eps
        self._unknown = torch.zeros(batch, dtype=torch.bool, device=device)
        self._log_diagonal = eye.new_zeros(batch, size)
        self._log_diagonal_before = self._log_diagonal
        self._lag_before = 0

    def multiply(self, jacobian: Float[Tensor, "batch state state"]) -> None:
        """Go one timestep further back."""
        self._unknown = self._unknown | ~jacobian.isfinite().all(dim=-1).all(dim=-1)
        jacobian = jacobian.masked_fill(self._unknown[:, None, None], 0.0)
        rounding = self._rounding * torch.linalg.matrix_norm(jacobian)
        self._q, factor = _orthogonalized(jacobian.mT @ self._q, rounding)
        self.lag += 1
        diagonal = factor.diagonal(dim1=-2, dim2=-1).abs()
        self._log_diagonal = self._log_diagonal + diagonal.log()
        self._r, self._r_log_scale = _rescaled(factor @ self._r, self._r_log_scale)
        eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device).expand_as(factor)
        regular = (diagonal > 0).all(dim=-1)[:, None, None]
        inverse = torch.linalg.solve_triangular(torch.where(regular, factor, eye), eye, upper=True)
        self._inverse, self._inverse_log_scale = _rescaled(self._inverse @ inverse, self._inverse_log_scale)

    def spectrum(self) -> Spectrum:
        """The singular values of the product so far."""
        log_mean = self._log_diagonal.mean(dim=-1)
        log_min = -(torch.linalg.matrix_norm(self._inverse, 2).log() + self._inverse_log_scale)
        squares = self._r.square().sum(dim=(-2, -1)) / self._r.shape[-1]
        return Spectrum(
            lag=self.lag,
            log_max=self._known(torch.linalg.matrix_norm(self._r, 2).log() + self._r_log_scale),
            log_mean=self._known(log_mean),
            log_min=self._known(torch.where(log_mean.isneginf(), log_mean, log_min)),
            log_mean_squared=self._known(squares.log() + 2 * self._r_log_scale),
        )

    def begin_exponents(self) -> None:
        """Count the Lyapunov exponents from here on: what came before turned Q into the directions that last."""
        self._log_diagonal_before, self._lag_before = self._log_diagonal, self.lag

    def exponents(self) -> Float[Tensor, "batch state"]:
        """The Lyapunov exponents in nats a timestep, each sample's largest first; -inf of a collapsed direction."""
        growth = self._log_diagonal - self._log_diagonal_before
        growth = growth.masked_fill(self._log_diagonal.isneginf(), -torch.inf)  # also what collapsed before
        exponents = growth / (self.lag - self._lag_before)
        return self._known(exponents.sort(dim=-1, descending=True).values)

    def _known(self, values: Tensor) -> Tensor:
        return values.masked_fill(self._unknown.view(-1, *[1] * (values.dim() - 1)), torch.nan)


def _orthogonalized(
    matrix: Float[Tensor, "batch state state"], rounding: Float[Tensor, " batch"]
) -> tuple[Tensor, Tensor]:
    """Q and R of a matrix; where column i adds no more than `rounding` to those before it, R_ii = 0.

    Column i of Q and row i of R are zero then. LAPACK's QR would put any direction there, and take the growth along it
    from the columns behind.
    """
    q, r = torch.linalg.qr(matrix)
    collapsed = (r.diagonal(dim1=-2, dim2=-1).abs() <= rounding[:, None]).any(dim=-1)
    if collapsed.any():
        q[collapsed], r[collapsed] = _gram_schmidt(matrix[collapsed], rounding[collapsed])
    return q, r


def _gram_schmidt(
    matrix: Float[Tensor, "batch state state"], rounding: Float[Tensor, " batch"]
) -> tuple[Tensor, Tensor]:
    """The same column by column. Each is projected twice, which is as orthogonal as LAPACK's (Giraud et al. 2005)."""
    left = matrix.abs().amax(dim=(0, 1)).nonzero()[:, 0]
    columns = matrix[..., left]
    q, r = torch.zeros_like(columns), columns.new_zeros(len(columns), len(left), len(left))
    for i in range(len(left)):
        column = columns[..., i, None]
        for _ in range(2):
            parts = q[..., :i].mT @ column
            column = column - q[..., :i] @ parts
            r[..., :i, i] += parts[..., 0]
        norm = torch.linalg.vector_norm(column, dim=1)
        norm = norm.masked_fill(norm <= rounding[:, None], 0.0)
        r[..., i, i] = norm[:, 0]
        q[..., i] = torch.where(norm > 0, column[..., 0] / norm, 0.0)
    whole_q, whole_r = torch.zeros_like(matrix), torch.zeros_like(matrix)
    whole_q[..., left] = q
    whole_r[:, left[:, None], left] = r
    return whole_q, whole_r


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
        The spectra by rising lag, and the Lyapunov exponents of each sample (see `JacobianProduct.exponents`).
    """
    product: JacobianProduct | None = None
    spectra: list[Spectrum] = []
    for jacobian in jacobians:
        if product is None:
            batch, size, _ = jacobian.shape
            product = JacobianProduct(batch, size, jacobian.dtype, str(jacobian.device))
            if 0 in recorded_lags:
                spectra.append(product.spectrum())
        product.multiply(jacobian)
        if product.lag == transient:
            product.begin_exponents()
        if product.lag in recorded_lags:
            spectra.append(product.spectrum())
    if product is None:
        raise ValueError("no Jacobians were given")
    return spectra, product.exponents()
