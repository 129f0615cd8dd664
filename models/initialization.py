"""Initialisations of the recurrent matrices. Each function sets the matrix of every gate in place, independently."""

from torch import nn

from models.cell import Cell, RecurrentBlock


def default(cell: Cell) -> None:
    """Keep the cell as it was constructed. For rnn, lstm and gru that is torch's own U(-k, k), k = 1/sqrt(hidden)."""


def orthogonal(cell: Cell, gain: float) -> None:
    """Set gain times a random orthogonal matrix: every singular value is `gain` (Saxe, McClelland, Ganguli 2014)."""
    for block in _blocks(cell):
        nn.init.orthogonal_(block.weight, gain)


def gaussian(cell: Cell, gain: float) -> None:
    """Draw independent N(0, gain^2 / hidden) entries. The spectral radius tends to `gain` with the width (Ginibre)."""
    for block in _blocks(cell):
        nn.init.normal_(block.weight, std=abs(gain) * block.weight.shape[1] ** -0.5)


def identity(cell: Cell, gain: float) -> None:
    """Set gain times the identity matrix (Le, Jaitly, Hinton 2015)."""
    for block in _blocks(cell):
        nn.init.eye_(block.weight).mul_(gain)


def _blocks(cell: Cell) -> list[RecurrentBlock]:
    blocks = cell.recurrent_blocks()
    if not blocks:
        raise ValueError(
            f"{type(cell).__name__} has no recurrent_blocks() to initialise; use init=default, which changes nothing"
        )
    return blocks
