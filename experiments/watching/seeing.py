"""Seeing the training of a script from outside: calls of its models, backward passes and updates."""

import functools
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from experiments.watching.calls import is_scripted
from experiments.watching.weights import kind_of


def has_recurrent_layers(module: nn.Module) -> bool:
    """Whether a module is a recurrent layer of torch or has one inside."""
    return any(kind_of(one) is not None or is_scripted(one) for one in module.modules())


class Seeing:
    """Patches torch such that functions are called during any training in this process.

    Args:
        called: Called with the outermost module of each call, before it, if there is a recurrent layer inside and
            gradients are on.
        went_back: Called after a backward pass, with the tensors that it started at.
        about_to_update: Called before an optimizer's step, or after each call of the closure that the step is given.
    """

    def __init__(
        self,
        called: Callable[[nn.Module], None],
        went_back: Callable[[list[Tensor]], None],
        about_to_update: Callable[[Optimizer], None],
    ) -> None:
        self._inside = threading.local()
        self._recurrent: dict[nn.Module, bool] = {}
        self._call: Any = nn.Module.__call__
        self._backward: Any = torch.autograd.backward
        calls, goes_back, seeing = self._call, self._backward, self

        @functools.wraps(calls)
        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if getattr(seeing._inside, "model", False) or not torch.is_grad_enabled() or not seeing._has_layers(module):
                return calls(module, *args, **kwargs)
            if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
                return calls(module, *args, **kwargs)
            seeing._inside.model = True
            try:
                called(module)
                return calls(module, *args, **kwargs)
            finally:
                seeing._inside.model = False

        @functools.wraps(goes_back)
        def backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
            starts = [tensors] if isinstance(tensors, Tensor) else list(tensors)
            goes_back(tensors, *args, **kwargs)
            went_back(starts)

        nn.Module.__call__ = call  # type: ignore[method-assign]
        torch.autograd.backward = backward

        def step(optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
            closure = args[1] if len(args) > 1 else kwargs.get("closure")
            if closure is None:
                return about_to_update(optimizer)

            def evaluate() -> Any:
                loss = closure()
                about_to_update(optimizer)
                return loss

            rest = {name: one for name, one in kwargs.items() if name != "closure"}
            return (args[0], evaluate, *args[2:]), rest

        register_optimizer_step_pre_hook(step)

    def all_models_known(self) -> None:
        """Stop looking at the calls of modules, which costs time at each."""
        nn.Module.__call__ = self._call  # type: ignore[method-assign]

    def _has_layers(self, module: nn.Module) -> bool:
        if module not in self._recurrent:
            self._recurrent[module] = has_recurrent_layers(module)
        return self._recurrent[module]
