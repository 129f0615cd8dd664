"""The terms that a loss adds up, their weights, and the timesteps that they belong to, from autograd's graph.

A loss is L = sum_i w_i l_i, where each term l_i belongs to one timestep, as the squared error of one output does. From
the loss down, the graph has only weights: means, sums, selections and factors. The first node below that computes
anything else makes the terms, and the gradient that reaches it is their weights.
"""

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from experiments.watching.calls import FUSED, Call
from experiments.watching.reduction import Undecided

Node = Any
"""A node of autograd's graph."""

Label = tuple[int, int]
"""A timestep that the loss reads: number of the call, and the timestep in it, or -1 for the state that it returns."""

CLOSE = 1e-9
"""Largest relative difference between two weights that count as equal."""

MOST = 4
"""Number of parts of a loss, and of elements of a part, that are looked at one by one."""

ONLY_WEIGHTS = re.compile(
    r"Add|Sub|Rsub|Neg|Mean|Sum|Stack|Cat|View|UnsafeView|ReshapeAlias|Squeeze|Unsqueeze|Select|Slice|Index|IndexSelect"
    r"|MaskedSelect|MaskedFill|Where|Permute|Transpose|T|Clone|ToCopy|Alias|Split|SplitWithSizes|Unbind"
)
"""What the nodes between the loss and its terms compute, by autograd's names."""

FACTORS = ("Mul", "Div")
"""The nodes among them that may multiply with a constant."""


@dataclass(frozen=True)
class Term:
    """Terms that one node makes.

    Attributes:
        node: The node.
        index: Number of its output.
        factor: Product of the constants that the loss multiplies all these terms with.
    """

    node: Node
    index: int
    factor: float

    @property
    def name(self) -> str:
        """What the node computes, such as MseLoss."""
        return str(self.node.name()).rpartition("::")[2].partition("Backward")[0]

    @property
    def is_weighted(self) -> bool:
        """Whether the node multiplies its terms by numbers that differ, and may itself hold weights."""
        return self.name in FACTORS

    @property
    def reduction(self) -> int:
        """1 if the node is a loss of torch that takes the mean of its terms, 2 for their sum, otherwise 0."""
        return int(getattr(self.node, "_saved_reduction", 0))

    @property
    def elements(self) -> tuple[Node, int]:
        """The node, and the number of its output, that has an element for each term."""
        return self.node.next_functions[0] if self.reduction else (self.node, self.index)

    def weights(self, gradient: Tensor) -> tuple[float, int, bool]:
        """The sum of the sizes of the weights, the number of terms, and whether all have the same weight."""
        if self.reduction:
            target = self.node._saved_target
            ignored = getattr(self.node, "_saved_ignore_index", None)
            number = target.numel() if ignored is None else int((target != (ignored + 2**63) % 2**64 - 2**63).sum())
            total = abs(float(gradient)) * (number if self.reduction == 2 else 1)
            return total, number, getattr(self.node, "_saved_weight", None) is None
        found = gradient[gradient != 0]
        same = bool(((found - found[:1]).abs() <= CLOSE * found[:1].abs()).all())
        return float(found.abs().sum()), found.numel(), same


def terms_of(loss: Tensor, stops: Collection[Node], through: bool) -> list[Term]:
    """The nodes that make the terms of a loss.

    Args:
        loss: One number.
        stops: Nodes of the recurrent layers' outputs, below which nothing is looked for.
        through: Whether factors that differ from term to term, such as a mask, are weights; otherwise they belong to
            the terms.
    """
    found: dict[tuple[Node, int], Term] = {}
    waiting: list[tuple[Node, int, float]] = [(loss.grad_fn, loss.output_nr, 1.0)]
    seen = set()
    while waiting:
        node, index, factor = waiting.pop()
        if node is None or (node, index) in seen:
            continue
        seen.add((node, index))
        kind = node.name().partition("Backward")[0]
        by = _constant(node, through) if kind in FACTORS and node not in stops else None
        if by is not None:
            waiting += [(below, at, factor * by) for below, at in node.next_functions]
        elif ONLY_WEIGHTS.fullmatch(kind) and node not in stops:
            waiting += [(below, at, factor) for below, at in node.next_functions]
        elif "AccumulateGrad" not in node.name():
            found[node, index] = Term(node, index, factor)
    return list(found.values())


def _constant(node: Node, through: bool) -> float | None:
    """The constant that a node multiplies with, or 1 for several if they are weights; None if there is none."""
    if sum(below is not None for below, _ in node.next_functions) != 1:
        return None
    other = getattr(node, "_saved_other", None)
    if other is None:
        other = getattr(node, "_saved_self", None)
    if other is None or (isinstance(other, Tensor) and other.numel() != 1):
        return 1.0 if through and other is not None else None
    return 1 / float(other) if node.name().startswith("Div") else float(other)


