"""Which calls of a layer continue with the state that an earlier call returned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from experiments.watching.calls import Call

Link = Literal["carried", "changed", "detached", "new"]
"""How a call came by its state: it is what an earlier call returned, computed from it, the same numbers outside
autograd's graph, or nothing of these."""

MAX_NODES = 200
"""Number of nodes of autograd's graph that are searched for an earlier state."""


@dataclass(frozen=True)
class Linked:
    """A call, and how it came by each state.

    Attributes:
        call: The call.
        links: How it came by each state, h first.
    """

    call: Call
    links: tuple[Link, ...]


def sequences_of(calls: Sequence[Call]) -> list[list[Linked]]:
    """Divide the calls of one layer into sequences. Each call of a sequence continues with the state of the last one.

    A sequence ends with the last call that a gradient came back to. Calls before it belong to it, also if their state
    was detached, so that no gradient reaches them.

    Args:
        calls: The calls of one layer, in order.
    """
    module: Any = calls[0].module if calls else None
    sequences: list[list[Linked]] = []
    for call in calls:
        new: tuple[Link, ...] = tuple("new" for _ in call.after)
        for sequence in [] if getattr(module, "bidirectional", False) else reversed(sequences):
            links = _links(call, sequence[-1].call)
            if links[0] != "new":
                sequence.append(Linked(call, links))
                break
        else:
            sequences.append([Linked(call, new)])
    reached = [[index for index, one in enumerate(of, 1) if one.call.gradients] for of in sequences]
    return [of[: ends[-1]] for of, ends in zip(sequences, reached, strict=True) if ends]


def _links(call: Call, earlier: Call) -> tuple[Link, ...]:
    if not call.before:
        return ("new",)
    return tuple(_link(now, then) for now, then in zip(call.before, earlier.after, strict=True))


def _link(state: Tensor, earlier: Tensor) -> Link:
    if state is earlier:
        return "carried"
    if state.shape != earlier.shape:
        return "new"
    if state.grad_fn is not None and _is_computed_from(state, earlier):
        return "changed"
    same = state.data_ptr() == earlier.data_ptr() or (bool(state.any()) and torch.equal(state, earlier))
    return "detached" if same else "new"


def _is_computed_from(state: Tensor, earlier: Tensor) -> bool:
    wanted = earlier.grad_fn
    seen: set[Any] = set()
    nodes = [state.grad_fn]
    while nodes and len(seen) < MAX_NODES:
        node = nodes.pop(0)
        if node is wanted:
            return True
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes += [following for following, _ in node.next_functions]
    return False


def is_cell(module: nn.Module) -> bool:
    """Whether a module computes a single timestep."""
    return isinstance(module, nn.RNNCellBase)
