"""The base class of the tasks that ask for two marked numbers, such as their sum."""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from experiments.tasks.task import Batch, Outputs, PerSequence, Task


class MarkedNumbers(Task):
    """Read a number from U(0, 1) and a marker at each timestep, and answer a function of the two marked numbers at T.

    The loss is the squared error. A sequence is wrong if its squared error is above 0.04. The task is solved when fewer
    than 1 % of the sequences are wrong (Pascanu et al. 2013).

    Args:
        timesteps: Number of timesteps T.
        parts: First timestep and end of the two parts of the sequence in which one number each is marked, from 0. The
            parts do not overlap.
    """

    input_size = 2
    output_size = 1
    readout_steps = 1
    solved_below = 0.01

    def __init__(self, timesteps: int, parts: tuple[tuple[int, int], tuple[int, int]]) -> None:
        self.timesteps = timesteps
        self._parts = parts

    @abstractmethod
    def answer(self, numbers: Float[Tensor, "2 batch"]) -> Float[Tensor, " batch"]:
        """The right answer for the two marked numbers of each sequence."""

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        values = torch.rand(self.timesteps, batch_size, generator=generator)
        marked = torch.cat([torch.randint(*part, (1, batch_size), generator=generator) for part in self._parts])
        markers = torch.zeros_like(values).scatter_(0, marked, 1.0)
        answers = self.answer(values.gather(0, marked))
        return Batch(torch.stack([values, markers], dim=-1), answers[None, :, None])

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The two marked numbers."""
        return batch.inputs[..., 1] > 0

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return ((outputs - targets) ** 2).mean(dim=(0, 2))

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return (self.losses(outputs, targets) > 0.04).to(outputs.dtype)
