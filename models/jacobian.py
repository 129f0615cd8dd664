"""Jacobians of a layer's state: how a change at one timestep changes the last state, and by which singular values."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from models.recursion import Unrolled

CHUNK = 16
"""Timesteps whose Jacobians are in memory at once: 64 MiB for 32 samples and a state of 128 numbers in float64."""

SPREAD = math.log(1e5)
"""Largest ratio, as a logarithm, by which directions may grow apart before they are made orthogonal again.

A direction loses as many digits as the ratio has; 1e5 leaves more than ten of float64's sixteen."""


def backward_step_jacobians(unrolled: Unrolled) -> Iterator[Float[Tensor, "batch state state"]]:
    """Yield ds_t/ds_{t-1} for t = T, T-1, ..., 1, with at most `CHUNK` timesteps in memory.

    The Jacobian of a sample is nan where its state s_t has a nan.
    """
    length = len(unrolled.states["h"]) - 1
    for end in range(length, 0, -CHUNK):
        start = max(0, end - CHUNK)
        states = [steps[start + 1 : end + 1] for steps in unrolled.states.values()]
        lost = torch.stack([steps.isnan().any(dim=-1) for steps in states]).any(dim=0)
        jacobians = unrolled.jacobians(start + 1, end)
        if lost.any():  # the slopes of relu and identity are numbers even there
            jacobians = jacobians.masked_fill(lost[..., None, None], torch.nan)
        yield from reversed(jacobians.unbind())


@dataclass(frozen=True)
class Spectrum:
    """Statistics of the singular values of ds_T/ds_t as natural logarithms, one entry per sample (batch,).

    The logarithm of a singular value of 0 is -inf. All statistics of a sample are nan if one of its step Jacobians is
    not finite.

    Attributes:
        lag: Distance T - t.
        log_max: Logarithm of the largest singular value.
        log_mean: Mean of the logarithms of all singular values, ln |det| / N; -inf if the Jacobian is singular.
        log_min: Logarithm of the smallest singular value; -inf if the Jacobian is singular.
        log_mean_squared: Logarithm of the mean squared singular value, ||ds_T/ds_t||_F^2 / N.
    """

    lag: int
    log_max: Tensor
    log_mean: Tensor
    log_min: Tensor
    log_mean_squared: Tensor

    @classmethod
    def of_all(cls, groups: Sequence["Spectrum"]) -> "Spectrum":
        """Join the spectra of groups of samples at the same lag."""
        first, *_ = groups
        names = [field.name for field in fields(cls) if field.name != "lag"]
        return cls(first.lag, **{name: torch.cat([getattr(group, name) for group in groups]) for name in names})


