"""The temporal order problem with three symbols."""

from typing import Annotated

from pydantic import Field

from experiments.tasks.lengths import Spread
from experiments.tasks.temporal_order import TemporalOrder


class TemporalOrder3Bit(TemporalOrder):
    """Read three symbols from {A, B} among four distractors, and answer which of the 8 orders it was at T.

    The symbols are in the second, fourth and seventh tenth of the sequence. Pascanu et al. (2013) use these positions
    for the problem of Hochreiter and Schmidhuber (1997). Guessing has a loss of ln 8 and is wrong for 87.5 % of the
    sequences. The task is solved below 1 %.

    Args:
        length: Number of timesteps T of the shortest sequences.
        length_spread: Range of the lengths within a batch, as a share of `length`; see `Lengths`.
    """

    tenths = (1, 3, 6)
    output_size = 8

    def __init__(self, length: Annotated[int, Field(ge=4)], length_spread: Spread = 0.0) -> None:
        super().__init__(length, length_spread)
