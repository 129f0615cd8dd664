"""The last step of a training: the configured one, or an earlier one if a rule ends the training."""

from typing import Any

from experiments.stopping import Evaluated, Stop


class EarlyEnd:
    """Keeps the evaluations of a training, and asks a rule after each of them whether the training ends.

    A training that a rule ends makes one more step. So its last step is known before it starts, and is recorded and
    evaluated as that of every training.

    Args:
        rule: Rule that may end the training.
        steps: Number of the last step if the rule does not end the training.

    Attributes:
        last_step: Number of the last step.
        reason: What the rule said when it ended the training; None otherwise.
    """

    def __init__(self, rule: Stop, steps: int) -> None:
        self._rule = rule
        self._evaluations: list[Evaluated] = []
        self.last_step = steps
        self.reason: str | None = None

    def add(self, evaluation: Evaluated) -> None:
        """Add the evaluation of a step, which may make the next step the last."""
        self._evaluations.append(evaluation)
        if self.reason is not None or evaluation.step + 1 >= self.last_step:
            return
        reason = self._rule(tuple(self._evaluations))
        if not (reason is None or (isinstance(reason, str) and reason)):
            raise TypeError(f"{type(self._rule).__name__} returned {reason!r}; a stop rule returns a word or None")
        if reason is not None:
            self.last_step, self.reason = evaluation.step + 1, reason

    def state_dict(self) -> dict[str, Any]:
        """Return the evaluations, and whether the training ends."""
        return {
            "evaluations": [tuple(one) for one in self._evaluations],
            "last_step": self.last_step,
            "reason": self.reason,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from saved evaluations."""
        self._evaluations = [Evaluated(*one) for one in state["evaluations"]]
        self.last_step, self.reason = state["last_step"], state["reason"]
