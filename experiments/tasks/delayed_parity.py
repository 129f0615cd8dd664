"""The delayed parity task: the parity of some successive bits, some timesteps later."""

from typing import Annotated

from pydantic import Field

from experiments.errors import UsageError
from experiments.tasks.lagged_parity import LaggedParity
from experiments.tasks.task import LossAt


class DelayedParity(LaggedParity):
    """Read a random bit at each timestep, and answer the parity of the last `bits` of them, `delay` timesteps later.

    y_t is the parity of x_{t-delay}, ..., x_{t-delay-bits+1}, as in Bertschinger and Natschlaeger (2004), who use three
    bits. Every timestep with enough bits before it has a loss. Chance is ln 2 and 50 %; see `LaggedParity`.

    Args:
        length: Number of timesteps T, at least delay + bits.
        delay: Number of timesteps between the last bit and the answer.
        bits: Number of bits.
        loss_at: Whether the last timestep has a loss, or all timesteps that have an answer.

    Raises:
        UsageError: `length` is smaller than delay + bits.
    """

    def __init__(
        self,
        length: Annotated[int, Field(ge=2)],
        delay: Annotated[int, Field(ge=0)],
        bits: Annotated[int, Field(ge=2)],
        loss_at: LossAt = "all",
    ) -> None:
        if length < delay + bits:
            raise UsageError(f"task.length={length}: must be at least {delay + bits}, task.delay + task.bits")
        super().__init__(length, range(delay, delay + bits), loss_at)
