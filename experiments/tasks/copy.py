"""The copy memory task: read ten symbols, wait, write them down again."""

from math import log
from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from experiments.tasks.task import Batch, Outputs, PerSequence, Task, classification_errors, classification_losses

SYMBOLS, COPIED = 8, 10
BLANK, GO = SYMBOLS, SYMBOLS + 1


class Copy(Task):
    """10 of 8 symbols, a delay of blanks and a go signal, 10 timesteps to repeat them (Arjovsky et al. 2016).

    The answer is blank until the go signal, and a loss stands at each of the length + 20 timesteps. Answering blank
    and then guessing costs 10 ln 8 / (length + 20). The error is the share of the ten symbols that come back wrong;
    solved is under 1 %, as for Pascanu et al.'s (2013) memorisation of this kind.

    Args:
        length: the delay; the sequence has length + 20 timesteps.
    """

    input_size = SYMBOLS + 2
    output_size = SYMBOLS + 1
    readout_steps = None
    chance_error = 1 - 1 / SYMBOLS
    solved_below = 0.01

    def __init__(self, length: Annotated[int, Field(ge=1)]) -> None:
        self.timesteps = length + 2 * COPIED
        self.chance_loss = COPIED * log(SYMBOLS) / self.timesteps

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        symbols = torch.randint(0, SYMBOLS, (COPIED, batch_size), generator=generator)
        read = torch.full((self.timesteps, batch_size), BLANK)
        read[:COPIED] = symbols
        read[-COPIED - 1] = GO
        written = torch.full((self.timesteps, batch_size), BLANK)
        written[-COPIED:] = symbols
        return Batch(one_hot(read, self.input_size).float(), written)

    def losses(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return classification_losses(outputs, targets)

    def errors(self, outputs: Outputs, targets: Tensor) -> PerSequence:
        return classification_errors(outputs[-COPIED:], targets[-COPIED:])
