"""White noise: inputs without structure, for probes and as a task that nobody can learn."""

from math import log
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator

from experiments.tasks.lengths import Lengths, Spread
from experiments.tasks.task import Batch, ClassificationTask


class Noise(ClassificationTask):
    """Read white Gaussian noise, and answer a class at T that is drawn independently of it.

    For probes, which need an input with a known variance and a loss at T to differentiate. It also shows what scores
    look like where nothing can be learned: no answer is better than guessing, which has a loss of ln 2 and is wrong for
    50 % of the sequences. There is no criterion for when the task is solved.

    Args:
        length: Number of timesteps T of the shortest sequences.
        size: Number of inputs at each timestep.
        std: Standard deviation of the noise.
        length_spread: Range of the lengths within a batch, as a share of `length`; see `Lengths`.
    """

    output_size = 2
    readout_steps = 1
    chance_loss = log(2)
    chance_error = 0.5
    solved_below = None

    def __init__(
        self,
        length: Annotated[int, Field(ge=1)],
        size: Annotated[int, Field(ge=1)],
        std: Annotated[float, Field(ge=0)],
        length_spread: Spread = 0.0,
    ) -> None:
        self._lengths = Lengths(length, length_spread)
        self.timesteps, self.input_size, self.std = self._lengths.longest, size, std

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        length = self._lengths.draw(batch_size, generator)
        inputs = self.std * torch.randn(self.timesteps, batch_size, self.input_size, generator=generator)
        return self._lengths.batch(inputs, torch.randint(0, 2, (1, batch_size), generator=generator), length)
