"""Remedies other than clipping: a penalty on the loss, a change of the parameters after the update, or both."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from models.network import RecurrentNetwork


class Remedy:
    """The base class of remedies, which does nothing. A remedy overrides `penalty`, `after_update` or both.

    A remedy that keeps state from step to step defines `state_dict` and `load_state_dict`, as torch's optimisers do. A
    resumed run then continues with that state. Draw random numbers from torch's global generator, whose state is saved
    as well.
    """

    @property
    def penalizes(self) -> bool:
        """Whether the remedy overrides `penalty`."""
        return type(self).penalty is not Remedy.penalty

    def penalty(
        self,
        network: RecurrentNetwork,
        outputs: Float[Tensor, "steps batch output"],
        hidden: Sequence[Float[Tensor, "time batch hidden"]],
    ) -> Tensor | None:
        """The penalty to add to the loss before backpropagation, a scalar; None adds nothing.

        Args:
            network: Network in training.
            outputs: Outputs of the network on the batch, part of the graph.
            hidden: h of every timestep of each layer, part of the graph.
        """
        return None

    def after_update(self, network: RecurrentNetwork) -> None:
        """Change the parameters in place after the optimiser's update, for example by a projection or by noise.

        Autograd is off during the call.
        """
