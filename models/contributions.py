"""The part of each window of timesteps in the gradient of a parameter: the temporal components of Pascanu et al. 2013.

dL/dW = sum_t dW_t (eq. 3 to 5). The norm of a part is ||dW_t||_F, and its share is <dW_t, dL/dW> / ||dL/dW||^2. The
shares of a parameter add up to 1 if the parts add up to dL/dW.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from models.norms import l2_norm

Bounds = list[tuple[int, int]]
"""The first and the last timestep of each window of a sequence, counted from 1."""

AT_ONCE = 16
"""Windows whose parts are in memory at once."""


class Contribution(ABC):
    """The gradient of one parameter as a sum over timesteps."""

    @abstractmethod
    def total(self) -> Tensor:
        """The gradient of the parameter, in its shape."""

    @abstractmethod
    def norms(self, windows: Bounds) -> Float[Tensor, " windows"]:
        """The L2 norm of each window's part, in float64."""

    @abstractmethod
    def products(self, windows: Bounds, direction: Tensor) -> Float[Tensor, " windows"]:
        """The inner product of each window's part with a tensor in the parameter's shape, in float64."""

    @classmethod
    @abstractmethod
    def join(cls, pieces: Sequence[Any], windows: Sequence[int]) -> "Contribution":
        """The gradient over a sequence from those over its pieces, in order, which are all of this class.

        Args:
            pieces: Gradient over each piece.
            windows: For each window of each piece, in order, the index of the window of the sequence that it is a part
                of. Windows count from 0.
        """

    def cut(self, windows: Bounds) -> "Contribution":
        """The same contribution in the form in which norms and shares of these windows take the least time."""
        return self

    def shares(self, windows: Bounds, whole: Tensor | None = None) -> list[float] | None:
        """The share of each window in the gradient of the parameter.

        Args:
            windows: Windows of timesteps.
            whole: The gradient, from another computation; None takes the sum of the parts.

        Returns:
            The shares; None if the gradient is 0, or if the gradient or a part is not finite.
        """
        whole = self.total() if whole is None else whole
        size = l2_norm(whole)
        if not 0 < size < torch.inf:
            return None
        # Divide by the norm twice, because its square may underflow.
        shares: Tensor = self.products(windows, (whole.double() / size).to(whole.dtype)) / size
        return shares.tolist() if shares.isfinite().all() else None


