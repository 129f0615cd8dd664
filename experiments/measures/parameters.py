"""parameters.csv: norms of each parameter, its gradient and its update, and the spectrum of recurrent matrices."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.measures.measure import Measure, Row
from models.differentiation import DetachedState
from models.network import RecurrentNetwork
from models.norms import l2_norm
from models.trace import Trace


class Parameters(Measure):
    """One row for each parameter, and one for each gate's block of a recurrent matrix, named `parameter[gate]`.

    grad_norm is measured before clipping, update_norm after the update and everything else before it. spectral_radius
    and sigma_max describe a square matrix that multiplies h. They differ: a matrix with a spectral radius of 0.95 may
    stretch a vector by 1.8.

    Args:
        spectra_every: Interval of the recorded steps with spectra, from the first one on. Elsewhere, spectral_radius
            and sigma_max are empty.
    """

    columns = ("step", "parameter", "grad_norm", "weight_norm", "update_norm", "spectral_radius", "sigma_max")
    words = ("parameter",)

    def __init__(self, spectra_every: int = 1) -> None:
        self._before: list[tuple[Part, Tensor, float]] = []
        self._spectra_every, self._recorded = spectra_every, 0

    def before_update(self, step: int, network: RecurrentNetwork, trace: Trace) -> Iterable[Row]:
        self._before = [(part, part.weight.clone(), _norm(part.gradient)) for part in parts_of(network)]
        return ()

    def after_update(self, step: int, network: RecurrentNetwork) -> Iterable[Row]:
        has_spectra = self._recorded % self._spectra_every == 0
        self._recorded += 1
        for part, before, grad_norm in self._before:
            spectrum = _spectrum(before) if part.recurrent and has_spectra else (None, None)
            yield step, part.name, grad_norm, _norm(before), _norm(part.weight - before), *spectrum


class Part(NamedTuple):
    """A parameter, or the rows of one gate in it."""

    name: str
    parameter: Tensor
    rows: slice
    recurrent: bool

    @property
    def weight(self) -> Tensor:
        return self.parameter.detach()[self.rows]

    @property
    def gradient(self) -> Tensor:
        if self.parameter.grad is None:
            raise DetachedState(f"{self.name}: the loss does not depend on it")
        return self.parameter.grad[self.rows]


def parts_of(network: RecurrentNetwork) -> list[Part]:
    """Every parameter, and every recurrent matrix that is a block of one."""
    parameters = dict(network.named_parameters())
    known = set(map(id, parameters.values()))
    blocks = {
        f"layers.{layer}.{block.name}": Part(
            f"layers.{layer}.{block.name}", block.parameter, block.rows, recurrent=True
        )
        for layer, cell in enumerate(network.cells)
        for block in cell.recurrent_blocks()
        if id(block.parameter) in known
    }
    whole = {name: Part(name, parameter, slice(None), recurrent=False) for name, parameter in parameters.items()}
    return list((whole | blocks).values())


def _spectrum(weight: Tensor) -> tuple[float | None, float | None]:
    """The largest modulus of an eigenvalue, and the largest singular value."""
    if not weight.isfinite().all():
        return None, None
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    return float(torch.linalg.eigvals(weight).abs().max()), float(torch.linalg.matrix_norm(weight, 2))


def _norm(tensor: Tensor) -> float:
    return float(l2_norm(tensor))