class JacobianProduct:
    """The product ds_T/ds_t = J_T J_{T-1} ... J_{t+1}, extended backwards in time without overflow or underflow.

    The class stores the transpose of the product as Q R. The columns of Q are orthonormal. R is a product of triangular
    factors. The logarithm of the size of R is stored separately, and so is that of its inverse; the largest and the
    smallest singular value therefore keep their precision however far apart they are. Use float64.

    A direction that a timestep maps to zero collapses: its column of Q stays zero from then on, and the other columns
    span exactly the directions that remain. Inactive relu units collapse directions at every timestep. A direction
    counts as mapped to zero if its image is below the rounding error, about sqrt(N) eps ||J||_F.

    Q is kept as LAPACK's Householder reflectors, which multiply as fast as Q itself, until a direction collapses.

    Attributes:
        lag: Number of Jacobians multiplied so far.
        affordable: Number of Jacobians that `multiply` may take at once without losing precision.
    """

    def __init__(self, batch: int, size: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> None:
        eye = torch.eye(size, dtype=dtype, device=device).expand(batch, size, size)
        self.lag, self.affordable = 0, 1
        self._q: Tensor | None = eye
        self._reflectors = (eye, eye.new_zeros(batch, size))
        self._r, self._inverse = eye.clone(), eye.clone()
        self._r_log_scale, self._inverse_log_scale = eye.new_zeros(batch), eye.new_zeros(batch)
        self._rounding = size**0.5 * torch.finfo(dtype).eps
        self._unknown = torch.zeros(batch, dtype=torch.bool, device=device)
        self._log_diagonal = eye.new_zeros(batch, size)
        self._log_diagonal_before = self._log_diagonal
        self._lag_before = 0

    def multiply(self, *jacobians: Float[Tensor, "batch state state"]) -> None:
        """Extend the product by the Jacobians of the timesteps before, later timesteps first.

        The directions are made orthogonal once, after the last of them.
        """
        last, *earlier = map(self._without_unknown, jacobians)
        matrix = self._times_q(last.mT)
        for jacobian in earlier:
            matrix = jacobian.mT @ matrix
        norm = torch.linalg.matrix_norm(matrix if earlier else last)
        self.lag += len(jacobians)
        factor = self._orthogonalize(matrix, self._rounding * norm)
        diagonal = factor.diagonal(dim1=-2, dim2=-1).abs()
        self._log_diagonal = self._log_diagonal + diagonal.log()
        self._r, self._r_log_scale = _rescaled(_triangular_product(factor, self._r), self._r_log_scale)
        regular = (diagonal > 0).all(dim=-1)
        if not regular.all():
            eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
            factor = torch.where(regular[:, None, None], factor, eye)
        inverse = torch.linalg.solve_triangular(factor, self._inverse, upper=True, left=False)
        self._inverse, self._inverse_log_scale = _rescaled(inverse, self._inverse_log_scale)
        self.affordable = _affordable(diagonal, len(jacobians))

    def _without_unknown(self, jacobian: Tensor) -> Tensor:
        """The Jacobians of the samples whose Jacobians were all finite, and 0 for the others."""
        known = jacobian.isfinite().flatten(1).all(dim=1)
        self._unknown = self._unknown | ~known
        return jacobian.masked_fill(self._unknown[:, None, None], 0.0) if self._unknown.any() else jacobian

    def _times_q(self, matrix: Tensor) -> Tensor:
        """The product of a matrix and Q."""
        return torch.ormqr(*self._reflectors, matrix, left=False) if self._q is None else matrix @ self._q

    def _orthogonalize(self, matrix: Tensor, rounding: Tensor) -> Tensor:
        """Replace Q by that of the QR decomposition of a matrix, and return R.

        R_ii = 0 if column i adds at most `rounding` to the columns before it. Column i of Q and row i of R are then
        zero. LAPACK's QR would choose an arbitrary direction for that column and take the growth along it away from
        later columns.
        """
        reflectors = torch.geqrf(matrix)
        factor = reflectors[0].triu()
        collapsed = (factor.diagonal(dim1=-2, dim2=-1).abs() <= rounding[:, None]).any(dim=-1)
        self._q, self._reflectors = None, reflectors
        if collapsed.any():
            self._q = torch.linalg.householder_product(*reflectors)
            self._q[collapsed], factor[collapsed] = _gram_schmidt(matrix[collapsed], rounding[collapsed])
        return factor

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
        """Start averaging the Lyapunov exponents here. The multiplications so far only aligned Q; they do not count."""
        self._log_diagonal_before, self._lag_before = self._log_diagonal, self.lag

    def exponents(self) -> Float[Tensor, "batch state"]:
        """The Lyapunov exponents of each sample in nats per timestep, largest first; -inf for a collapsed direction."""
        growth = self._log_diagonal - self._log_diagonal_before
        growth = growth.masked_fill(self._log_diagonal.isneginf(), -torch.inf)  # also if it collapsed earlier
        exponents = growth / (self.lag - self._lag_before)
        return self._known(exponents.sort(dim=-1, descending=True).values)

    def _known(self, values: Tensor) -> Tensor:
        return values.masked_fill(self._unknown.view(-1, *[1] * (values.dim() - 1)), torch.nan)


def _affordable(diagonal: Float[Tensor, "batch state"], timesteps: int) -> int:
    """The number of Jacobians whose product keeps the smallest direction apart from the rounding of the largest.

    Args:
        diagonal: Growth of each direction over some timesteps, as the diagonal of R.
        timesteps: Number of those timesteps.
    """
    logs = diagonal.log()
    spread = float((logs.amax(dim=1) - logs.amin(dim=1)).max()) / timesteps
    return min(CHUNK, max(1, int(SPREAD / spread))) if 0 < spread < math.inf else 1


def _triangular_product(a: Float[Tensor, "batch state state"], b: Float[Tensor, "batch state state"]) -> Tensor:
    """The product of two upper triangular matrices, without the quarter of the work that multiplies zeros."""
    half = a.shape[-1] // 2
    product = torch.zeros_like(a)
    product[:, :half] = a[:, :half, :half] @ b[:, :half]
    product[:, :half, half:] += a[:, :half, half:] @ b[:, half:, half:]
    product[:, half:, half:] = a[:, half:, half:] @ b[:, half:, half:]
    return product


def _gram_schmidt(
    matrix: Float[Tensor, "batch state state"], rounding: Float[Tensor, " batch"]
) -> tuple[Tensor, Tensor]:
    """The QR decomposition of `JacobianProduct._orthogonalize`, column by column.

    Each column is projected twice, which makes Q as orthogonal as LAPACK's (Giraud et al. 2005).
    """
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
    """The matrix divided by its largest entry, and the logarithm of the scale with that entry included."""
    largest = matrix.abs().amax(dim=(-2, -1))
    divisor = torch.where((largest > 0) & largest.isfinite(), largest, torch.ones_like(largest))
    return matrix / divisor[:, None, None], log_scale + divisor.log()


def analyze(
    jacobians: Iterable[Float[Tensor, "batch state state"]], recorded_lags: set[int], transient: int
) -> tuple[list[Spectrum], Float[Tensor, "batch state"]]:
    """Multiply the Jacobians of all timesteps, from the last one backwards, and measure the product on the way.

    Args:
        jacobians: Jacobians of timesteps T, T-1, ..., 1.
        recorded_lags: Lags at which to take the singular values.
        transient: Number of first multiplications that do not count for the exponents, because they align Q.

    Returns:
        The spectra by increasing lag, and the Lyapunov exponents of each sample (see `JacobianProduct.exponents`).

    Raises:
        ValueError: There are no Jacobians.
    """
    product: JacobianProduct | None = None
    spectra: list[Spectrum] = []
    waiting: list[Tensor] = []
    for jacobian in jacobians:
        if product is None:
            batch, size, _ = jacobian.shape
            product = JacobianProduct(batch, size, jacobian.dtype, str(jacobian.device))
            if 0 in recorded_lags:
                spectra.append(product.spectrum())
        waiting.append(jacobian)
        lag = product.lag + len(waiting)
        if len(waiting) >= product.affordable or lag in recorded_lags or lag == transient:
            product.multiply(*waiting)
            waiting = []
        if product.lag == transient and not waiting:
            product.begin_exponents()
        if lag in recorded_lags:
            spectra.append(product.spectrum())
    if product is None:
        raise ValueError("cannot analyse an empty sequence of Jacobians")
    if waiting:
        product.multiply(*waiting)
    return spectra, product.exponents()
