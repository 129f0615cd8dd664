"""The multiplication problem: remember two marked numbers and answer their product."""

from math import log
from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from experiments.tasks.lengths import Length, Lengths, Spread, at_least
from experiments.tasks.marked_numbers import MarkedNumbers


class Multiplication(MarkedNumbers):
    """Read a number from U(0, 1) and a marker at each timestep, and answer the product of the two marked ones at T.

    One number in the first tenth of the sequence is marked, and one between the first tenth and the middle
    (Hochreiter, Schmidhuber 1997, with the positions of Pascanu et al. 2013). The loss is the squared error. The loss
    of always answering the mean, 1/4, is the variance of the product, 7/144. A sequence is wrong if its squared error
    is above 0.04. The task is solved when fewer than 1 % of the sequences are wrong.

    Args:
        length: Number of timesteps T of the shortest sequences.
        length_spread: Range of the lengths within a batch, as a share of `length`; see `Lengths`.
    """

    chance_loss = 7 / 144
    # P(ab < x) = x - x ln x. The answer 1/4 is off by more than 0.2 if ab is below 0.05 or above 0.45: 39.05 %.
    chance_error = (0.05 - 0.05 * log(0.05)) + 1 - (0.45 - 0.45 * log(0.45))

    def __init__(self, length: Annotated[int, Field(ge=3)], length_spread: Spread = 0.0) -> None:
        super().__init__(Lengths(length, length_spread))

    def parts(self, length: Length) -> tuple[tuple[Length, Length], tuple[Length, Length]]:
        tenth = at_least(length // 10, 1)
        return (0, tenth), (tenth, at_least(length // 2, tenth + 1))

    def answer(self, numbers: Float[Tensor, "2 batch"]) -> Float[Tensor, " batch"]:
        return numbers.prod(dim=0)
