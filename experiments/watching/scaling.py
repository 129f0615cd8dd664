"""Sees whether a script clips gradients that torch.amp.GradScaler has multiplied and not yet divided."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def watch_clipping(say: Callable[[str], None]) -> Callable[[], bool]:
    """Patch torch such that the first clipping of scaled gradients is named.

    Args:
        say: Called with a sentence, at most once.

    Returns:
        Function that says whether a GradScaler has multiplied a loss so far.
    """
    scaler_class: Any = torch.amp.GradScaler
    scaling: list[Any] = []
    said: list[str] = []
    used: list[Any] = []

    def around(owner: Any, name: str, before: Callable[..., None]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            before(*args)
            return original(*args, **kwargs)

        setattr(owner, name, method)

    def scales(scaler: Any, *_: Any) -> None:
        scaling[:] = used[:] = [scaler] if scaler.is_enabled() else []

    def divides(*_: Any) -> None:
        scaling.clear()

    def clips(*_: Any) -> None:
        if scaling and not said and (scale := scaling[0].get_scale()) != 1:
            said.append(
                f"the script clips gradients that GradScaler has multiplied by {scale:g}, so the threshold acts as one "
                f"{scale:g} times smaller; call scaler.unscale_(optimizer) before clipping"
            )
            say(said[0])

    around(scaler_class, "scale", scales)
    around(scaler_class, "unscale_", divides)
    around(scaler_class, "step", divides)
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        around(nn.utils, name, clips)
    return lambda: bool(used)
