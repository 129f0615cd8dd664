"""The base class of the tasks that ask for two marked numbers, such as their sum."""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from experiments.tasks.lengths import Length, Lengths, draw_between
from experiments.tasks.task import Batch, Outputs, PerSequence, Task


class MarkedNumbers(Task):
    """Read a number from U(0, 1) and a marker at each timestep, and answer a function of the two marked numbers at T.

    The loss is the squared error. A sequence is wrong if its squared error is above 0.04. The task is solved when fewer
    than 1 % of the sequences are wrong (Pascanu et al. 2013).

    Args:
        lengths: Number of timesteps of each sequence.
    """

    input_size = 2
    output_size = 1
    readout_steps = 1
    solved_below = 0.01

    def __init__(self, lengths: Lengths) -> None:
        self.timesteps, self._lengths = lengths.longest, lengths

    @abstractmethod
    def parts(self, length: Length) -> tuple[tuple[Length, Length], tuple[Length, Length]]:
        """First timestep and end, from 0, of the two parts of a sequence that have one marked number each.

        The parts do not overlap.
        """

    @abstractmethod
    def answer(self, numbers: Float[Tensor, "2 batch"]) -> Float[Tensor, " batch"]:
        """The right answer for the two marked numbers of each sequence."""

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        length = self._lengths.draw(batch_size, generator)
        values = torch.rand(self.timesteps, batch_size, generator=generator)
        places = [draw_between(*part, batch_size, generator) for part in self.parts(length)]
        marked = torch.cat(places) + self._lengths.starts(length)
        markers = torch.zeros_like(values).scatter_(0, marked, 1.0)
        answers = self.answer(values.gather(0, marked))
        return self._lengths.batch(torch.stack([values, markers], dim=-1), answers[None, :, None], length)

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The two marked numbers."""
        return batch.inputs[..., 1] > 0

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return ((outputs - targets) ** 2).mean(dim=(0, 2))

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return (self.losses(outputs, targets) > 0.04).to(outputs.dtype)
