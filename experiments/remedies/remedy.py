"""What a remedy is: a change of the training at one or more points of a step; and several remedies as one."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from experiments.errors import UsageError
from models.network import RecurrentNetwork
from models.trace import Trace


class Remedy:
    """The base class of remedies, which does nothing. A remedy overrides one or more of the methods.

    They are called in this order: `attach` once, and in every training step `before_step`, `penalty`, `trace_penalty`,
    `before_update` (after clipping) and `after_update`.

    A remedy that keeps state from step to step defines `state_dict` and `load_state_dict`, as torch's optimisers do. A
    resumed run then continues with that state. Draw random numbers from torch's global generator, whose state is saved
    as well.
    """

    def attach(self, network: RecurrentNetwork) -> None:
        """Prepare the network, before the training and before a probe.

        Raises:
            ValueError: The remedy is not defined for this network.
        """

    def before_step(self, step: int, network: RecurrentNetwork, inputs: Float[Tensor, "time batch input"]) -> None:
        """Change the parameters in place before a training step.

        Args:
            step: Number of the step, from 1.
            network: Network in training.
            inputs: Sequences of this step.
        """

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

    def trace_penalty(self, network: RecurrentNetwork, trace: Trace) -> Tensor | None:
        """A penalty on the gradients of the states, a scalar that depends on parameters; None adds nothing.

        It is called after the loss has been backpropagated. The states and gradients of the trace are constants, so
        only the immediate derivative of the penalty is added to the gradient of the parameters.

        Args:
            network: Network in training.
            trace: Trace of the loss and of `penalty`.
        """
        return None

    @property
    def reads_trace(self) -> bool:
        """Whether the remedy overrides `trace_penalty`, which needs the trace of every step."""
        return type(self).trace_penalty is not Remedy.trace_penalty

    def before_update(self, network: RecurrentNetwork) -> None:
        """Change the gradients in place after clipping. What metrics.csv records is the gradient without this change.

        Autograd is off during the call.
        """

    def after_update(self, network: RecurrentNetwork) -> None:
        """Change the parameters in place after the optimiser's update, for example by a projection or by noise.

        Autograd is off during the call.
        """


class Several(Remedy):
    """Several remedies at once, in the order given. Their penalties add up.

    Args:
        remedies: Remedies by a name of one's own, such as {"noise": GradientNoise(...)}.

    Raises:
        UsageError: One of them is not a remedy.
    """

    def __init__(self, **remedies: Remedy) -> None:
        self._remedies = remedies
        for name, remedy in remedies.items():
            if not isinstance(remedy, Remedy):
                raise UsageError(f"remedy.{name}: must be a subclass of experiments.remedies.Remedy")

    def attach(self, network: RecurrentNetwork) -> None:
        # A remedy that reads traces sees the network as the others leave it.
        for name, remedy in sorted(self._remedies.items(), key=lambda named: named[1].reads_trace):
            try:
                remedy.attach(network)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error

    def before_step(self, step: int, network: RecurrentNetwork, inputs: Float[Tensor, "time batch input"]) -> None:
        for remedy in self._remedies.values():
            remedy.before_step(step, network, inputs)

    def penalty(
        self,
        network: RecurrentNetwork,
        outputs: Float[Tensor, "steps batch output"],
        hidden: Sequence[Float[Tensor, "time batch hidden"]],
    ) -> Tensor | None:
        return _sum([remedy.penalty(network, outputs, hidden) for remedy in self._remedies.values()])

    def trace_penalty(self, network: RecurrentNetwork, trace: Trace) -> Tensor | None:
        return _sum([remedy.trace_penalty(network, trace) for remedy in self._remedies.values()])

    @property
    def reads_trace(self) -> bool:
        return any(remedy.reads_trace for remedy in self._remedies.values())

    def before_update(self, network: RecurrentNetwork) -> None:
        for remedy in self._remedies.values():
            remedy.before_update(network)

    def after_update(self, network: RecurrentNetwork) -> None:
        for remedy in self._remedies.values():
            remedy.after_update(network)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each remedy that has one."""
        return {name: one.state_dict() for name, one in self._remedies.items() if hasattr(one, "state_dict")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with saved states."""
        for name, part in state.items():
            self._remedies[name].load_state_dict(part)  # type: ignore[attr-defined]


def _sum(penalties: Sequence[Tensor | None]) -> Tensor | None:
    given = [penalty for penalty in penalties if penalty is not None]
    return sum(given[1:], start=given[0]) if given else None
