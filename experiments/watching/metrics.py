"""metrics.csv of a watched loop: loss, gradient norm and clipping of every step."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from experiments.store.csv_writer import CsvWriter

FLUSH_SECONDS = 1.0
"""Longest time for which losses and gradient norms wait on their device."""

ROUNDING = 1e-5
"""Largest relative change of a gradient norm that counts as none."""


def grad_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The norm of the gradient of all parameters, without waiting for their device; nan if none has a gradient."""
    found = [one.grad for one in parameters if one.grad is not None]
    if not found:
        return torch.tensor(torch.nan)
    found = [one.coalesce().values() if one.is_sparse else one for one in found]
    if any(one.device.type != "cpu" for one in found):
        on_device: Tensor = nn.utils.get_total_norm(found)
        return on_device
    norms = torch._foreach_norm(found)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms).double())
    return norm


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
        self._waits = False
        self._flushed = time.monotonic()
        self.optimizer: dict[str, Any] | None = None

    def add(self, number: int, loss: Tensor, norm: Tensor) -> None:
        """Add a step, whose update is still to come."""
        self._rows.append([number, loss, norm, None, None])
        self._waits = True

    def forward_pass(self) -> None:
        """Note that a watched layer was called: gradients from now on are those of another step."""
        self._waits = False

    def about_to_update(self, optimizer: Optimizer) -> None:
        """Add what is left of the gradient before the update of the last step, and the learning rate."""
        updated = (one for group in optimizer.param_groups for one in group["params"])
        if not self._waits or not any(one in self._trained for one in updated):
            return
        self._waits = False
        first = optimizer.param_groups[0]
        with torch.no_grad():
            self._rows[-1][3:] = grad_norm(self._parameters), first.get("lr")
        if self.optimizer is None:
            kept = {key: first[key] for key in ("momentum", "weight_decay") if isinstance(first.get(key), int | float)}
            self.optimizer = {"name": type(optimizer).__name__, **kept}

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


def _row(number: int, loss: Tensor, norm: Tensor, clipped: Tensor | None, lr: Any) -> tuple[Any, ...]:
    """A row of metrics.csv from step, loss, gradient norm, the norm before the update, and learning rate."""
    before, after, scale = float(norm), None if clipped is None else float(clipped), None
    if after is not None and before:
        scale = after / before
        if abs(scale - 1) <= ROUNDING:
            after, scale = before, 1.0
    return number, float(loss), before, after, scale, None if lr is None else float(lr), None, None, None, None
