"""Rules that end a training early: they look at its evaluations so far."""

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

from pydantic import Field, PositiveInt


class Evaluated(NamedTuple):
    """One evaluation of a network in training: a row of evaluation.csv.

    Attributes:
        step: Step after whose update the network was evaluated.
        loss: Mean loss on the held-out sequences.
        error: Mean error, from 0 to 1, as the task defines it.
        solved: 1 if the error meets the task's criterion, 0 if not; None if the task has no criterion.
        chance_loss: Loss of the best answer that remembers nothing of the sequence.
        chance_error: Error of that answer.
        samples: Number of sequences.
    """

    step: int
    loss: float
    error: float
    solved: int | None
    chance_loss: float
    chance_error: float
    samples: int


Stop = Callable[[Sequence[Evaluated]], str | None]
"""A rule that ends a training early: it takes all evaluations so far, and returns in a word why the training ends, such
as 'solved'; None if it goes on.

The rule is called after each evaluation. It needs no state of its own: a resumed run remembers its evaluations.
"""


class NoStop:
    """Never end a training early."""

    def __call__(self, evaluations: Sequence[Evaluated]) -> str | None:
        return None


class Solved:
    """End a training whose error meets the task's criterion at several evaluations in a row.

    Args:
        evaluations: Number of evaluations in a row.
    """

    def __init__(self, evaluations: PositiveInt = 2) -> None:
        self.evaluations = evaluations

    def __call__(self, evaluations: Sequence[Evaluated]) -> str | None:
        latest = evaluations[-self.evaluations :]
        return "solved" if len(latest) == self.evaluations and all(one.solved for one in latest) else None


class Hopeless:
    """End a training whose error has not fallen below a share of the error of chance by some step.

    The first evaluation at that step or later decides: it is the last whose error counts.

    Args:
        by: Step by which the error must have fallen.
        below: Share of the error of chance that the error must have been below at one evaluation or more.
    """

    def __init__(self, by: PositiveInt, below: Annotated[float, Field(gt=0, le=1)] = 0.9) -> None:
        self.by, self.below = by, below

    def __call__(self, evaluations: Sequence[Evaluated]) -> str | None:
        fell = any(one.error < self.below * one.chance_error for one in evaluations)
        return "hopeless" if evaluations[-1].step >= self.by and not fell else None


class SolvedOrHopeless(Solved):
    """End a training that is solved or hopeless, whichever comes first.

    Args:
        by: As for `Hopeless`.
        below: As for `Hopeless`.
        evaluations: As for `Solved`.
    """

    def __init__(
        self, by: PositiveInt, below: Annotated[float, Field(gt=0, le=1)] = 0.9, evaluations: PositiveInt = 2
    ) -> None:
        super().__init__(evaluations)
        self.by, self._hopeless = by, Hopeless(by, below)

    def __call__(self, evaluations: Sequence[Evaluated]) -> str | None:
        return super().__call__(evaluations) or self._hopeless(evaluations)