class OuterProducts(Contribution):
    """The gradient of a matrix whose part at timestep t is a sum of outer products over the batch, rows_t source_t^T.

    No part needs to be computed as a matrix: <dW_t, V> = sum_b rows_tb^T V source_tb is one batched product over all
    timesteps, and ||dW_t||^2 = sum_bc (rows_tb . rows_tc) (source_tb . source_tc) are two.

    Args:
        rows: Gradient with respect to W source_t, (time, batch, rows).
        source: What the matrix multiplies at timestep t, (time, batch, columns); None for a bias, whose source is 1.
    """

    def __init__(self, rows: Tensor, source: Tensor | None = None) -> None:
        self._rows, self._source = rows, source

    @classmethod
    def join(cls, pieces: Sequence[Any], windows: Sequence[int]) -> "OuterProducts":
        sources = [piece._source for piece in pieces if piece._source is not None]
        return cls(torch.cat([piece._rows for piece in pieces]), torch.cat(sources) if sources else None)

    def apply(self, move: Callable[[Tensor], Tensor]) -> "OuterProducts":
        """The same gradient with its timesteps in another order, such as one of its own for each sequence."""
        return OuterProducts(move(self._rows), None if self._source is None else move(self._source))

    @classmethod
    def beside(cls, batches: Sequence["OuterProducts"]) -> "OuterProducts":
        """The gradient over several batches of the same timesteps as that over one."""
        sources = [batch._source for batch in batches if batch._source is not None]
        return cls(torch.cat([batch._rows for batch in batches], dim=1), torch.cat(sources, dim=1) if sources else None)

    @cached_property
    def _total(self) -> Tensor:
        rows = self._rows.flatten(0, 1)
        return rows.sum(dim=0) if self._source is None else rows.mT @ self._source.flatten(0, 1)

    def total(self) -> Tensor:
        return self._total

    def products(self, windows: Bounds, direction: Tensor) -> Float[Tensor, " windows"]:
        if self._source is None:
            by_timestep = (self._rows @ direction).sum(dim=1, dtype=torch.float64)
        else:
            by_timestep = torch.linalg.vecdot((self._rows @ direction).flatten(1), self._source.flatten(1)).double()
        if len(windows) == len(by_timestep):
            return by_timestep
        sizes = torch.tensor([last - first + 1 for first, last in windows], device=by_timestep.device)
        return torch.segment_reduce(by_timestep, "sum", lengths=sizes)

    def cut(self, windows: Bounds) -> Contribution:
        if len(windows) == len(self._rows):
            if self._source is None:
                return Parts(self._rows.sum(dim=1))
            if self._source.shape[2] <= self._source.shape[1]:  # the parts have at most as many entries as the rows
                return Parts((self._source.mT @ self._rows).mT)
        elif len(windows) <= AT_ONCE:
            return Parts(torch.stack([self._part(slice(first - 1, last)) for first, last in windows]))
        return self

    def norms(self, windows: Bounds) -> Float[Tensor, " windows"]:
        contribution = self.cut(windows)
        if contribution is not self:
            return contribution.norms(windows)
        if self._source is not None and len(windows) == len(self._rows):
            chunks = zip(torch.split(self._rows, AT_ONCE), torch.split(self._source, AT_ONCE), strict=True)
            return torch.cat([_norms_by_timestep(rows, source) for rows, source in chunks])
        norms: list[Tensor] = []
        for start in range(0, len(windows), AT_ONCE):
            parts = [self._part(slice(first - 1, last)) for first, last in windows[start : start + AT_ONCE]]
            norms.append(l2_norm(torch.stack(parts).flatten(1), dim=1))
        return torch.cat(norms)

    def _part(self, timesteps: slice) -> Tensor:
        rows = self._rows[timesteps].flatten(0, 1)
        if self._source is None:
            return rows.sum(dim=0)
        # Faster than rows^T source for a source of few columns. The total keeps its order, and training its bytes.
        return (self._source[timesteps].flatten(0, 1).mT @ rows).mT


def _norms_by_timestep(rows: Tensor, source: Tensor) -> Float[Tensor, " time"]:
    """The norm of each timestep's sum of outer products, without the sum."""
    scaled, size = _scaled(rows)
    source, source_size = _scaled(source)
    squares: Tensor = torch.linalg.vecdot((scaled @ scaled.mT).flatten(1), (source @ source.mT).flatten(1))
    return squares.double().clamp(min=0).sqrt() * size.double() * source_size.double()


def _scaled(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors of each timestep divided by their largest entry, so that their squares fit, and that entry."""
    size = vectors.abs().amax(dim=(1, 2))
    return vectors / torch.where(size > 0, size, 1.0)[:, None, None], size


class Parts(Contribution):
    """The gradient of a parameter as the parts of its windows.

    Args:
        parts: Part of each window, (windows, *parameter's shape).
    """

    def __init__(self, parts: Tensor) -> None:
        self._parts = parts

    @classmethod
    def join(cls, pieces: Sequence[Any], windows: Sequence[int]) -> "Parts":
        parts = torch.cat([piece._parts for piece in pieces])
        joined = parts.new_zeros(windows[-1] + 1, *parts.shape[1:])
        joined.index_add_(0, torch.tensor(windows, device=parts.device), parts)
        return cls(joined)

    def total(self) -> Tensor:
        return self._parts.sum(dim=0)

    def norms(self, windows: Bounds) -> Float[Tensor, " windows"]:
        return l2_norm(self._parts.flatten(1), dim=1)

    def products(self, windows: Bounds, direction: Tensor) -> Float[Tensor, " windows"]:
        return (self._parts * direction).flatten(1).sum(dim=1, dtype=torch.float64)
