"""The sine frequency task: a continuous quantity that no single input shows."""

from math import pi
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from experiments.tasks.task import Batch, LossAt, Outputs, PerSequence, Task

SLOWEST, FASTEST = 0.02, 0.2
"""Frequencies in periods per timestep."""


class SineFrequency(Task):
    """Read a sine with a random frequency and phase, and answer its frequency at T.

    The frequency is uniform between 0.02 and 0.2 periods per timestep, and the answer is its place in this range, from
    0 to 1. The phase is uniform, so a single input says nothing about the frequency. The loss is the squared error. It
    is 1/12 for always answering 1/2. A sequence is wrong if its answer is off by more than 0.1, which is 80 % for 1/2.
    The task is of our own making: the memory that it needs is continuous, and more timesteps make it more exact. There
    is no published criterion for when it is solved.

    Args:
        length: Number of timesteps T.
        noise: Standard deviation of Gaussian noise that is added to the sine.
        loss_at: Whether the last timestep has a loss, or all timesteps, at which the answer is the same.
    """

    input_size = 1
    output_size = 1
    chance_loss = 1 / 12
    chance_error = 0.8
    solved_below = None

    def __init__(
        self,
        length: Annotated[int, Field(ge=2)],
        noise: Annotated[float, Field(ge=0)] = 0.0,
        loss_at: LossAt = "last",
    ) -> None:
        self.timesteps, self.noise = length, noise
        self.readout_steps = 1 if loss_at == "last" else None

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        place, phase = torch.rand(2, batch_size, generator=generator)
        frequency = SLOWEST + (FASTEST - SLOWEST) * place
        periods = torch.arange(self.timesteps)[:, None] * frequency + phase
        noise = self.noise * torch.randn(self.timesteps, batch_size, generator=generator)
        answers = place[None, :, None]
        if self.readout_steps is None:
            answers = answers.expand(self.timesteps, batch_size, 1)
        return Batch((torch.sin(2 * pi * periods) + noise)[..., None], answers)

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return ((outputs - targets) ** 2).mean(dim=(0, 2))

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return ((outputs - targets).abs() > 0.1).to(outputs.dtype).mean(dim=(0, 2))
