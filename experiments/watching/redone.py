"""The calls of one module in a step, redone: what each of its layers read, and its layers with other cuts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from experiments.watching.calls import Call, NotSeen
from experiments.watching.fused import FusedCall
from experiments.watching.loops import read_loop
from experiments.watching.readings import Reading, one_after_the_other, side_by_side
from experiments.watching.sequences import Link, is_cell, sequences_of
from experiments.watching.truncated import Chain, chain_of
from models.contributions import Bounds


@dataclass(frozen=True)
class Redone:
    """One module in one step.

    Attributes:
        layers: What each layer read.
        sequences: For each sequence of calls, what each layer read in each call. Calls of a cell are one call here.
        links: For each sequence, how each call came by its states.
        calls: For each sequence, its calls.
    """

    layers: list[Reading]
    sequences: Sequence[Sequence[Sequence[Reading]]]
    links: Sequence[Sequence[Sequence[Link]]]
    calls: Sequence[Sequence[Call]]

    @property
    def is_cut(self) -> bool:
        """Whether the loop detached a state."""
        return any("detached" in of_call for of_sequence in self.links for of_call in of_sequence)

    @property
    def after_last_cut(self) -> int | None:
        """The number of timesteps after the last detached state; None without one, or with several sequences."""
        if len(self.sequences) > 1 or not self.is_cut:
            return None
        calls, links = self.sequences[0], self.links[0]
        last = max(number for number, of_call in enumerate(links) if "detached" in of_call)
        if len(calls) < len(links):  # a loop over cells, in which each call is a timestep
            return len(links) - last
        return sum(of_call[0].timesteps for of_call in calls[last:])

    @property
    def is_given_a_state(self) -> bool:
        """Whether a sequence begins with a state other than 0 outside autograd's graph, as that of a step before."""
        return any(
            not state.requires_grad and bool(state.any())
            for of_sequence in self.calls
            for state in of_sequence[0].before
        )

    def chain(self) -> Chain:
        """The layers, to be backpropagated with other cuts.

        Raises:
            NotSeen: Other cuts cannot be tried.
        """
        if len(self.sequences) > 1:
            raise NotSeen("it reads several batches in a step, and other cuts can be tried in one")
        return chain_of(self.sequences[0], self.links[0])


def redo(step: int, module: nn.Module, calls: Sequence[Call], windows: Callable[[int], Bounds]) -> Redone:
    """Redo the calls of a module.

    Args:
        step: Number of the step.
        module: The module.
        calls: Its calls in the step, with the gradients that reached their outputs.
        windows: Function that cuts a number of timesteps into windows.

    Raises:
        NotSeen: They cannot be redone.
    """
    sequences = sequences_of(calls)
    if not sequences:
        raise NotSeen(f"no gradient reached its output at step {step}, or it was not called")
    called = [[linked.call for linked in sequence] for sequence in sequences]
    links = [[linked.links for linked in sequence] for sequence in sequences]
    if is_cell(module):
        loops = [read_loop(sequence) for sequence in sequences]
        return Redone([side_by_side(loops)], [[[one]] for one in loops], links, called)
    read = [[FusedCall(linked.call, windows).readings() for linked in sequence] for sequence in sequences]
    joined = [[one_after_the_other(chunks) for chunks in zip(*of_calls, strict=True)] for of_calls in read]
    return Redone([side_by_side(of_layer) for of_layer in zip(*joined, strict=True)], read, links, called)
