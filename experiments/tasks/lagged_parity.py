"""The base class of tasks that ask for the parity of some earlier bits at each timestep."""

from collections.abc import Sequence
from math import log

import torch
from torch import Generator, Tensor

from experiments.tasks.task import Batch, ClassificationTask, LossAt


class LaggedParity(ClassificationTask):
    """Read a random bit at each timestep, as -1 or 1, and answer the parity of the bits at some lags.

    Every timestep that has bits at all lags before it is read out, or the last one. As one of the lags is above 0, the
    bit at the timestep itself says nothing about the answer: guessing has a loss of ln 2 and is wrong at half of the
    timesteps. The error of a sequence is the share of its answers that are wrong. There is no published criterion.

    Args:
        timesteps: Number of timesteps T, larger than all lags.
        lags: Lags of the bits, one of them above 0.
        loss_at: Whether the last timestep has a loss, or all timesteps that have an answer.
    """

    input_size = 1
    output_size = 2
    readout_steps: int
    chance_loss = log(2)
    chance_error = 0.5
    solved_below = None

    def __init__(self, timesteps: int, lags: Sequence[int], loss_at: LossAt = "all") -> None:
        self.timesteps, self.lags = timesteps, tuple(lags)
        self.readout_steps = timesteps - max(lags) if loss_at == "all" else 1

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        bits = torch.randint(0, 2, (self.timesteps, batch_size), generator=generator)
        first = max(self.lags)
        parity = sum((bits[first - lag : len(bits) - lag] for lag in self.lags), torch.tensor(0)) % 2
        return Batch(as_signs(bits), parity[-self.readout_steps :])


def as_signs(bits: Tensor) -> Tensor:
    """Bits as inputs: -1 or 1, (time, batch, 1)."""
    return (2.0 * bits - 1)[..., None]
