"""What a training does at a step whose loss or gradient is not finite: end, skip the update, or rescue the weights."""

from typing import Annotated, Any

from pydantic import Field, PositiveInt

from models.network import RecurrentNetwork

Share = Annotated[float, Field(gt=0, lt=1)]


class Diverge:
    """End the training, which counts as diverged."""

    def attach(self, network: RecurrentNetwork) -> None:
        """Check that the rule is defined for the network.

        Raises:
            ValueError: It is not.
        """

    def goes_on(self, step: int, network: RecurrentNetwork) -> bool:
        """Whether the training goes on. If it does, the gradients are set to those that the update is to use.

        Args:
            step: Number of the step.
            network: Network, with the gradients of the step.
        """
        return False


class Skip(Diverge):
    """Make no update at this step, unless it is one too many in a row.

    The schedule of the learning rate goes on. The training also ends if a parameter is no longer finite, from which no
    skipped update recovers.

    Args:
        in_a_row: Steps in a row that are skipped; at the next one, the training ends.
    """

    def __init__(self, in_a_row: PositiveInt = 100) -> None:
        self.in_a_row = in_a_row
        self._last, self._seen = 0, 0

    def goes_on(self, step: int, network: RecurrentNetwork) -> bool:
        self._seen = self._seen + 1 if step == self._last + 1 else 1
        self._last = step
        self.set_gradients(network)
        finite = all(bool(parameter.isfinite().all()) for parameter in network.parameters())
        return finite and self._seen <= self.in_a_row

    def set_gradients(self, network: RecurrentNetwork) -> None:
        """Set the gradients of the update. torch's optimisers leave a parameter without a gradient alone."""
        network.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Return how many steps in a row were not finite, and the last of them."""
        return {"last": self._last, "seen": self._seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue to count."""
        self._last, self._seen = state["last"], state["seen"]


class Rescue(Skip):
    """Replace the gradient so that the update shrinks the recurrent matrices (Pascanu, Mikolov, Bengio 2013, program).

    The gradient of each recurrent matrix W becomes share W, all others 0. With plain SGD, the update then is
    W <- (1 - lr share) W. Adam, AdamW and RMSprop divide each entry by the size of its gradients: after rescued steps
    alone, each entry moves towards 0 by a step that does not depend on share.

    The authors' program (pascanur/trainingRNNs, RNN.py, commit 3f5df3f) has plain SGD and a share of 0.02, also if the
    norm is above 1e10.

    Args:
        share: Gradient of a recurrent matrix as a share of the matrix.
        in_a_row: As for `Skip`.
    """

    def __init__(self, share: Share = 0.02, in_a_row: PositiveInt = 100) -> None:
        super().__init__(in_a_row)
        self.share = share

    def attach(self, network: RecurrentNetwork) -> None:
        for cell in network.cells:
            if not cell.recurrent_blocks():
                raise ValueError(
                    f"needs a cell with recurrent matrices, and {type(cell).__name__} names none; use nonfinite=skip"
                )

    def set_gradients(self, network: RecurrentNetwork) -> None:
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        for cell in network.cells:
            for block in cell.recurrent_blocks():
                if block.parameter.grad is not None:
                    block.parameter.grad[block.rows] = self.share * block.weight.detach()
