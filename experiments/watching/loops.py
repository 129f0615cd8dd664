"""Loops over nn.RNNCell, nn.LSTMCell or nn.GRUCell: each call is a timestep.

The gradients that reach the states of every call are known from the loop's own backward pass. No timestep depends on
another one then, and all of them are redone at once, as one timestep of a large batch.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from experiments.watching.calls import Call
from experiments.watching.fused import check_same
from experiments.watching.readings import Reading
from experiments.watching.sequences import Link, Linked
from experiments.watching.weights import make_cell
from models.cell import Cell, State
from models.contributions import OuterProducts


def read_loop(sequence: Sequence[Linked]) -> Reading:
    """What a layer read in a sequence of calls, each of which is one timestep.

    Args:
        sequence: The calls, in order.

    Raises:
        NotSeen: The calls cannot be redone.
    """
    calls = [linked.call for linked in sequence]
    first = calls[0]
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    weights = {name: weight for name in names if (weight := first.weight(name)) is not None}
    for call in calls:
        call.check()
    cell = make_cell(first.module, weights)
    x = torch.stack([_batched(call.input) for call in calls]).detach()  # type: ignore[arg-type]
    time, batch = x.shape[:2]
    after = [torch.stack([_batched(one) for one in steps]).detach() for steps in _by_state(calls)]
    before = [torch.zeros_like(states[:1]) for states in after]
    if first.before:
        before = [_batched(one).detach()[None] for one in first.before]
    read = [
        torch.stack([_batched(call.before[i] if call.before else states[0]).detach() for call in calls])
        for i, states in enumerate(before)
    ]
    flat = tuple(states.flatten(0, 1) for states in read)
    for found, expected in zip(cell.step(x.flatten(0, 1), flat), after, strict=True):
        check_same(found, expected.flatten(0, 1))
    unrolled = cell.unroll(x.view(1, time * batch, -1), flat, [(1, 1)], after[0].view(1, time * batch, -1))
    direct = _reached(calls, "output", after[0])
    if len(after) > 1:
        reached = _reached(calls, "c", after[1])
        if first.after[0].grad_fn is not first.after[1].grad_fn:
            reached -= direct * _h_by_c(unrolled.gates, after[1])
        unrolled.further = {"c": reached.view(1, time * batch, -1)}
    back = _handed_back(cell, x.flatten(0, 1), flat, [direct.flatten(0, 1), *unrolled.further.values()])
    gradient = unrolled.backward(direct.view(1, time * batch, -1))

    def by_timestep(values: Tensor) -> Tensor:
        return values.reshape(time, batch, -1)

    known: dict[int, OuterProducts] = {}  # two biases of an RNN or LSTM have one gradient
    for one in gradient.contributions.values():
        assert isinstance(one, OuterProducts)
        known[id(one)] = known.get(id(one)) or one.apply(by_timestep)
    return Reading(
        cell,
        {name: torch.cat(pair) for name, pair in zip(cell.state_names, zip(before, after, strict=True), strict=True)},
        {name: by_timestep(values) for name, values in unrolled.gates.items()},
        {name: by_timestep(values) for name, values in gradient.states.items()},
        {},
        {name: known[id(one)] for name, one in gradient.contributions.items()},
        _direct_part(direct, back.view_as(direct), [linked.links[0] for linked in sequence]),
        torch.full((batch,), time, device=x.device),
        x=x,
        handed={name: by_timestep(one)[-1] for name, one in unrolled.further.items()},
    )


def _handed_back(cell: Cell, x: Tensor, state: State, reached: Sequence[Tensor]) -> Tensor:
    """What each timestep hands back to the h that it read, (time * batch, hidden)."""
    with torch.enable_grad():
        h = state[0].detach().requires_grad_()
        states = cell.step(x, (h, *state[1:]))
        grad_outputs = [one.view_as(after) for one, after in zip(reached, states, strict=True)]
        return torch.autograd.grad(states, h, grad_outputs)[0]


def _direct_part(total: Tensor, back: Tensor, links: Sequence[Link]) -> Tensor:
    """The direct part of dL/dh_t: what the next timestep does not hand back. What is only rounding becomes 0.

    It is not known before a timestep whose state was computed from h_t, such as by a mask; there it is the total.
    """
    direct = total.clone()
    for t, link in enumerate(links[1:], start=1):
        if link == "carried":
            part = total[t - 1] - back[t]
            rounding = 100 * torch.finfo(total.dtype).eps * (total[t - 1].abs().amax() + back[t].abs().amax())
            direct[t - 1] = torch.where(part.abs() <= rounding, 0.0, part)
    return direct


def _h_by_c(gates: Mapping[str, Tensor], c: Tensor) -> Tensor:
    """dh_t/dc_t of an LSTM.

    torch's fused kernels make h_t and c_t in one node, and what reaches c_t there does not include what comes through
    h_t. Elsewhere h_t is computed from c_t in autograd's graph, and what reaches c_t is all of it.
    """
    return gates["output"].view_as(c) * (1 - c.tanh().square())


def _by_state(calls: Sequence[Call]) -> list[tuple[Tensor, ...]]:
    return list(zip(*(call.after for call in calls), strict=True))


def _batched(tensor: Tensor) -> Tensor:
    """A tensor of one timestep with a batch axis."""
    return tensor[None] if tensor.dim() == 1 else tensor


def _reached(calls: Sequence[Call], name: str, like: Tensor) -> Tensor:
    """What reached an output of each call, and 0 where nothing did."""
    zero = torch.zeros_like(like[0])
    return torch.stack([_batched(call.gradients[name]) if name in call.gradients else zero for call in calls])
