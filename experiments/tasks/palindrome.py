"""The palindrome task: complete a palindrome of digits, that is, repeat its first digit."""

from math import log
from typing import Annotated

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Generator, Tensor

from experiments.tasks.task import Batch, ClassificationTask


class Palindrome(ClassificationTask):
    """Read a palindrome of digits except for its last digit, and answer that digit at T.

    The last digit equals the first one. This is a teaching task of the deep learning course of the University of
    Amsterdam. A digit is a single number from 0 to 1, a ninth of its value. Guessing has a loss of ln 10 and is wrong
    for 90 % of the sequences. There is no published criterion for when the task is solved.

    Args:
        length: Number of timesteps T; the palindrome has one digit more.
    """

    input_size = 1
    output_size = 10
    readout_steps = 1
    chance_loss = log(10)
    chance_error = 0.9
    solved_below = None

    def __init__(self, length: Annotated[int, Field(ge=2)]) -> None:
        self.timesteps = length

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        whole = self.timesteps + 1
        half = torch.randint(0, 10, ((whole + 1) // 2, batch_size), generator=generator)
        digits = torch.cat([half, half[: whole // 2].flip(0)])
        return Batch(digits[:-1, :, None] / 9, digits[-1:])

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The first digit."""
        marked = torch.zeros(batch.inputs.shape[:2], dtype=torch.bool, device=batch.inputs.device)
        marked[0] = True
        return marked
