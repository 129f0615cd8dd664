"""The delayed XOR task: whether two earlier bits differ."""

from typing import Annotated

from pydantic import Field

from experiments.errors import UsageError
from experiments.tasks.lagged_parity import LaggedParity
from experiments.tasks.task import LossAt


class DelayedXor(LaggedParity):
    """Read a random bit at each timestep, and answer whether the bits at two lags differ.

    y_t = x_{t-delay/2} xor x_{t-delay}, as in the tests of gradient flossing by Engelken (2023). The code of the paper
    counts otherwise: its lags are its delay and twice its delay, so that its delay of 10 is a `delay` of 20 here. Its
    inputs are 0 and 1, and ours -1 and 1. Every timestep with enough bits before it has a loss. Chance is ln 2 and
    50 %; see `LaggedParity`.

    Args:
        length: Number of timesteps T, larger than `delay`.
        delay: Larger one of the two lags; the other one is its half, rounded down.
        loss_at: Whether the last timestep has a loss, or all timesteps that have an answer.

    Raises:
        UsageError: `length` is not larger than `delay`.
    """

    def __init__(
        self, length: Annotated[int, Field(ge=2)], delay: Annotated[int, Field(ge=1)], loss_at: LossAt = "all"
    ) -> None:
        if length <= delay:
            raise UsageError(f"task.length={length}: must be larger than task.delay={delay}")
        super().__init__(length, (delay // 2, delay), loss_at)
