"""The lengths of the sequences of a batch: all the same, or drawn for each sequence."""

from fractions import Fraction
from math import ceil
from typing import Annotated

import torch
from jaxtyping import Bool, Int64, Shaped
from pydantic import Field
from torch import Generator, Tensor

from experiments.tasks.task import Batch, PaddedBatch
from models.padding import is_present

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
        """The batch of sequences that end at the last timestep. Inputs before their first timesteps become 0."""
        if isinstance(length, int):
            return Batch(inputs, targets)
        starts = self.longest - length
        return PaddedBatch(inputs.masked_fill_(~is_present(starts, len(inputs))[..., None], 0.0), targets, starts)


def first_timesteps(number: int, batch: Batch) -> Bool[Tensor, "time batch"]:
    """The first timesteps of each sequence, counted from its own start."""
    time, batch_size, _ = batch.inputs.shape
    own = torch.arange(time, device=batch.inputs.device)[:, None]
    if batch.starts is not None:
        own = own - batch.starts
    return ((own >= 0) & (own < number)).expand(time, batch_size)


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
