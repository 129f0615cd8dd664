"""The latching task: store one bit in spite of noise."""

from math import log
from typing import Annotated

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Generator, Tensor

from experiments.errors import UsageError
from experiments.tasks.lengths import Lengths, Spread, first_timesteps
from experiments.tasks.task import Batch, ClassificationTask


class Latch(ClassificationTask):
    """Read a signal of one sign at the first timesteps and noise afterwards, and answer the sign at T.

    The signal is +1 or -1. Gaussian noise is added at all timesteps. This is the minimal task of Bengio, Simard and
    Frasconi (1994): the class depends on the first few inputs only, and the noise must not overwrite the stored bit.
    Theirs differs, as Schmidhuber, Hochreiter and Bengio (2001) describe it: they train the inputs at the beginning,
    add noise only to the inputs after the first one, with a variance of 0.2 (`noise` 0.447), and ask for 0.8 or -0.8
    in place of a class. Guessing has a loss of ln 2 and is wrong for 50 % of the sequences. There is no published
    criterion for when the task is solved.

    Args:
        length: Number of timesteps T of the shortest sequences, larger than `signal`.
        signal: Number of timesteps with a signal.
        noise: Standard deviation of the noise.
        length_spread: Range of the lengths within a batch, as a share of `length`; see `Lengths`.

    Raises:
        UsageError: `length` is not larger than `signal`.
    """

    input_size = 1
    output_size = 2
    readout_steps = 1
    chance_loss = log(2)
    chance_error = 0.5
    solved_below = None

    def __init__(
        self,
        length: Annotated[int, Field(ge=2)],
        signal: Annotated[int, Field(ge=1)],
        noise: Annotated[float, Field(ge=0)],
        length_spread: Spread = 0.0,
    ) -> None:
        if length <= signal:
            raise UsageError(f"task.length={length}: must be larger than task.signal={signal}")
        self._lengths = Lengths(length, length_spread)
        self.timesteps, self.signal, self.noise = self._lengths.longest, signal, noise

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        length = self._lengths.draw(batch_size, generator)
        inputs = self.noise * torch.randn(self.timesteps, batch_size, 1, generator=generator)
        positive = torch.randint(0, 2, (1, batch_size), generator=generator)
        batch = self._lengths.batch(inputs, positive, length)
        inputs[..., 0] = torch.where(self.marked(batch), inputs[..., 0] + (2 * positive - 1), inputs[..., 0])
        return batch

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"]:
        """The timesteps with a signal."""
        return first_timesteps(self.signal, batch)
