"""Several watched modules that read one another's outputs, as one stack of layers: truncation.csv cuts all at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from experiments.watching.calls import Call, NotSeen
from experiments.watching.redone import Redone
from experiments.watching.truncated import Chain

Modules = Mapping[str, tuple[int, Redone]]
"""Each module that was redone, by its name, with the number of its first layer."""


def stacks_of(modules: Modules) -> list[list[str]]:
    """Divide modules into stacks: each module of a stack reads the output of the one below, and nothing else does.

    Raises:
        NotSeen: A module reads another one in a different way, so that cuts of both cannot be tried.
    """
    if len(modules) == 1:
        return [list(modules)]
    made = {node: name for name, (_, module) in modules.items() for node in _nodes_made_by(_calls(module))}
    below: dict[str, str] = {}
    for name, (_, module) in modules.items():
        starts = [state for of in module.calls for state in of[0].before]
        for other in _found(starts, made):
            raise NotSeen(f"{name} begins with a state that {other} computed, so K cannot be counted in both alike")
        found = _found([_data(call) for call in _calls(module)], made)
        if not found:
            continue
        (other, *others) = sorted(found)
        if others or not _reads(module, modules[other][1]) or other in below.values():
            raise NotSeen(
                f"{name} reads what is computed from {other}: only a module that alone reads its unchanged output "
                "timestep by timestep can be cut with it"
            )
        below[name] = other
    tops = [name for name in modules if name not in below.values()]
    stacks = []
    for top in tops:
        stack = [top]
        while stack[0] in below:
            stack.insert(0, below[stack[0]])
        stacks.append(stack)
    return stacks


def chain_of_stack(stack: Sequence[Redone]) -> Chain:
    """The layers of a stack of modules, from the one that reads the input upwards, as one chain.

    Raises:
        NotSeen: Other cuts cannot be tried.
    """
    chains = [module.chain() for module in stack]
    if len({tuple(chain.cuts) for chain in chains}) > 1:
        raise NotSeen("its states are detached after different timesteps")
    lower = [_with_own_losses(chain, above) for chain, above in pairwise(chains)]
    return Chain(
        [layer for chain in [*lower, chains[-1]] for layer in chain.layers], chains[-1].output, chains[-1].cuts
    )


def _with_own_losses(chain: Chain, above: Chain) -> Chain:
    """A chain whose topmost layer has, as what reaches it from outside, what does not come from the chain above.

    The difference of the two is known up to rounding, and what is only rounding becomes 0.
    """
    from_above = above.input_gradient()
    part = chain.output - from_above
    rounding = 100 * torch.finfo(part.dtype).eps * (chain.output.abs().amax() + from_above.abs().amax())
    top = chain.layers[-1]
    further = {**top.further, "h": top.further["h"] + torch.where(part.abs() <= rounding, 0.0, part)}
    return Chain([*chain.layers[:-1], replace(top, further=further)], chain.output, chain.cuts)


def _calls(module: Redone) -> list[Call]:
    return [call for of_sequence in module.calls for call in of_sequence]


def _data(call: Call) -> Tensor:
    return call.input.data if isinstance(call.input, PackedSequence) else call.input


def _nodes_made_by(calls: Iterable[Call]) -> set[Any]:
    return {node for call in calls for node in (call.made_by[0], *(state.grad_fn for state in call.after)) if node}


def _found(tensors: Iterable[Tensor], made: Mapping[Any, str]) -> set[str]:
    """The modules from whose outputs tensors were computed, without those that are hidden behind another one."""
    nodes = [one.grad_fn for one in tensors if one.grad_fn is not None]
    seen, found = set(nodes), set()
    while nodes:
        node = nodes.pop()
        if node in made:
            found.add(made[node])
            continue
        new = {one for one, _ in node.next_functions if one is not None} - seen
        seen |= new
        nodes += new
    return found


def _reads(module: Redone, other: Redone) -> bool:
    """Whether each call of a module reads the unchanged output of the other module's call of the same number."""
    calls, others = _calls(module), _calls(other)
    if len(calls) != len(others):
        return False
    same = all(
        (_data(call).grad_fn, _data(call).output_nr) == one.made_by for call, one in zip(calls, others, strict=True)
    )
    x, hidden = module.layers[0].x, other.layers[-1].states["h"][1:]
    return same and (x is None or torch.equal(x, hidden))
