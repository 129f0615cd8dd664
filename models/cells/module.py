"""A cell of any installed package, if it is called as torch's cells are."""

from typing import Any

import torch
from torch import Tensor, nn

from models.address import ErrorDuringImport, locate
from models.cell import Cell, Input, RecurrentBlock, State


class ModuleCell(Cell):
    """Adapter for a class with the constructor and the call of `nn.RNNCell` or `nn.LSTMCell`.

        cell = Class(input_size, hidden_size, **options)
        state = cell(x, state), where the state is h alone, or a tuple of tensors with h first

    The states are named h and c, and from the third on state_3, ... They start at zero. Which gates the cell has, and
    which of them keeps a state, is not known. If it has a parameter weight_hh (k*hidden, hidden), the k matrices are
    its recurrent blocks.

    Args:
        path: Address of the class, such as torchrecurrent.MGUCell.
        options: Further arguments of its constructor, by name.

    Raises:
        ValueError: There is no such class, or it is called in another way.
    """

    def __init__(self, input_size: int, hidden_size: int, path: str, options: dict[str, Any] | None = None) -> None:
        super().__init__(input_size, hidden_size)
        self.cell = _module(path)(input_size, hidden_size, **(options or {}))
        x = torch.zeros(1, input_size)
        try:
            with torch.no_grad():
                first = self.cell(x)
                self._is_alone = isinstance(first, Tensor)
                self.cell(x, first)
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"cell.path={path}: cannot be called as cell(x, state), as torch.nn.GRUCell can: {error}"
            ) from error
        states = (first,) if isinstance(first, Tensor) else tuple(first)
        shapes = [tuple(one.shape) if isinstance(one, Tensor) else () for one in states]
        if shapes[0] != (1, hidden_size) or any(len(shape) != 2 for shape in shapes):
            raise ValueError(f"cell.path={path}: must return h (batch, hidden), or a tuple of states with h first")
        self._sizes = [size for _, size in shapes]
        self.state_names = ("h", "c", *(f"state_{i}" for i in range(3, len(states) + 1)))[: len(states)]

    def initial_state(self, batch: int) -> State:
        like = next(self.parameters())
        return tuple(like.new_zeros(batch, size) for size in self._sizes)

    def step(self, x: Input, state: State) -> State:
        if self._is_alone:
            return (self.cell(x, state[0]),)
        new: State = self.cell(x, state)
        return new

    def recurrent_blocks(self) -> list[RecurrentBlock]:
        weight, size = getattr(self.cell, "weight_hh", None), self.hidden_size
        if not isinstance(weight, nn.Parameter) or weight.dim() != 2 or weight.shape[1] != size or len(weight) % size:
            return []
        starts = range(0, len(weight), size)
        names = ["cell.weight_hh"] if len(starts) == 1 else [f"cell.weight_hh[{i}]" for i in range(len(starts))]
        return [
            RecurrentBlock(name, weight, slice(start, start + size)) for name, start in zip(names, starts, strict=True)
        ]


def _module(path: str) -> type[nn.Module]:
    """The class of an address."""
    try:
        found = locate(path)
    except ErrorDuringImport as error:
        raise ValueError(f"cell.path={path}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise ValueError(f"cell.path={path}: must be the address of a torch module, such as torch.nn.GRUCell")
    return found
