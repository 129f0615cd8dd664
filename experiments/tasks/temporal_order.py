"""The temporal order problem: name two symbols in the order in which they came."""

from math import log
from statistics import fmean
from typing import Annotated

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from experiments.tasks.lengths import Length, Lengths, Spread, at_least, draw_between
from experiments.tasks.task import Batch, ClassificationTask


class TemporalOrder(ClassificationTask):
    """Read two symbols from {A, B} among four distractors, and answer AA, AB, BA or BB at T.

    The first symbol is in the second tenth of the sequence and the second one in the sixth tenth. Pascanu et al. (2013)
    use these positions for the problem of Hochreiter and Schmidhuber (1997). Guessing has a loss of ln 4 and is wrong
    for 75 % of the sequences; with T = 2 the second symbol is read at T, which leaves ln 2 and 50 %. The task is solved
    below 1 %.

    Args:
        length: Number of timesteps T of the shortest sequences.
        length_spread: Range of the lengths within a batch, as a share of `length`; see `Lengths`.
    """

    tenths: tuple[int, ...] = (1, 5)
    """The tenths of the sequence, from 0, that hold one of the symbols each."""

    input_size = 6
    output_size = 4
    readout_steps = 1
    solved_below = 0.01

    def __init__(self, length: Annotated[int, Field(ge=2)], length_spread: Spread = 0.0) -> None:
        self._lengths = Lengths(length, length_spread)
        self.timesteps = self._lengths.longest
        at_the_end = fmean(each == 2 for each in self._lengths.all)  # how often the second symbol is read at T
        self.chance_loss = log(self.output_size) - at_the_end * log(2)
        self.chance_error = 1 - (1 + at_the_end) / self.output_size

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        length = self._lengths.draw(batch_size, generator)
        symbols = torch.randint(2, 6, (self.timesteps, batch_size), generator=generator)
        asked = torch.randint(0, 2, (len(self.tenths), batch_size), generator=generator)
        positions = torch.cat([_position(length, tenth, batch_size, generator) for tenth in self.tenths])
        symbols.scatter_(0, positions + self._lengths.starts(length), asked)
        places = 2 ** torch.arange(len(self.tenths)).flip(0)[:, None]
        answers = (places * asked).sum(dim=0, keepdim=True)
        return self._lengths.batch(one_hot(symbols, self.input_size).float(), answers, length)

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The symbols that are asked for."""
        return batch.inputs[..., :2].sum(dim=-1) > 0


def _position(length: Length, tenth: int, batch_size: int, generator: Generator) -> Tensor:
    """Draw a position (from 0) in [tenth T / 10, (tenth + 1) T / 10) for each sequence of T timesteps."""
    start, end = length * tenth // 10, length * (tenth + 1) // 10
    return draw_between(start, at_least(end, start + 1), batch_size, generator)
