"""The adding problem: remember two marked numbers and answer their sum."""

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from experiments.tasks.lengths import Length, Lengths, Spread
from experiments.tasks.marked_numbers import MarkedNumbers


class Adding(MarkedNumbers):
    """Read a number from U(0, 1) and a marker at each timestep, and answer the sum of the two marked numbers at T.

    One number in each half of the sequence is marked (Hochreiter, Schmidhuber 1997, in the form of Arjovsky, Shah,
    Bengio 2016). The loss is the squared error. The loss of always answering the mean is the variance of the target,
    1/6. A sequence is wrong if its squared error is above 0.04. The task is solved when fewer than 1 % of the
    sequences are wrong (Pascanu et al. 2013).

    Args:
        length: Number of timesteps T of the shortest sequences.
        halved: Whether the answer is half the sum, as in Pascanu et al. (variance 1/24).
        length_spread: Range of the lengths within a batch, as a share of `length`; see `Lengths`.
    """

    def __init__(self, length: Annotated[int, Field(ge=2)], halved: bool = False, length_spread: Spread = 0.0) -> None:
        super().__init__(Lengths(length, length_spread))
        self.scale = 0.5 if halved else 1.0
        self.chance_loss = self.scale**2 / 6
        # |a + b - 1| has the density 2 (1 - x) on [0, 1], so it exceeds x with probability (1 - x)^2.
        self.chance_error = (1 - 0.2 / self.scale) ** 2

    def parts(self, length: Length) -> tuple[tuple[Length, Length], tuple[Length, Length]]:
        return (0, length // 2), (length // 2, length)

    def answer(self, numbers: Float[Tensor, "2 batch"]) -> Float[Tensor, " batch"]:
        return self.scale * numbers.sum(dim=0)
