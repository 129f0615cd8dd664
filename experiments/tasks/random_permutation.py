"""The random permutation task: remember the first of many symbols."""

from math import log
from typing import Annotated

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from experiments.tasks.lengths import Lengths, Spread
from experiments.tasks.task import Batch, ClassificationTask


class RandomPermutation(ClassificationTask):
    """Read a symbol at each timestep, and repeat the first one at T (Pascanu et al. 2013).

    There are 100 symbols. The first one is one of two, and the others are drawn from the remaining 98. The answer is
    one of 100 classes. Guessing between the two has a loss of ln 2 and is wrong for 50 % of the sequences; before a
    network knows that only two symbols are ever asked for, its loss is near ln 100. The task is solved below 1 %.

    Args:
        length: Number of timesteps T of the shortest sequences.
        length_spread: Range of the lengths within a batch, as a share of `length`; see `Lengths`.
    """

    input_size = 100
    output_size = 100
    readout_steps = 1
    chance_loss = log(2)
    chance_error = 0.5
    solved_below = 0.01

    def __init__(self, length: Annotated[int, Field(ge=2)], length_spread: Spread = 0.0) -> None:
        self._lengths = Lengths(length, length_spread)
        self.timesteps = self._lengths.longest

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        length = self._lengths.draw(batch_size, generator)
        symbols = torch.randint(2, self.input_size, (self.timesteps, batch_size), generator=generator)
        first = torch.randint(0, 2, (batch_size,), generator=generator)
        symbols[self._lengths.starts(length), torch.arange(batch_size)] = first
        return self._lengths.batch(one_hot(symbols, self.input_size).float(), first[None], length)

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The first symbol."""
        return batch.inputs[..., :2].sum(dim=-1) > 0
