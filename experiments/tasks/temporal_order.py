"""The temporal order problem: name two symbols in the order in which they came."""

from math import log
from typing import Annotated

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from experiments.tasks.task import Batch, ClassificationTask


class TemporalOrder(ClassificationTask):
    """Read two symbols from {A, B} among four distractors, and answer AA, AB, BA or BB at T.

    The first symbol is in the second tenth of the sequence and the second one in the sixth tenth. Pascanu et al. (2013)
    use these positions for the problem of Hochreiter and Schmidhuber (1997). Guessing has a loss of ln 4 and is wrong
    for 75 % of the sequences. The task is solved below 1 %.

    Args:
        length: Number of timesteps T.
    """

    tenths: tuple[int, ...] = (1, 5)
    """The tenths of the sequence, from 0, that hold one of the symbols each."""

    input_size = 6
    output_size = 4
    readout_steps = 1
    chance_loss = log(4)
    chance_error = 0.75
    solved_below = 0.01

    def __init__(self, length: Annotated[int, Field(ge=2)]) -> None:
        self.timesteps = length

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        symbols = torch.randint(2, 6, (self.timesteps, batch_size), generator=generator)
        asked = torch.randint(0, 2, (len(self.tenths), batch_size), generator=generator)
        positions = torch.cat([self._position(tenth, batch_size, generator) for tenth in self.tenths])
        symbols.scatter_(0, positions, asked)
        places = 2 ** torch.arange(len(self.tenths)).flip(0)[:, None]
        return Batch(one_hot(symbols, self.input_size).float(), (places * asked).sum(dim=0, keepdim=True))

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The symbols that are asked for."""
        return batch.inputs[..., :2].sum(dim=-1) > 0

    def _position(self, tenth: int, batch_size: int, generator: Generator) -> Tensor:
        """Draw a position (from 0) in [tenth T / 10, (tenth + 1) T / 10) for each sequence."""
        start, end = self.timesteps * tenth // 10, self.timesteps * (tenth + 1) // 10
        return torch.randint(start, max(end, start + 1), (1, batch_size), generator=generator)
