"""The lengths of the sequences of a batch: all the same, or drawn for each sequence."""

from fractions import Fraction
from math import ceil
from typing import Annotated

import torch
from jaxtyping import Int64, Shaped
from pydantic import Field
from torch import Generator, Tensor

from experiments.tasks.task import Batch, PaddedBatch

Spread = Annotated[float, Field(ge=0, le=1)]
Length = int | Int64[Tensor, " batch"]
"""The length of all sequences, or of each one."""


class Lengths:
    """Lengths that are uniform over the whole numbers from `shortest` to below (1 + spread) `shortest`.

    Pascanu et al. (2013) train on lengths from T to 1.1 T, which is a spread of 0.1.

    Args:
        shortest: Smallest length.
        spread: Range of the lengths, as a share of `shortest`; 0 for one length.

    Attributes:
        longest: Largest length.
    """

    def __init__(self, shortest: int, spread: float) -> None:
        self.shortest = shortest
        self.longest = max(shortest, shortest + ceil(Fraction(str(spread)) * shortest) - 1)

    @property
    def all(self) -> range:
        """All lengths, which are equally likely."""
        return range(self.shortest, self.longest + 1)

    def draw(self, batch_size: int, generator: Generator) -> Length:
        """Draw the length of each sequence. A single length draws no random numbers."""
        if self.longest == self.shortest:
            return self.shortest
        return torch.randint(self.shortest, self.longest + 1, (batch_size,), generator=generator)

    def starts(self, length: Length) -> Length:
        """The number of padded timesteps before each sequence."""
        return self.longest - length

    def batch(self, inputs: Tensor, targets: Shaped[Tensor, "steps batch *output"], length: Length) -> Batch:
        """The batch of sequences that end at the last timestep, with 0 before their first timesteps."""
        if isinstance(length, int):
            return Batch(inputs, targets)
        return PaddedBatch(inputs, targets, self.longest - length)


def draw_between(first: Length, end: Length, batch_size: int, generator: Generator) -> Int64[Tensor, "1 batch"]:
    """Draw a whole number from `first` to below `end` for each sequence. `end` is larger than `first`."""
    if isinstance(first, int) and isinstance(end, int):
        return torch.randint(first, end, (1, batch_size), generator=generator)
    uniform = torch.rand(1, batch_size, generator=generator, dtype=torch.float64)
    return first + (uniform * (end - first)).long()


def at_least(value: Length, least: Length) -> Length:
    """The larger one of two lengths, for each sequence."""
    if isinstance(value, int) and isinstance(least, int):
        return max(value, least)
    return torch.maximum(torch.as_tensor(value), torch.as_tensor(least))