class Graph:
    """Sends gradients through the graph of a loss, and sees at which timesteps they arrive.

    Args:
        loss: One number.
        calls: Calls of the layer whose outputs are read, in order.
        times: The timestep of each row of the output of each call, from 0.
        inputs: Tensors that the calls read, in the graph.
    """

    def __init__(self, loss: Tensor, calls: Sequence[Call], times: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
        self._loss, self._inputs = loss, inputs
        self._outputs: dict[Node, list[tuple[int, int, Tensor | None]]] = {}
        for number, (call, timesteps) in enumerate(zip(calls, times, strict=True)):
            is_fused = isinstance(call.module, FUSED)
            for node, index in [(one.grad_fn, one.output_nr) for one in call.after]:
                self._outputs.setdefault(node, []).append((index, number, None if is_fused else timesteps))
            if is_fused:
                self._outputs.setdefault(call.made_by[0], []).append((call.made_by[1], number, timesteps))
        self.terms: list[Term] = []

    def find_terms(self, through: bool) -> None:
        """Find the terms; see `terms_of`."""
        self.terms = terms_of(self._loss, self._outputs, through)

    def send(
        self,
        only: Collection[Term] | None = None,
        change: tuple[Node, int, Callable[[Tensor], Tensor]] | None = None,
        weights: dict[Term, Tensor] | None = None,
    ) -> tuple[set[Label], int]:
        """Send the gradient of some terms back; it goes no further than the outputs.

        Args:
            only: The terms; None for all.
            change: A node, the number of its output, and what to send back from there instead.
            weights: Gets the gradient that reaches each term's node.

        Returns:
            The timesteps at which it arrives, and the number of pairs of a timestep and a sample.
        """
        labels: set[Label] = set()
        rows: list[int] = []

        def of_term(term: Term) -> Callable[[Any], Any]:
            def hook(gradients: Any) -> Any:
                if weights is not None and gradients[term.index] is not None:
                    weights[term] = gradients[term.index].detach().clone()
                if only is None or term in only:
                    return None
                return _replaced(gradients, term.index, torch.zeros_like)

            return hook

        def of_output(places: Sequence[tuple[int, int, Tensor | None]]) -> Callable[[Any], Any]:
            def hook(gradients: Any) -> Any:
                for index, call, times in places:
                    if gradients[index] is None:
                        continue
                    read = (gradients[index] != 0).any(dim=-1)
                    found = {-1} if times is None and bool(read.any()) else set()
                    found = found if times is None else set(times[read].tolist())
                    labels.update((call, time) for time in found)
                    rows.append(int(read.sum()))
                    gradients = _replaced(gradients, index, torch.zeros_like)
                return gradients

            return hook

        with ExitStack() as stack:
            for term in self.terms:
                stack.callback(term.node.register_prehook(of_term(term)).remove)
            if change is not None:
                node, index, make = change
                stack.callback(node.register_prehook(lambda given: _replaced(given, index, make)).remove)
            for node, places in self._outputs.items():
                stack.callback(node.register_prehook(of_output(places)).remove)
            torch.autograd.grad(self._loss, self._inputs, retain_graph=True, allow_unused=True)
        return labels, sum(rows)

    def check_elements(self, term: Term) -> None:
        """Check that single terms belong to one timestep each.

        Raises:
            Undecided: One of them reads several.
        """
        node, index = term.elements
        if node in self._outputs:
            return
        size: list[int] = []
        self.send([term], (node, index, lambda given: size.append(given.numel()) or given))  # type: ignore[func-returns-value]
        for place in spread(range(size[0] if size else 0), MOST):

            def one_hot(given: Tensor, place: int = place) -> Tensor:
                made = torch.zeros_like(given, memory_format=torch.contiguous_format)
                made.view(-1)[place] = 1.0
                return made

            if len(self.send([term], (node, index, one_hot))[0]) > 1:
                raise Undecided(f"a single term of the loss ({term.name}) reads several timesteps")


def _replaced(gradients: Any, index: int, make: Callable[[Tensor], Tensor]) -> Any:
    if gradients[index] is None:
        return gradients
    return tuple(make(one) if number == index else one for number, one in enumerate(gradients))


def spread(these: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of a sequence, evenly spread, with the first and the last."""
    if len(these) <= most:
        return list(these)
    return [these[(len(these) - 1) * k // (most - 1)] for k in range(most)]
