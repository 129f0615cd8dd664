"""The running parity task: the parity of all bits so far, at each timestep."""

from math import log
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator

from experiments.tasks.lagged_parity import as_signs
from experiments.tasks.task import Batch, ClassificationTask


class RunningParity(ClassificationTask):
    """Read a random bit at each timestep, as -1 or 1, and answer the parity of all bits so far at each timestep.

    A network can solve this with a single bit of memory, but the gradient must pass through all timesteps (a classic
    benchmark; Schmidhuber, Hochreiter and Bengio 2001 solve it by guessing weights). The first answer is the first bit
    itself, and all others are independent of the bit at their timestep. So the best answer without a memory has a loss
    of (1 - 1/T) ln 2 and is wrong at (1 - 1/T) / 2 of the timesteps. There is no published criterion.

    Args:
        length: Number of timesteps T.
    """

    input_size = 1
    output_size = 2
    readout_steps = None
    solved_below = None

    def __init__(self, length: Annotated[int, Field(ge=1)]) -> None:
        self.timesteps = length
        self.chance_loss = (1 - 1 / length) * log(2)
        self.chance_error = (1 - 1 / length) / 2

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        bits = torch.randint(0, 2, (self.timesteps, batch_size), generator=generator)
        return Batch(as_signs(bits), bits.cumsum(dim=0) % 2)
