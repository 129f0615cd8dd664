"""Gradient flossing: push the Lyapunov exponents of the network towards zero, before training or during it."""

from typing import Annotated, Any

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from experiments.errors import UsageError
from experiments.remedies.remedy import Remedy
from models.lyapunov import lyapunov_exponents
from models.network import RecurrentNetwork

Positive = Annotated[float, Field(gt=0)]


class Flossing(Remedy):
    """Minimise the mean square of the largest Lyapunov exponents in episodes of their own (Engelken 2023, algorithm 1).

        loss = 1/k sum_i lambda_i^2,   i = 1, ..., k

    An episode comes before the first training step, and others at regular intervals. Each of its updates uses one
    sequence, the next one of the training step's batch, and an Adam optimiser of its own. It changes the parameters of
    the cells alone. The exponents are those of the forward dynamics, without the first 10 timesteps and a tenth of the
    sequence, as in the author's code (RainerEngelken/GradientFlossing, commit a4492d5). With several layers, the loss
    is the mean over the layers.

    The records of step 1 are those of the network after the first episode.

    Args:
        exponents: k, the number of exponents of each layer.
        before: Updates before the first training step.
        during: Updates of each later episode.
        every: Training steps from one episode to the next; None for no later episode.
        lr: Learning rate of the updates.
    """

    def __init__(
        self,
        exponents: PositiveInt,
        before: NonNegativeInt,
        during: NonNegativeInt = 0,
        every: PositiveInt | None = None,
        lr: Positive = 0.001,
    ) -> None:
        self.exponents, self.before, self.during, self.every, self.lr = exponents, before, during, every, lr

    def attach(self, network: RecurrentNetwork) -> None:
        if (self.during > 0) != (self.every is not None):
            raise UsageError("remedy.during and remedy.every need each other: updates of an episode, steps between two")
        if self.before == self.during == 0:
            raise UsageError("remedy.before=0: makes no update; give more, or remedy.during and remedy.every")
        for cell in network.cells:
            size = sum(state.shape[1] * (1 + state.is_complex()) for state in cell.initial_state(1))
            if self.exponents > size:
                raise ValueError(
                    f"remedy.exponents={self.exponents}: must be at most {size}, the size of the cell's state"
                )
        self._optimizer = torch.optim.Adam([one for cell in network.cells for one in cell.parameters()], self.lr)

    def before_step(self, step: int, network: RecurrentNetwork, inputs: Float[Tensor, "time batch input"]) -> None:
        for update in range(self._updates_before(step)):
            sequence = update % inputs.shape[1]
            loss = self.loss(network, inputs[:, sequence : sequence + 1])
            if not loss.isfinite():
                raise FloatingPointError(
                    "flossing: a Lyapunov exponent is not finite, because a direction of the state collapsed; "
                    "use fewer exponents, or a cell without relu"
                )
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()

    def _updates_before(self, step: int) -> int:
        if step == 1:
            return self.before
        return self.during if self.every and (step - 1) % self.every == 0 else 0

    def loss(self, network: RecurrentNetwork, x: Float[Tensor, "time batch input"]) -> Tensor:
        """The mean square of the exponents, a scalar in the graph of the parameters."""
        transient = 10 + len(x) // 10
        squares = []
        for cell in network.cells:
            exponents = lyapunov_exponents(cell, x, self.exponents, transient)
            squares.append(exponents.square().mean())
            with torch.no_grad():
                x, _ = cell(x, cell.initial_state(x.shape[1]))
        return torch.stack(squares).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimiser."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with a saved state."""
        self._optimizer.load_state_dict(state)
