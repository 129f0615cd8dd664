"""The running parity task: the parity of all bits so far, at each timestep."""

from math import log
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator

from experiments.tasks.lagged_parity import as_signs
from experiments.tasks.task import Batch, ClassificationTask, LossAt


class RunningParity(ClassificationTask):
    """Read a random bit at each timestep, as -1 or 1, and answer the parity of all bits so far at each timestep.

    A network can solve this with a single bit of memory, but the gradient must pass through all timesteps (a classic
    benchmark; Schmidhuber, Hochreiter and Bengio 2001 solve it by guessing weights). The first answer is the first bit
    itself, and all others are independent of the bit at their timestep. So the best answer without a memory has a loss
    of (1 - 1/T) ln 2 and is wrong at (1 - 1/T) / 2 of the timesteps. With a loss at T alone and T > 1, chance is ln 2
    and 1/2. There is no published criterion.

    Args:
        length: Number of timesteps T.
        loss_at: Whether the last timestep has a loss, or all timesteps.
    """

    input_size = 1
    output_size = 2
    solved_below = None

    def __init__(self, length: Annotated[int, Field(ge=1)], loss_at: LossAt = "all") -> None:
        self.timesteps = length
        self.readout_steps = None if loss_at == "all" else 1
        guessed = 1 - 1 / length if loss_at == "all" else float(length > 1)
        self.chance_loss = guessed * log(2)
        self.chance_error = guessed / 2

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        bits = torch.randint(0, 2, (self.timesteps, batch_size), generator=generator)
        parity = bits.cumsum(dim=0) % 2
        return Batch(as_signs(bits), parity if self.readout_steps is None else parity[-1:])
