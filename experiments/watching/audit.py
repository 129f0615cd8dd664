"""The audit of a gradient against finite differences in float64, for `bptt.check` and `bptt check`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointError

from experiments.watching.calls import Call, Calls, not_seen
from experiments.watching.inputs import Change, direction, moved, unmoved
from experiments.watching.loss_weights import name_weights
from experiments.watching.reduction import Undecided
from experiments.watching.sequences import is_cell, sequences_of
from experiments.watching.terms import Graph

STEPS = (1e-4, 1e-6)
"""Sizes of the finite differences. The second is tried where the first one disagrees, as at the kink of a relu."""

TOLERANCE, NOISE = 1e-4, 1e-9
"""Largest difference from a finite difference, relative to it, and relative to the loss at the first step size."""

MOST_TIMESTEPS = 40
"""Largest number of timesteps of a layer that are compared, evenly spread."""

OUTLIER = 0.5
"""Share of the norms of dL/dh, as it reaches the layer's outputs, that one of at least four samples must have to be
named, if it also has `TIMES_MEDIAN` times the median of all samples."""
TIMES_MEDIAN = 10.0


class Finding(NamedTuple):
    """One thing that the audit found.

    Attributes:
        layer: Name of the layer.
        kind: "gradient", "detached", "state", "unreached", "padding", "outlier" or "reduction".
        is_fault: Whether it keeps the gradient from being that of the whole batch through all timesteps.
        sentence: What was measured, in words.
    """

    layer: str
    kind: str
    is_fault: bool
    sentence: str


class Compared(NamedTuple):
    """The derivative of the loss along a random direction of one timestep's input.

    Attributes:
        layer: Name of the layer.
        sequence: Number of its sequence in the batch, from 1.
        timestep: Timestep of that sequence, from 1.
        autograd: The derivative by autograd.
        finite: The derivative by central finite differences.
        agrees: Whether the two agree.
    """

    layer: str
    sequence: int
    timestep: int
    autograd: float
    finite: float
    agrees: bool


@dataclass
class Audit:
    """What `bptt.check` found; `print` shows it.

    Attributes:
        findings: What was found, in words.
        table: Each compared timestep.
    """

    findings: list[Finding] = field(default_factory=list)
    table: list[Compared] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(f"{one.layer}: {one.sentence}" for one in self.findings)


class _Seen(NamedTuple):
    """One timestep of a call: its number in the audit, the call, the timestep in the call and in its sequence."""

    call: int
    within: int
    sequence: int
    timestep: int


class Auditor:
    """Computes the loss of one batch again and again, with changed inputs of the recurrent layers.

    Args:
        model: Model in float64.
    """

    def __init__(self, model: nn.Module) -> None:
        self._calls = Calls(model)
        self._names = {module: name for name, module in self._calls.layers.items()}
        if not self._names:
            why = not_seen(model)
            raise ValueError(
                f"model: has no nn.RNN, nn.LSTM, nn.GRU or cell of theirs that can be checked{why and f' ({why})'}"
            )
        self._deltas: list[Tensor] = []
        self._places: list[tuple[nn.Module, Tensor, Tensor, Tensor, bool]] = []

    def audit(self) -> Audit:
        """Run the audit.

        Raises:
            ValueError: The loss is not one number, or differs when it is computed again.
        """
        loss = self._loss(self._with_deltas, gradients=True)
        calls = self._calls.kept
        self._calls.on = False
        if not self._deltas:
            raise ValueError("loss: no recurrent layer of the given model was called to compute it")
        if loss.numel() != 1 or not loss.requires_grad:
            what = "does not depend on them" if loss.numel() == 1 else f"has the shape {tuple(loss.shape)}"
            raise ValueError(f"loss: must be one number that depends on the model's parameters, but {what}")
        again = (
            "the layers are called again in the backward pass, by torch.utils.checkpoint; check the model without it"
        )
        try:
            deltas = list(self._deltas)
            found = torch.autograd.grad(loss, deltas, retain_graph=True, allow_unused=True)
        except CheckpointError:
            raise ValueError(again) from None
        grads = [torch.zeros_like(d) if g is None else g for d, g in zip(deltas, found, strict=True)]
        self._loss_there = float(loss.detach())
        if (then := float(self._loss(unmoved))) != self._loss_there:
            raise ValueError(f"loss: is {self._loss_there} and then {then} for the same batch; nothing can be said")
        audit = Audit()
        with_gradient = [number for number, (*_, is_on) in enumerate(self._places) if is_on]
        if len(self._deltas) > len(deltas) or len(calls) != len(with_gradient):
            raise ValueError(again)
        numbers = {id(call): number for number, call in zip(with_gradient, calls, strict=True)}
        for module, name in self._names.items():
            own = [call for call in calls if call.module is module]
            without = sum(place[0] is module and not place[-1] for place in self._places)
            if without or not own:
                what = f"is called {without} times under torch.no_grad" if without else "is not called"
                audit.findings.append(Finding(name, "gradient", True, f"{what}: no gradient goes through it there"))
            if not own:
                continue
            self._audit_layer(audit, name, own, numbers, grads)
        if calls:
            try:
                sentence = self._reduction(loss, calls, numbers)
            except Undecided as error:
                sentence = f"whether the loss is a mean or a sum over time cannot be decided: {error}"
            audit.findings.append(Finding(self._names[calls[-1].module], "reduction", False, sentence))
        return audit

    def _reduction(self, loss: Tensor, calls: list[Call], numbers: Mapping[int, int]) -> str:
        """Whether the loss is a mean or a sum over time, from the weights in its graph."""
        own = [call for call in calls if call.module is calls[-1].module]
        places = [self._places[numbers[id(call)]] for call in own]
        batch = max(int(samples.max()) for _, _, _, samples, _ in places) + 1
        graph = Graph(loss, own, [times for _, _, times, _, _ in places], self._deltas)
        arrived = [dict(call.gradients) for call in calls]
        try:
            return name_weights(graph, batch)
        finally:  # each of its backward passes added to what had arrived
            for call, gradients in zip(calls, arrived, strict=True):
                call.gradients = gradients

    def _audit_layer(
        self, audit: Audit, name: str, own: list[Call], numbers: dict[int, int], grads: list[Tensor]
    ) -> None:
        seen, cuts = [], []
        sequences = sequences_of(own)
        for index, sequence in enumerate(sequences, 1):
            timestep = 0
            for linked in sequence:
                if "detached" in linked.links:
                    cuts.append((index, timestep + 1))
                number = numbers[id(linked.call)]
                length = 1 if is_cell(linked.call.module) else int(self._places[number][2].max()) + 1
                seen += [_Seen(number, t, index, timestep + t + 1) for t in range(length)]
                timestep += length
        chosen = seen
        if len(seen) > MOST_TIMESTEPS:
            chosen = [seen[(len(seen) - 1) * k // (MOST_TIMESTEPS - 1)] for k in range(MOST_TIMESTEPS)]
        rows = [self._compare(name, one, grads[one.call]) for one in chosen]
        audit.table += rows
        many = len(sequences) > 1

        def at(ones: list[Any]) -> str:
            return _places([(one.sequence, one.timestep) for one in ones], many)

        wrong = [row for row in rows if not row.agrees]
        if wrong:
            worst = max(wrong, key=lambda row: abs(row.autograd - row.finite))
            sentence = (
                f"the gradient is wrong at {len(wrong)} of {len(rows)} compared timesteps ({at(wrong)}): at "
                f"{at([worst])} autograd gives {worst.autograd:.3g} and finite differences give {worst.finite:.3g}"
            )
        else:
            sentence = f"the gradient agrees with finite differences at all {len(rows)} compared timesteps"
        audit.findings.append(Finding(name, "gradient", bool(wrong), sentence))
        if cuts:
            steps = sorted({b - a for (s, a), (r, b) in zip([(cuts[0][0], 1), *cuts], cuts, strict=False) if s == r})
            every = f"every {steps[0]} timesteps" if len(steps) == 1 else "at several places"
            sentence = f"the state is detached {every}, before {_places(cuts, many)}: no gradient goes further back"
            audit.findings.append(Finding(name, "detached", True, sentence))
        if many:
            sentence = (
                f"{len(sequences)} calls start from a new state, and nothing goes from one to the next; if they "
                "read parts of one sequence, pass the state on"
            )
            audit.findings.append(Finding(name, "state", True, sentence))
        unreached = [one for one, row in zip(chosen, rows, strict=True) if not row.autograd and self._is_unread([one])]
        if unreached:
            sentence = f"the inputs of {at(unreached)} do not reach the loss at all"
            audit.findings.append(Finding(name, "unreached", True, sentence))
        self._look_for_padding(audit, name, seen)
        self._look_for_outliers(audit, name, {numbers[id(call)]: call for call in own})

    def _compare(self, name: str, one: _Seen, gradient: Tensor) -> Compared:
        _, x, times, *_ = self._places[one.call]
        along = direction(one.call, x) * (times == one.within)[..., None]
        autograd = float((gradient * along).sum())
        finite, agrees = float("nan"), False
        for size in STEPS:
            up, down = (float(self._loss(partial(moved, one.call, sign * size * along))) for sign in (1, -1))
            tried = (up - down) / (2 * size)
            noise = NOISE * max(abs(self._loss_there), 1e-3) * STEPS[0] / size
            agrees = abs(tried - autograd) <= TOLERANCE * max(abs(tried), abs(autograd)) + noise
            if agrees or finite != finite:
                finite = tried
            if agrees:
                break
        return Compared(name, one.sequence, one.timestep, autograd, finite, agrees)

    def _is_unread(self, ones: list[_Seen]) -> bool:
        """Whether the loss is bitwise the same when the inputs of some timesteps change by much."""
        for one in ones:
            _, x, times, *_ = self._places[one.call]
            along = direction(one.call, x) * (times == one.within)[..., None] * (1 + x.abs().max())
            if float(self._loss(partial(moved, one.call, along))) != self._loss_there:
                return False
        return True

    def _look_for_padding(self, audit: Audit, name: str, seen: list[_Seen]) -> None:
        for number in dict.fromkeys(one.call for one in seen):
            module, x, times, samples, _ = self._places[number]
            if is_cell(module) or x.dim() != 3:
                continue
            first = module.batch_first
            by_time = x if first else x.transpose(0, 1)
            same = (by_time == by_time[:, -1:]).all(dim=-1)
            tails = same.flip(1).long().cumprod(dim=1).sum(dim=1)
            if bool((tails == tails[0]).all()) or int(tails.max()) < 2:
                continue
            padded = (times >= (by_time.shape[1] - tails)[samples]) & (tails > 1)[samples]
            along = direction(number, x) * padded[..., None] * (1 + x.abs().max())
            changed = float(self._loss(partial(moved, number, along)))
            kept = changed == self._loss_there
            effect = (
                "does not take part"
                if kept
                else f"takes part: other numbers there make the loss {changed:.4g}, not {self._loss_there:.4g}"
            )
            sentence = (
                f"the input of {int((tails > 1).sum())} of {len(tails)} samples stays the same up to the last "
                f"timestep. If this is padding, it {effect}"
                + ("" if kept else "; pack the batch, or leave these timesteps out of the loss")
            )
            audit.findings.append(Finding(name, "padding", not kept, sentence))

    def _look_for_outliers(self, audit: Audit, name: str, calls: dict[int, Call]) -> None:
        squares: dict[int, float] = {}
        for number, call in calls.items():
            samples = self._places[number][3].flatten()
            if not int(samples.max()):
                return
            for of, gradient in call.gradients.items():
                is_batched = of != "output" and gradient.dim() > 1
                sizes = gradient.square().sum(dim=-1)
                by_sample = sizes.view(-1, sizes.shape[-1]).sum(dim=0) if is_batched else sizes.flatten()
                whose = torch.arange(len(by_sample)) if is_batched else samples
                for sample, square in zip(whose.tolist(), by_sample.tolist(), strict=False):
                    squares[sample] = squares.get(sample, 0.0) + square
        norms = torch.tensor([squares[sample] for sample in sorted(squares)]).sqrt()
        if len(norms) < 4 or not (norms.sum() > 0):
            return
        share, median = float(norms.max() / norms.sum()), float(norms.median())
        if share > OUTLIER and float(norms.max()) > TIMES_MEDIAN * median:
            sample = int(norms.argmax()) + 1
            sentence = (
                f"sample {sample} of {len(norms)} has {share:.0%} of the norms of what the loss sends back; the "
                f"median is {median:.3g}, its own {float(norms.max()):.3g}"
            )
            audit.findings.append(Finding(name, "outlier", True, sentence))

    def _with_deltas(self, number: int, module: nn.Module, x: Tensor, times: Tensor, samples: Tensor) -> Tensor:
        delta = torch.zeros_like(x, requires_grad=True)
        self._deltas.append(delta)
        self._places.append((module, x.detach(), times, samples, torch.is_grad_enabled()))
        return x + delta

    def _loss(self, change: Change, gradients: bool = False) -> Tensor:
        """The loss with changed inputs, and the same random numbers as ever."""
        raise NotImplementedError


def _places(ones: list[tuple[int, int]], many: bool) -> str:
    """Timesteps in words, such as 'timesteps 1 to 8', or of several sequences."""
    if many:
        named = [f"timestep {timestep} of sequence {sequence}" for sequence, timestep in ones]
        return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
    steps = [timestep for _, timestep in ones]
    if len(steps) == 1:
        return f"timestep {steps[0]}"
    if steps[-1] - steps[0] == len(steps) - 1:
        return f"timesteps {steps[0]} to {steps[-1]}"
    return f"timesteps {', '.join(map(str, steps[:8]))}" + (f" and {len(steps) - 8} more" if len(steps) > 8 else "")
