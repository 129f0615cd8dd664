"""The adding problem: remember two marked numbers and answer their sum."""

from statistics import fmean
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
    1/6. Without memory, a network does better only where the number at T is the marked one: its value leaves the
    variance of the other number, 1/12. A sequence is wrong if its squared error is above 0.04. The task is solved when
    fewer than 1 % of the sequences are wrong (Pascanu et al. 2013).

    Args:
        length: Number of timesteps T of the shortest sequences.
        halved: Whether the answer is half the sum, as in Pascanu et al. (variance 1/24).
        length_spread: Range of the lengths within a batch, as a share of `length`; see `Lengths`.
    """

    def __init__(self, length: Annotated[int, Field(ge=2)], halved: bool = False, length_spread: Spread = 0.0) -> None:
        super().__init__(Lengths(length, length_spread))
        self.scale = 0.5 if halved else 1.0
        at_the_end = fmean(1 / (each - each // 2) for each in self._lengths.all)  # how often the number at T is marked
        self.chance_loss = self.scale**2 * (1 / 6 - at_the_end / 12)
        # |a + b - 1| has the density 2 (1 - x) on [0, 1], so it exceeds x with probability (1 - x)^2.
        # |b - 1/2| exceeds x with probability 1 - 2 x.
        off = 0.2 / self.scale
        self.chance_error = (1 - at_the_end) * (1 - off) ** 2 + at_the_end * (1 - 2 * off)

    def parts(self, length: Length) -> tuple[tuple[Length, Length], tuple[Length, Length]]:
        return (0, length // 2), (length // 2, length)

    def answer(self, numbers: Float[Tensor, "2 batch"]) -> Float[Tensor, " batch"]:
        return self.scale * numbers.sum(dim=0)
