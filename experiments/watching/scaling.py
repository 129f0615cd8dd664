"""What torch.amp.GradScaler has multiplied of the gradients of a loop, and what torch has clipped."""

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook


class Scaling:
    """Follows what any GradScaler multiplies and divides, and what torch clips, from now on until `close`.

    A gradient is scaled if a backward pass from a loss that `GradScaler.scale` has returned changed it, until
    `GradScaler.unscale_` or `step` is called with its optimizer.

    Args:
        parameters: Parameters whose gradients are followed.
        say: Called with a sentence, at most once, if gradients are clipped while they are scaled.
        skipped: Called with the optimizer if a GradScaler leaves out its update.

    Attributes:
        parameters: See above; may be replaced between backward passes.
        is_used: Whether a GradScaler has multiplied a loss so far.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor] = (),
        say: Callable[[str], None] | None = None,
        skipped: Callable[[Optimizer], None] | None = None,
    ) -> None:
        _patch()
        self.parameters = list(parameters)
        self.is_used = False
        self._say, self._skipped = say, skipped
        self._scales: dict[Tensor, Tensor] = {}  # of each parameter whose gradient is scaled
        self._pending: Tensor | None = None  # of the backward passes since the last division
        self._of_pass: Tensor | None = None
        self._of_step: dict[Tensor, Tensor] = {}
        self._before: list[tuple[int, int]] | None = None
        self._clipped: tuple[Any, Any, int] | None = None
        _LISTENING.add(self)

    def close(self) -> None:
        """Stop following."""
        _LISTENING.discard(self)

    def take_pass(self) -> Tensor | None:
        """The scale of the loss of the last backward pass; None if it is not scaled, or was taken before."""
        scale, self._of_pass = self._of_pass, None
        return scale

    def take_step(self) -> dict[Tensor, Tensor]:
        """The scale of each parameter that a scaled backward pass has reached since the last call."""
        scales, self._of_step = self._of_step, {}
        return scales

    def reached(self, leaves: Iterable[Tensor], scale: Tensor | None) -> None:
        """Add parameters that were not known before the last backward pass, which reached them.

        Args:
            leaves: The parameters.
            scale: What `take_pass` returns after the pass.
        """
        new = list(leaves)
        self.parameters = list(dict.fromkeys((*self.parameters, *new)))
        if scale is not None:
            self._scales |= dict.fromkeys(new, scale)
            self._of_step |= dict.fromkeys(new, scale)

    @contextmanager
    def divided(self) -> Iterator[None]:
        """Give each parameter the gradient that it would have without GradScaler; the other one comes back after."""
        scaled = {one: one.grad for one in self._scales if one.grad is not None} if self._scales else {}
        for one, gradient in scaled.items():
            one.grad = divide(gradient, self._scales[one])
        try:
            yield
        finally:
            for one, gradient in scaled.items():
                one.grad = gradient

    @property
    def is_clipped(self) -> bool:
        """Whether the gradients are what a clipping by torch has left."""
        if self._clipped is None:
            return False
        parameter, gradient, version = self._clipped
        return parameter.grad is not None and gradient() is parameter.grad and version == parameter.grad._version

    def _pass_begins(self, scale: Tensor) -> None:
        if self._before is None:
            self._before = [_state(one) for one in self.parameters]
        self._of_pass = self._pending = scale

    def _pass_ends(self, scale: Tensor) -> None:
        before, self._before = self._before, None
        changed = [one for one, was in zip(self.parameters, before or (), strict=False) if _state(one) != was]
        self._scales |= dict.fromkeys(changed, scale)
        self._of_step |= dict.fromkeys(changed, scale)

    def _divides(self, optimizer: Optimizer) -> None:
        self._pending = None
        for group in optimizer.param_groups:
            for one in group["params"]:
                self._scales.pop(one, None)

    def _skips(self, optimizer: Optimizer) -> None:
        if self._skipped is not None:
            self._skipped(optimizer)

    def _clips(self) -> None:
        if self._pending is not None and self._say is not None and (scale := float(self._pending)) != 1:
            self._say(
                f"the script clips gradients that GradScaler has multiplied by {scale:g}, so the threshold acts as one "
                f"{scale:g} times smaller; call scaler.unscale_(optimizer) before clipping"
            )
            self._say = None

    def _has_clipped(self, parameters: list[Tensor]) -> None:
        ours = set(self.parameters)
        one = next((one for one in parameters if one in ours and one.grad is not None), None)
        if one is not None and one.grad is not None:
            self._clipped = (one, weakref.ref(one.grad), one.grad._version)


def scale_of(module: nn.Module, scales: Mapping[Tensor, Tensor]) -> Tensor | None:
    """The scale of the gradient that has reached a module; None if it is not scaled.

    Args:
        module: The module. If none of its parameters is trained, the scale is taken to be that of any other one.
        scales: What `Scaling.take_step` returns.
    """
    trained: list[Tensor] = [one for one in module.parameters() if one.requires_grad]
    trained = trained or list(scales)
    return next((scales[one] for one in trained if one in scales), None)


def divide(gradient: Tensor, scale: Tensor) -> Tensor:
    """A gradient without the scale, in its own dtype and on its own device."""
    return gradient.detach() / scale.to(gradient.device)


_LISTENING: weakref.WeakSet[Scaling] = weakref.WeakSet()


def _state(parameter: Tensor) -> tuple[int, int]:
    """Numbers that differ if the gradient of a parameter is changed or replaced."""
    gradient = parameter.grad
    return (0, 0) if gradient is None else (id(gradient), gradient._version)


@functools.cache
def _patch() -> None:
    """Patch GradScaler and the functions that clip, such that each `Scaling` is told."""
    scaler_class: Any = torch.amp.GradScaler
    scales, unscales, steps = scaler_class.scale, scaler_class.unscale_, scaler_class.step
    updating: list[Any] = []
    register_optimizer_step_pre_hook(lambda optimizer, *_: updating.append(optimizer) if updating else None)

    def pass_begins(scale: Tensor) -> None:
        for one in list(_LISTENING):
            one._pass_begins(scale)
        engine: Any = torch.autograd.Variable._execution_engine
        engine.queue_callback(lambda: pass_ends(scale))

    def pass_ends(scale: Tensor) -> None:
        for one in list(_LISTENING):
            one._pass_ends(scale)

    @functools.wraps(scales)
    def scale(scaler: Any, outputs: Any) -> Any:
        result = scales(scaler, outputs)
        if not _LISTENING or not scaler.is_enabled():
            return result
        for one in _LISTENING:
            one.is_used = True
        for one in result if isinstance(result, list | tuple) else [result]:
            if isinstance(one, Tensor) and one.requires_grad:
                with torch.no_grad():
                    factor = scales(scaler, torch.ones((), device=one.device))
                one.register_hook(lambda _, factor=factor: pass_begins(factor))  # type: ignore[no-untyped-call]
        return result

    @functools.wraps(unscales)
    def unscale_(scaler: Any, optimizer: Any) -> None:
        unscales(scaler, optimizer)
        if scaler.is_enabled():
            for one in list(_LISTENING):
                one._divides(optimizer)

    @functools.wraps(steps)
    def step(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        if not scaler.is_enabled() or not isinstance(optimizer, Optimizer):
            return steps(scaler, optimizer, *args, **kwargs)
        updating.append(None)
        try:
            result = steps(scaler, optimizer, *args, **kwargs)
            is_skipped = updating[-1] is None
        finally:
            updating.clear()
        for one in list(_LISTENING):
            if is_skipped:
                one._skips(optimizer)
            one._divides(optimizer)
        return result

    scaler_class.scale, scaler_class.unscale_, scaler_class.step = scale, unscale_, step
    # clip_grad_norm_ calls the first one, however a script has imported it
    for owner, name in (
        (nn.utils.clip_grad, "_clip_grads_with_norm_"),
        (nn.utils, "clip_grads_with_norm_"),
        (nn.utils.clip_grad, "clip_grad_value_"),
        (nn.utils, "clip_grad_value_"),
    ):
        if hasattr(owner, name):
            setattr(owner, name, _telling(getattr(owner, name)))


def _telling(clips: Callable[..., Any]) -> Callable[..., Any]:
    """A function that clips, and tells each `Scaling` before and after."""

    @functools.wraps(clips)
    def clip(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        for one in list(_LISTENING):
            one._clips()
        result = clips(parameters, *args, **kwargs)
        for one in list(_LISTENING):
            one._has_clipped(parameters)
        return result

    return clip
