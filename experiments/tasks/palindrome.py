"""The palindrome task: complete a palindrome of digits, that is, repeat its first digit."""

from math import log
from typing import Annotated

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Generator, Tensor

from experiments.tasks.lengths import Lengths, Spread, first_timesteps
from experiments.tasks.task import Batch, ClassificationTask


class Palindrome(ClassificationTask):
    """Read a palindrome of digits except for its last digit, and answer that digit at T.

    The last digit equals the first one. This is a teaching task of the deep learning course of the University of
    Amsterdam. A digit is a single number from 0 to 1, a ninth of its value. Guessing has a loss of ln 10 and is wrong
    for 90 % of the sequences. There is no published criterion for when the task is solved.

    Args:
        length: Number of timesteps T of the shortest sequences; the palindrome has one digit more.
        length_spread: Range of the lengths within a batch, as a share of `length`; see `Lengths`.
    """

    input_size = 1
    output_size = 10
    readout_steps = 1
    chance_loss = log(10)
    chance_error = 0.9
    solved_below = None

    def __init__(self, length: Annotated[int, Field(ge=2)], length_spread: Spread = 0.0) -> None:
        self._lengths = Lengths(length, length_spread)
        self.timesteps = self._lengths.longest

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        length = self._lengths.draw(batch_size, generator)
        half = torch.randint(0, 10, (self.timesteps // 2 + 1, batch_size), generator=generator)
        place = torch.arange(self.timesteps)[:, None] - self._lengths.starts(length)
        place = torch.minimum(place, length - place).clamp(min=0).expand(-1, batch_size)
        return self._lengths.batch(half.gather(0, place)[..., None] / 9, half[:1], length)

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The first digit."""
        return first_timesteps(1, batch)
