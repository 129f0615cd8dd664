"""metrics.csv of a watched loop: loss, gradient norm and clipping of every step."""

import math
import operator
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from experiments.store.csv_writer import CsvWriter
from models.norms import l2_norm

FLUSH_SECONDS = 1.0
"""Longest time for which losses and gradient norms wait on their device."""

ROUNDING = 1e-5
"""Largest relative change of a gradient norm that counts as none."""


def gradients_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradients of the parameters that have one."""
    return [gradient for one in parameters if (gradient := one.grad) is not None]


def grad_norms(gradients: list[Tensor]) -> Sequence[Tensor]:
    """The norm of a gradient, or those of its parts, without waiting for their device; empty if there is none."""
    if not gradients:
        return []
    if any(one.requires_grad for one in gradients):
        gradients = [one.detach() for one in gradients]
    if any(one.is_sparse for one in gradients):
        gradients = [one.coalesce().values() if one.is_sparse else one for one in gradients]
    return (
        torch._foreach_norm(gradients) if all(one.is_cpu for one in gradients) else [nn.utils.get_total_norm(gradients)]
    )


def norm_of(norms: Sequence[Tensor]) -> float:
    """The norm of a gradient from those of its parts; nan if there are none."""
    if not norms:
        return math.nan
    return float(torch.linalg.vector_norm(torch.stack(list(norms)).double()))


def norms_in_range(norms: Sequence[Tensor], parameters: Iterable[Tensor]) -> Sequence[Tensor]:
    """The norms of the gradients, measured again in float64 if one is not finite: its squares may leave the range."""
    if math.isfinite(norm_of(norms)):
        return norms
    return [l2_norm(one) for one in gradients_of(parameters)] or norms


class WatchedMetrics:
    """The rows of metrics.csv, held back until their numbers are read from their device.

    Args:
        parameters: Parameters of the model.
        table: Function that opens the table.

    Attributes:
        optimizer: Class and settings of the optimizer that made the last update; None if it was not seen.
    """

    def __init__(self, parameters: Sequence[Tensor], table: Callable[[], CsvWriter]) -> None:
        self._parameters, self._table = list(parameters), table
        self._trained = set(self._parameters)
        self._rows: list[list[Any]] = []
        self._measured: list[Tensor] | None = None  # the gradients of a step whose update is to come
        self._versions: list[int] = []
        self._is_in_order = True
        self._flushed = time.monotonic()
        self.optimizer: dict[str, Any] | None = None

    def add(self, number: int, loss: Tensor, norms: Sequence[Tensor] | None = None) -> Sequence[Tensor]:
        """Add a step, whose update is still to come. Return the norms of the parts of its gradient.

        Args:
            number: Number of the step.
            loss: Its loss.
            norms: The norms, if they were measured earlier, as before clipping; empty if they cannot be measured; None
                measures them.
        """
        self._measured = gradients_of(self._parameters) if norms is None else []
        self._versions = [one._version for one in self._measured]
        norms = grad_norms(self._measured) if norms is None else norms
        self._rows.append([number, loss, norms, None, None])
        return norms

    def replace_norms(self, norms: Sequence[Tensor]) -> None:
        """Give the last step other norms of the parts of its gradient."""
        self._rows[-1][2] = norms

    def about_to_update(self, optimizer: Optimizer) -> None:
        """Add what is left of the gradient before the update of the last step, and the learning rate.

        If an update comes before the first step, the loop calls `watch.step` after its updates, and nothing is added.
        """
        measured, self._measured = self._measured, None
        if measured is None and self._rows:
            return
        if not any(one in self._trained for group in optimizer.param_groups for one in group["params"]):
            self._measured = measured
            return
        if measured is None or not self._is_in_order:
            self._is_in_order = False
            return
        row, first = self._rows[-1], optimizer.param_groups[0]
        lr = first.get("lr")
        row[4] = lr.clone() if isinstance(lr, Tensor) else lr  # a schedule changes such a tensor in place
        left = gradients_of(self._parameters)
        row[3] = row[2] if self._are_measured(left, measured) else grad_norms(left)
        if self.optimizer is None:
            kept = {key: first[key] for key in ("momentum", "weight_decay") if isinstance(first.get(key), int | float)}
            self.optimizer = {"name": type(optimizer).__name__, **kept}

    def _are_measured(self, gradients: Sequence[Tensor], measured: Sequence[Tensor]) -> bool:
        """Whether gradients are those that were measured, and are unchanged."""
        return (
            len(gradients) == len(measured) > 0
            and all(map(operator.is_, gradients, measured))
            and [one._version for one in gradients] == self._versions
        )

    def write(self, *, now: bool = True) -> None:
        """Write all rows but the last one, whose update may be to come.

        Args:
            now: Whether to write them before `FLUSH_SECONDS` are over.
        """
        if now or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._write(self._rows[:-1])
            self._rows = self._rows[-1:]

    def close(self) -> None:
        """Write all rows."""
        self._write(self._rows)
        self._rows = []

    def _write(self, rows: Sequence[Sequence[Any]]) -> None:
        self._flushed = time.monotonic()
        if rows:
            self._table().append([_row(*one) for one in rows])


def _row(number: int, loss: Tensor, norms: Sequence[Tensor], left: Sequence[Tensor] | None, lr: Any) -> tuple[Any, ...]:
    """A row of metrics.csv from step, loss, gradient norm, the norm before the update, and learning rate."""
    norm, clipped, scale = norm_of(norms) if norms else None, norm_of(left) if left else None, None
    if norm is not None and clipped is not None and math.isfinite(norm) and not math.isfinite(clipped):
        clipped = None  # its squares left the range
    if clipped is not None and norm:
        scale = clipped / norm
        if abs(scale - 1) <= ROUNDING:
            clipped, scale = norm, 1.0
    return number, float(loss), norm, clipped, scale, None if lr is None else float(lr), None, None, None, None
