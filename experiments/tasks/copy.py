"""The copy memory task: read ten symbols, wait, and repeat them."""

from math import log
from typing import Annotated

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from experiments.tasks.task import Batch, ClassificationTask, Outputs, PerSequence

COPIED = 10
"""Number of symbols to copy."""


class Copy(ClassificationTask):
    """Read 10 symbols from an alphabet of 8, wait for a go signal, and repeat them (Arjovsky et al. 2016).

    The input is 10 symbols, a delay of blanks that ends with the go signal, and 10 more blanks. The correct answer is
    blank up to the go signal and the 10 symbols after it. Each of the length + 20 timesteps has a loss. Answering blank
    and then guessing has a loss of 10 ln 8 / (length + 20). The error is the share of the ten symbols that are wrong.
    The task is solved below 1 %, as for the memorisation task of this kind in Pascanu et al. (2013).

    Args:
        length: Delay in timesteps; the sequence has length + 20 timesteps.
    """

    symbols = 8
    """Number of symbols in the alphabet. Their classes come first, then that of blank; an input may also be go."""

    readout_steps = None
    solved_below = 0.01

    def __init__(self, length: Annotated[int, Field(ge=1)]) -> None:
        self.timesteps = length + 2 * COPIED
        self.input_size, self.output_size = self.symbols + 2, self.symbols + 1
        self.chance_loss = COPIED * log(self.symbols) / self.timesteps
        self.chance_error = 1 - 1 / self.symbols

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        blank, go = self.symbols, self.symbols + 1
        symbols = torch.randint(0, self.symbols, (COPIED, batch_size), generator=generator)
        read = torch.full((self.timesteps, batch_size), blank)
        read.scatter_(0, self._positions(batch_size, generator), symbols)
        read[-COPIED - 1] = go
        written = torch.full((self.timesteps, batch_size), blank)
        written[-COPIED:] = symbols
        return Batch(one_hot(read, self.input_size).float(), written)

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The ten symbols."""
        return batch.inputs[..., : self.symbols].sum(dim=-1) > 0

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return super().errors(outputs[-COPIED:], targets[-COPIED:])

    def _positions(self, batch_size: int, generator: Generator) -> Tensor:
        """The timesteps of the ten symbols, from 0, in rising order: (10, batch)."""
        return torch.arange(COPIED)[:, None].expand(COPIED, batch_size)
