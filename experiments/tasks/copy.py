"""The copy memory task: read ten symbols, wait, and repeat them."""

from math import log
from statistics import fmean
from typing import Annotated

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from experiments.tasks.lengths import Length, Lengths, Spread
from experiments.tasks.task import Batch, ClassificationTask, Outputs, PerSequence
from models.padding import is_present

COPIED = 10
"""Number of symbols to copy."""

NO_ANSWER = -100
"""The target of the timesteps before a sequence, to which torch's cross entropy gives a loss of 0."""


class Copy(ClassificationTask):
    """Read 10 symbols from an alphabet of 8, wait for a go signal, and repeat them (Arjovsky et al. 2016).

    The input is 10 symbols, a delay of blanks that ends with the go signal, and 10 more blanks. The correct answer is
    blank up to the go signal and the 10 symbols after it. Each of the length + 20 timesteps has a loss. Answering blank
    and then guessing has a loss of 10 ln 8 / (length + 20). The error is the share of the ten symbols that are wrong.
    The task is solved below 1 %, as for the memorisation task of this kind in Pascanu et al. (2013).

    Args:
        length: Delay in timesteps; the sequence has length + 20 timesteps.
        length_spread: Range of the delays within a batch, as a share of `length`; see `Lengths`.
    """

    symbols = 8
    """Number of symbols in the alphabet. Their classes come first, then that of blank; an input may also be go."""

    readout_steps = None
    solved_below = 0.01

    def __init__(self, length: Annotated[int, Field(ge=1)], length_spread: Spread = 0.0) -> None:
        self._delays = Lengths(length, length_spread)
        self.timesteps = self._delays.longest + 2 * COPIED
        self.input_size, self.output_size = self.symbols + 2, self.symbols + 1
        self.chance_loss = fmean(COPIED * log(self.symbols) / (delay + 2 * COPIED) for delay in self._delays.all)
        self.chance_error = 1 - 1 / self.symbols

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        blank, go = self.symbols, self.symbols + 1
        delay = self._delays.draw(batch_size, generator)
        starts = self._delays.starts(delay)
        symbols = torch.randint(0, self.symbols, (COPIED, batch_size), generator=generator)
        read = torch.full((self.timesteps, batch_size), blank)
        read.scatter_(0, self._positions(starts, batch_size, generator), symbols)
        read[-COPIED - 1] = go
        written = torch.full((self.timesteps, batch_size), blank)
        written[-COPIED:] = symbols
        if not isinstance(starts, int):
            written.masked_fill_(~is_present(starts, self.timesteps), NO_ANSWER)
        return self._delays.batch(one_hot(read, self.input_size).float(), written, delay)

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The ten symbols."""
        return batch.inputs[..., : self.symbols].sum(dim=-1) > 0

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        losses = super().losses(outputs, targets)
        if self._delays.shortest == self._delays.longest:
            return losses
        return losses * len(targets) / (targets != NO_ANSWER).sum(dim=0)

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return super().errors(outputs[-COPIED:], targets[-COPIED:])

    def _positions(self, starts: Length, batch_size: int, generator: Generator) -> Tensor:
        """The timesteps of the ten symbols, from 0, in rising order: (10, batch)."""
        return torch.arange(COPIED)[:, None].expand(COPIED, batch_size) + starts
