"""Initialisations of the recurrent matrices, and of the gates' biases. Each function changes a cell in place.

The matrix of every gate is drawn independently. The same seed gives the same draw in float32 and in float64, except
for `gaussian`.
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from models.cell import AtLeastOne, Cell, Positive, RecurrentBlock
from models.gated import GatedCell


def default(cell: Cell) -> None:
    """Keep the cell as it was constructed. For rnn, lstm and gru that is torch's own U(-k, k), k = 1/sqrt(hidden)."""


def orthogonal(cell: Cell, gain: float) -> None:
    """Set gain times a random orthogonal matrix: every singular value is `gain` (Saxe, McClelland, Ganguli 2014).

    The matrix is Q of a Gaussian matrix, with the signs that make it uniform (Mezzadri 2007), as in torch. The Gaussian
    matrix is drawn in float32, and Q is computed in the cell's dtype.
    """
    for block in _blocks(cell):
        drawn = torch.empty(block.weight.shape, dtype=torch.float32).normal_()
        q, r = torch.linalg.qr(drawn.to(block.weight.dtype))
        block.weight.copy_(q * r.diagonal().sign()).mul_(gain)


def gaussian(cell: Cell, gain: float) -> None:
    """Draw independent N(0, gain^2 / hidden) entries, in float32.

    The spectral radius tends to `gain` with the width (Ginibre).
    """
    for block in _blocks(cell):
        drawn = torch.empty(block.weight.shape, dtype=torch.float32)
        block.weight.copy_(drawn.normal_(std=abs(gain) * block.weight.shape[1] ** -0.5))


def identity(cell: Cell, gain: float) -> None:
    """Set gain times the identity matrix (Le, Jaitly, Hinton 2015)."""
    for block in _blocks(cell):
        nn.init.eye_(block.weight).mul_(gain)


def uniform(cell: Cell, bound: Positive) -> None:
    """Draw independent U(-bound, bound) entries, in float64."""
    for block in _blocks(cell):
        block.weight.copy_(_empty(block).uniform_(-bound, bound))


def glorot(cell: Cell, gain: float) -> None:
    """Draw independent U(-k, k) entries, k = gain sqrt(6 / (rows + columns)), in float64 (Glorot, Bengio 2010)."""
    for block in _blocks(cell):
        block.weight.copy_(nn.init.xavier_uniform_(_empty(block), gain))


def spectral_radius(cell: Cell, radius: Positive) -> None:
    """Draw Gaussian entries in float64, and scale them so that the largest |eigenvalue| is `radius` (Jaeger 2001)."""
    for block in _blocks(cell):
        block.weight.copy_(_with_radius(_empty(block).normal_(), radius))


def sparse(cell: Cell, connections: AtLeastOne, radius: Positive) -> None:
    """Draw Gaussian entries in float64 for a few connections, and scale them to a spectral radius.

    Each unit acts on `connections` units: so many entries of each column are not zero. With 15 connections and a radius
    of 0.95, this is smart_tanh of Pascanu, Mikolov and Bengio 2013.
    """
    for block in _blocks(cell):
        drawn = _empty(block).normal_()
        if connections > len(drawn):
            raise ValueError(f"init.connections={connections}: must be at most {len(drawn)}, the size of {block.name}")
        for column in drawn.T:
            column[torch.randperm(len(column))[connections:]] = 0
        block.weight.copy_(_with_radius(drawn, radius))


def chrono(cell: Cell, t_max: Annotated[float, Ge(2)]) -> None:
    """Draw the biases of the gates that keep a state, for memories of 1 to t_max timesteps (Tallec, Ollivier 2018).

    The forget gate of each unit gets the bias ln u, u from U(1, t_max - 1), and the input gate, if there is one, -ln u.
    A gate that renews a state, such as z of a minGRU (`kept_by` says 1 - z), gets -ln u. The recurrent matrices stay as
    they were constructed. Draws in float64.
    """
    keepers = dict.fromkeys(cell.kept_by.values())
    names = [gate.removeprefix("1 - ") for gate in keepers]
    if not isinstance(cell, GatedCell) or not names or not set(names) <= set(cell.gates):
        raise ValueError(
            f"{type(cell).__name__} keeps no state by a gate with a bias; choose a cell such as lstm or gru"
        )
    for gate, name in zip(keepers, names, strict=True):
        memory = torch.empty(cell.hidden_size, dtype=torch.float64).uniform_(1, t_max - 1).log_()
        cell.set_gate_bias(name, -memory if gate.startswith("1 - ") else memory)
        if "input" in cell.gates:
            cell.set_gate_bias("input", -memory)


def _empty(block: RecurrentBlock) -> Tensor:
    return torch.empty(block.weight.shape, dtype=torch.float64)


def _with_radius(matrix: Tensor, radius: float) -> Tensor:
    """The matrix, scaled so that its largest |eigenvalue| is `radius`."""
    scaled: Tensor = matrix * (radius / torch.linalg.eigvals(matrix).abs().max())
    return scaled


def _blocks(cell: Cell) -> list[RecurrentBlock]:
    blocks = cell.recurrent_blocks()
    if not blocks:
        raise ValueError(
            f"{type(cell).__name__} names no recurrent matrix to initialise (recurrent_blocks()); use init=default, "
            "which keeps the cell as it was constructed"
        )
    return blocks
