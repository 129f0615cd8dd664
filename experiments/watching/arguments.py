"""The check of what the user passes to `bptt.watch`: each error is one line."""

import math
from collections.abc import Mapping
from typing import Any

from torch import nn

TAKEN = (
    *("cell", "task", "model", "record", "study", "steps", "dtype", "device", "batch_size", "results_dir", "name"),
    "truncation",
)
"""Settings that a watched run has of its own."""


def check_arguments(
    model: Any,
    measures: Mapping[str, Any],
    settings: Mapping[str, Any] | None,
    windows: Any,
    spike_limit: Any = None,
    **numbers: Any,
) -> None:
    """Check the arguments of `bptt.watch`.

    Args:
        model: Must be a module.
        measures: Must be bools.
        settings: Must map words to numbers, words, bools or None.
        windows: Must be a number from 1, or "all".
        spike_limit: Must be a number above 0, and goes with `spikes`; may be None.
        **numbers: Must be whole numbers from 1; steps and lag_samples may be None. lag_samples goes with `lags`.

    Raises:
        TypeError: An argument has a wrong type.
        ValueError: An argument has a wrong value.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: must be a torch.nn.Module, but is a {type(model).__name__}")
    for name, value in numbers.items():
        if name in ("steps", "lag_samples") and value is None:
            continue
        _check_number(name, value, "a whole number from 1")
    if windows != "all":
        _check_number("windows", windows, "a whole number from 1, or 'all'")
    if spike_limit is not None:
        if isinstance(spike_limit, bool) or not isinstance(spike_limit, int | float):
            raise TypeError(f"spike_limit={spike_limit!r}: must be a number above 0")
        if not 0 < spike_limit < math.inf:
            raise ValueError(f"spike_limit={spike_limit}: must be a number above 0")
        if not measures.get("spikes"):
            raise ValueError(f"spike_limit={spike_limit}: does nothing unless spikes=True")
    if measures["spike_batches"] and not measures.get("spikes"):
        raise ValueError("spike_batches=True: saves nothing unless spikes=True")
    if numbers.get("lag_samples") is not None and not measures.get("lags"):
        raise ValueError(f"lag_samples={numbers['lag_samples']}: does nothing unless lags=True")
    for name, value in measures.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name}={value!r}: must be True or False")
    if settings is None:
        return
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings: must be a dict such as {{'lr': 0.01}}, but is a {type(settings).__name__}")
    for key, value in settings.items():
        if not isinstance(key, str) or key.partition(".")[0] in TAKEN or key.startswith("_"):
            raise ValueError(f"settings: {key!r} cannot be a key; choose a word other than {', '.join(TAKEN)}")
        if value is not None and not isinstance(value, bool | int | float | str):
            raise TypeError(f"settings: {key}={value!r} must be a number, a word, True, False or None")


def _check_number(name: str, value: Any, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r}: must be {what}")
    if value < 1:
        raise ValueError(f"{name}={value}: must be {what}")
