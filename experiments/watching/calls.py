"""Seeing the calls of torch's recurrent layers, and the gradients that reach their outputs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from experiments.watching.weights import KINDS, kind_of

FUSED = (nn.RNN, nn.LSTM, nn.GRU)
MOST_STALE = 1000
"""Number of calls after which those with weights that have since been updated are dropped: no step asked for them."""

SCRIPTED = {kind.__name__ for kind in KINDS}


class NotSeen(Exception):
    """A layer cannot be watched; the message says why."""


@dataclass
class Call:
    """One call of a recurrent layer in a recorded step.

    Attributes:
        module: The layer.
        input: Its input, as it was given.
        before: The state that it was given, h first; empty if it was given none.
        output: Its output; for a cell, h.
        after: The state that it returned, h first. These are the tensors in autograd's graph.
        weights: The weights that the call used, with their version, by torch's names.
        random: State of the random number generator before the call, if there is dropout between layers.
        gradients: What has reached the output and the states of `after` so far, by "output", "h" and "c".
        autocast: Whether torch.autocast was on.
        is_differentiated: Whether a gradient that reached it is itself differentiated.
        made_by: The node of autograd's graph that made the output, and the number of the node's output.
    """

    module: nn.Module
    input: Tensor | PackedSequence
    before: tuple[Tensor, ...]
    output: Tensor
    after: tuple[Tensor, ...]
    weights: dict[str, tuple[Tensor, int]]
    random: Tensor | None
    gradients: dict[str, Tensor] = field(default_factory=dict)
    autocast: bool = False
    is_differentiated: bool = False
    made_by: tuple[Any, int] = (None, 0)

    def watch_gradients(self, output: Tensor) -> None:
        """Keep the gradients that reach the output and the returned states."""
        self.made_by = (output.grad_fn, output.output_nr)
        self.autocast = torch.is_autocast_enabled(output.device.type)
        named = {"output": output, **dict(zip(("h", "c"), self.after, strict=False))}
        for name, tensor in named.items():
            if tensor.requires_grad and not (name == "h" and tensor is output):
                tensor.register_hook(self._keeper(name))  # type: ignore[no-untyped-call]

    def _keeper(self, name: str) -> Any:
        def keep(gradient: Tensor | None) -> None:
            if gradient is None:  # torch's fused LSTM in float32 says so of an output that the loss does not use
                return
            self.is_differentiated |= torch.is_grad_enabled()  # the backward pass has create_graph=True
            gradient = gradient.detach()
            self.gradients[name] = self.gradients[name] + gradient if name in self.gradients else gradient

        return keep

    def check(self) -> None:
        """Check that the call can be redone from what is known of it.

        Raises:
            NotSeen: It cannot.
        """
        if self.is_differentiated:
            raise NotSeen("its gradient is differentiated again (create_graph=True), or is computed by torch.func")
        weights = {weight.dtype for weight, _ in self.weights.values()}
        if self.output.dtype not in weights or (self.autocast and torch.float32 in weights):
            raise NotSeen("it is called under torch.autocast, which computes in a shorter dtype")

    @property
    def is_stale(self) -> bool:
        """Whether a weight that the call used has changed since."""
        return any(weight._version != version for weight, version in self.weights.values())

    def weight(self, name: str) -> Tensor | None:
        """A weight that the call used; None if there is none of this name.

        Raises:
            NotSeen: The weight has changed since.
        """
        if name not in self.weights:
            return None
        weight, version = self.weights[name]
        if weight._version != version:
            raise NotSeen("its weights changed before watch.step; call watch.step before the optimiser's step")
        return weight


class Calls:
    """The calls of the recurrent layers of a model, while `on`. Otherwise the layers have no hooks.

    Args:
        model: Model whose layers are watched.

    Attributes:
        keeps: Whether outputs are copied, so that they may be changed in place before `take`.
        layers: The watched modules by their name in the model.
        refused: Why a layer cannot be watched, by its name.
        kept: The calls since `take`, in order.
    """

    def __init__(self, model: nn.Module) -> None:
        self.keeps = True
        self.layers: dict[str, nn.Module] = {}
        self.refused: dict[str, str] = {}
        self.kept: list[Call] = []
        self._random: dict[nn.Module, Tensor] = {}
        for name, module in model.named_modules():
            name = name or type(module).__name__
            if is_scripted(module):
                self.refused[name] = "it is a scripted module"
            elif kind_of(module) is not None:
                self.layers[name] = module
        self.refused |= dict(_inside(model, self.layers))
        for name in self.refused:
            self.layers.pop(name, None)
        self._handles: list[RemovableHandle] = []
        self.on = True

    @property
    def on(self) -> bool:
        """Whether calls are kept."""
        return bool(self._handles)

    @on.setter
    def on(self, wanted: bool) -> None:
        if wanted == self.on:
            return
        for handle in self._handles:
            handle.remove()
        self._handles = [each for one in self.layers.values() if wanted for each in self._hooks(one)]

    def _hooks(self, module: nn.Module) -> tuple[RemovableHandle, RemovableHandle]:
        after = module.register_forward_hook(self._after, with_kwargs=True)
        return module.register_forward_pre_hook(self._before), after

    def __deepcopy__(self, memo: dict[int, Any]) -> "Calls":
        """What the hooks of a copied model hold: the copy is not watched."""
        copied = object.__new__(Calls)
        copied._handles = []
        return copied

    def take(self) -> list[Call]:
        """The calls since the last time."""
        calls, self.kept = self.kept, []
        return calls

    def close(self) -> None:
        """Remove all hooks."""
        self.on, self.kept = False, []

    def _before(self, module: nn.Module, args: Any) -> None:
        if self.on and getattr(module, "dropout", None) and module.training:
            self._random[module] = torch.get_rng_state()

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if not self.on or not torch.is_grad_enabled() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return
        input = args[0] if args else kwargs["input"]
        hx = args[1] if len(args) > 1 else kwargs.get("hx")
        before = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
        if isinstance(module, FUSED):
            output, states = result
            states = states if isinstance(states, tuple) else (states,)
        else:
            states = result if isinstance(result, tuple) else (result,)
            output = states[0]
        data = output.data if isinstance(output, PackedSequence) else output
        if not data.requires_grad:
            return
        names = [name for name in dir_of_weights(module) if isinstance(getattr(module, name), Tensor)]
        weights = {name: (weight, weight._version) for name in names for weight in [getattr(module, name)]}
        random = self._random.pop(module, None)
        kept = data.detach().clone() if self.keeps else data.detach()
        call = Call(module, input, tuple(before), kept, states, weights, random)
        call.watch_gradients(data)
        self.kept.append(call)
        if len(self.kept) % MOST_STALE == 0:
            self.kept = [one for one in self.kept if not one.is_stale]


def not_seen(model: nn.Module) -> str:
    """Why no layer of a model can be watched, in words; empty if one can be, or if there is none."""
    calls = Calls(model)
    calls.close()
    return "" if calls.layers else "; ".join(f"{name}: {why}" for name, why in calls.refused.items())


def is_scripted(module: nn.Module) -> bool:
    """Whether a module is one of torch's recurrent layers, scripted or traced by torch.jit."""
    return getattr(module, "original_name", None) in SCRIPTED


def dir_of_weights(module: nn.Module) -> list[str]:
    """The names of the weights of one of torch's recurrent layers."""
    if isinstance(module, nn.RNNBase):
        return [name for names in module._all_weights for name in names]
    return ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


def _inside(model: nn.Module, layers: dict[str, nn.Module]) -> Iterable[tuple[str, str]]:
    """Name the layers inside modules whose calls cannot be seen, and why."""
    for outer in model.modules():
        compiled = hasattr(outer, "_orig_mod") or getattr(outer, "_compiled_call_impl", None) is not None
        copies = isinstance(outer, nn.DataParallel) and bool(outer.device_ids)  # without a GPU, it calls its module
        why = "it is compiled" if compiled else "it is in nn.DataParallel" * copies
        if why:
            within = set(outer.modules())
            yield from ((name, why) for name, layer in layers.items() if layer in within)
