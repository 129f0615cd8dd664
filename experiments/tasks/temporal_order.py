"""The temporal order problem: which of two symbols came first?"""

from math import log
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from experiments.tasks.task import Batch, Outputs, PerSequence, Task, classification_errors, classification_losses


class TemporalOrder(Task):
    """Two of {A, B} among four distractors; at T the network says which of AA, AB, BA, BB it was.

    The first stands in the second tenth of the sequence, the other in the sixth, as Pascanu et al. (2013) draw the
    problem of Hochreiter and Schmidhuber (1997). Guessing costs ln 4 and is wrong in 75 %; solved is under 1 %.

    Args:
        length: T, the number of timesteps.
    """

    input_size = 6
    output_size = 4
    readout_steps = 1
    chance_loss = log(4)
    chance_error = 0.75
    solved_below = 0.01

    def __init__(self, length: Annotated[int, Field(ge=2)]) -> None:
        self.timesteps = length

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        symbols = torch.randint(2, 6, (self.timesteps, batch_size), generator=generator)
        pair = torch.randint(0, 2, (2, batch_size), generator=generator)
        positions = torch.cat([self._position(tenth, batch_size, generator) for tenth in (1, 5)])
        symbols.scatter_(0, positions, pair)
        return Batch(one_hot(symbols, self.input_size).float(), (2 * pair[0] + pair[1])[None])

    def _position(self, tenth: int, batch_size: int, generator: Generator) -> Tensor:
        """A position (from 0) in [tenth L / 10, (tenth + 1) L / 10), for each sequence."""
        start, end = self.timesteps * tenth // 10, self.timesteps * (tenth + 1) // 10
        return torch.randint(start, max(end, start + 1), (1, batch_size), generator=generator)

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return classification_losses(outputs, targets)

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return classification_errors(outputs, targets)
