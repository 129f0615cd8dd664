"""Remedies: what changes a training besides clipping, in one of two places of a training step."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from models.network import RecurrentNetwork, Window


class Remedy:
    """Does nothing; a remedy overrides one of the methods, or both.

    A remedy that remembers something from step to step has `state_dict` and `load_state_dict`, as torch's optimisers
    do. A run that resumes then continues with the same memory. Random numbers come from torch's global generator,
    whose state is saved as well.
    """

    @property
    def penalizes(self) -> bool:
        """Whether `penalty` is overridden; without one, training unrolls the network as fast as it can."""
        return type(self).penalty is not Remedy.penalty

    def penalty(
        self,
        network: RecurrentNetwork,
        outputs: Float[Tensor, "steps batch output"],
        trace: Sequence[Window],
    ) -> Tensor | None:
        """A number to be added to the loss before backpropagation; None adds nothing.

        Args:
            network: The network in training.
            outputs: What it answered, as part of the graph.
            trace: The windows of every layer, as part of the graph: `Window.hidden` is h of each timestep.
        """
        return None

    def after_update(self, network: RecurrentNetwork) -> None:
        """Change the parameters in place after the optimiser's update: a projection, noise. Runs without a graph."""
