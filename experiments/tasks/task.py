"""The base classes of the tasks: `Task`, and `ClassificationTask` for tasks whose answers are classes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from experiments.tasks.dependence import Dependence
from models.padding import Starts

Outputs = Float[Tensor, "steps batch output"]
PerSequence = Float[Tensor, " batch"]


LossAt = Literal["last", "all"]
"""Whether the last timestep has a loss, or every timestep that has an answer."""


class Batch(NamedTuple):
    """A batch of sequences and the correct answers.

    Attributes:
        inputs: Input at each timestep, (time, batch, input).
        targets: Correct answers at the timesteps that are read out: numbers (steps, batch, output) or classes (steps,
            batch).
    """

    inputs: Float[Tensor, "time batch input"]
    targets: Shaped[Tensor, "steps batch *output"]

    @property
    def starts(self) -> Starts | None:
        """The number of padded timesteps before each sequence; None if there is no padding."""
        return None

    def to(self, device: torch.device, dtype: torch.dtype) -> "Batch":
        """Return the batch on another device and in another data type. Classes stay integers."""
        targets = self.targets.to(device, dtype if self.targets.is_floating_point() else None)
        return Batch(self.inputs.to(device, dtype), targets)

    @property
    def inputs_of_all(self) -> Float[Tensor, "time batch input"]:
        """The inputs of the timesteps that all sequences have."""
        return self.inputs if self.starts is None else self.inputs[int(self.starts.max()) :]


class PaddedBatch(Batch):
    """A batch of sequences of different lengths. They all end at the last timestep; see `models.padding`.

    Args:
        inputs: As in `Batch`, with 0 in the padding.
        targets: As in `Batch`.
        starts: Number of padded timesteps before each sequence.
    """

    _starts: Starts

    def __new__(
        cls, inputs: Float[Tensor, "time batch input"], targets: Shaped[Tensor, "steps batch *output"], starts: Starts
    ) -> "PaddedBatch":
        batch = super().__new__(cls, inputs, targets)
        batch._starts = starts
        return batch

    @property
    def starts(self) -> Starts:
        return self._starts

    def to(self, device: torch.device, dtype: torch.dtype) -> "PaddedBatch":
        return PaddedBatch(*super().to(device, dtype), self.starts.to(device))


class Task(ABC):
    """A task draws random sequences and computes the loss and the error of the network's answers.

    Attributes:
        timesteps: Number of timesteps T of every sequence.
        input_size: Size of the input at each timestep.
        output_size: Size of the output at each timestep that is read out.
        readout_steps: Number of timesteps, counted from the end, that are read out; None reads out all of them.
        chance_loss: Loss of the best answer that remembers nothing of the sequence. It may depend on the timestep and
            on the input at it.
        chance_error: Error of that answer.
        solved_below: Published error below which the task counts as solved; None if no criterion is published.
        data: What a data file held, such as its number of rows, for run.json; None for a task without one.
    """

    timesteps: int
    input_size: int
    output_size: int
    readout_steps: int | None
    chance_loss: float
    chance_error: float
    solved_below: float | None
    data: Mapping[str, Any] | None = None

    @abstractmethod
    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """Draw a new training batch."""

    @abstractmethod
    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        """The loss of each sequence: the mean over the timesteps that are read out."""

    @abstractmethod
    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        """The error of each sequence as the task defines it, from 0 (right) to 1 (wrong)."""

    def marked(self, batch: Batch) -> Bool[Tensor, "time batch"] | None:
        """The timesteps of each sequence that read what the answer depends on; gates.csv tells them from the others.

        By default a task marks none, which is None.
        """
        return None

    def dependence(self) -> Sequence[Dependence]:
        """How much the answer depends on the inputs at each lag; the rows of data_lags.csv.

        By default there are none. A task with the user's own data measures them in the training part.
        """
        return ()

    def held_out(self, samples: int, generator: Generator) -> Iterator[Batch]:
        """Yield sequences for evaluation in batches of at most 250.

        By default they are newly drawn. A task with a test set overrides this method.
        """
        for start in range(0, samples, 250):
            yield self.draw(min(250, samples - start), generator)


class ClassificationTask(Task):
    """A task whose answer is a class at each timestep that is read out. The outputs are the logits of the classes.

    The loss of a sequence is the cross entropy in nats. The error is the share of timesteps at which the class with the
    largest logit is wrong.
    """

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return class_losses(outputs, targets)

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return class_errors(outputs, targets)


def class_losses(outputs: Outputs, targets: Int64[Tensor, "steps batch"]) -> PerSequence:
    """The cross entropy of each sequence in nats: the mean over the timesteps that are read out."""
    losses = cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(targets.shape).mean(dim=0)


def class_errors(outputs: Outputs, targets: Int64[Tensor, "steps batch"]) -> PerSequence:
    """The share of timesteps of each sequence at which the class with the largest logit is wrong."""
    return (outputs.argmax(dim=-1) != targets).to(outputs.dtype).mean(dim=0)
