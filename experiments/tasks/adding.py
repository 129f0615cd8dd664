"""The adding problem: remember two marked numbers and answer their sum."""

from typing import Annotated

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Generator, Tensor

from experiments.tasks.task import Batch, Outputs, PerSequence, Task


class Adding(Task):
    """Read a number from U(0, 1) and a marker at each timestep, and answer the sum of the two marked numbers at T.

    One number in each half of the sequence is marked (Hochreiter, Schmidhuber 1997, in the form of Arjovsky, Shah,
    Bengio 2016). The loss is the squared error. The loss of always answering the mean is the variance of the target,
    1/6. A sequence is wrong if its squared error is above 0.04. The task is solved when fewer than 1 % of the
    sequences are wrong (Pascanu et al. 2013).

    Args:
        length: Number of timesteps T.
        halved: Whether the answer is half the sum, as in Pascanu et al. (variance 1/24).
    """

    input_size = 2
    output_size = 1
    readout_steps = 1
    solved_below = 0.01

    def __init__(self, length: Annotated[int, Field(ge=2)], halved: bool = False) -> None:
        self.timesteps = length
        self.scale = 0.5 if halved else 1.0
        self.chance_loss = self.scale**2 / 6
        # |a + b - 1| has the density 2 (1 - x) on [0, 1], so it exceeds x with probability (1 - x)^2.
        self.chance_error = (1 - 0.2 / self.scale) ** 2

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        half = self.timesteps // 2
        values = torch.rand(self.timesteps, batch_size, generator=generator)
        first = torch.randint(0, half, (1, batch_size), generator=generator)
        second = torch.randint(half, self.timesteps, (1, batch_size), generator=generator)
        marked = torch.cat([first, second])
        markers = torch.zeros_like(values).scatter_(0, marked, 1.0)
        total = values.gather(0, marked).sum(dim=0)
        return Batch(torch.stack([values, markers], dim=-1), (self.scale * total)[None, :, None])

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The two marked numbers."""
        return batch.inputs[..., 1] > 0

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return ((outputs - targets) ** 2).mean(dim=(0, 2))

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return (self.losses(outputs, targets) > 0.04).to(outputs.dtype)
