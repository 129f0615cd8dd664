"""What every task is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

Outputs = Float[Tensor, "steps batch output"]
PerSequence = Float[Tensor, " batch"]


class Batch(NamedTuple):
    """Sequences and what to answer.

    Attributes:
        inputs: (time, batch, input).
        targets: numbers (steps, batch, output) or classes (steps, batch), for the timesteps that are read out.
    """

    inputs: Float[Tensor, "time batch input"]
    targets: Shaped[Tensor, "steps batch *output"]

    def to(self, device: torch.device, dtype: torch.dtype) -> "Batch":
        """The same batch elsewhere; classes stay whole numbers."""
        targets = self.targets.to(device, dtype if self.targets.is_floating_point() else None)
        return Batch(self.inputs.to(device, dtype), targets)


class Task(ABC):
    """A stream of sequences drawn from a generator, with the loss and the error of an answer.

    Attributes:
        timesteps: T, the number of timesteps of every sequence.
        input_size: numbers read at each timestep.
        output_size: numbers answered at each timestep that is read out.
        readout_steps: how many timesteps, counted from the end, are read out; None: all.
        chance_loss: the loss of the best answer that does not remember the sequence.
        chance_error: the error of that answer.
        solved_below: the error under which the task counts as solved, as published; None where nothing is published.
    """

    timesteps: int
    input_size: int
    output_size: int
    readout_steps: int | None
    chance_loss: float
    chance_error: float
    solved_below: float | None

    @abstractmethod
    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """A fresh training batch."""

    @abstractmethod
    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        """The loss of each sequence; over several timesteps it is their mean."""

    @abstractmethod
    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        """The task's own error of each sequence, from 0 (right) to 1 (wrong)."""

    def held_out(self, samples: int, generator: Generator) -> Iterator[Batch]:
        """Sequences to evaluate on, in batches of at most 250: fresh ones, unless the task has a test set."""
        for start in range(0, samples, 250):
            yield self.draw(min(250, samples - start), generator)


def classification_losses(logits: Outputs, classes: Tensor) -> PerSequence:
    """The cross entropy in nats, mean over the timesteps."""
    return cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none").view(classes.shape).mean(dim=0)


def classification_errors(logits: Outputs, classes: Tensor) -> PerSequence:
    """The share of the timesteps at which the likeliest class is not the right one."""
    return (logits.argmax(dim=-1) != classes).to(logits.dtype).mean(dim=0)
