"""Changing what recurrent layers read, timestep by timestep."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

Change = Callable[[int, nn.Module, Tensor, Tensor, Tensor], Tensor]
"""Makes an input from (number of the call, layer, input, timesteps, samples); see `places`."""


@contextmanager
def changed_inputs(layers: Mapping[str, nn.Module], change: Change) -> Any:
    """Change the inputs of all calls of some layers. Calls are numbered from 0 in their order."""
    number = -1

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal number
        number += 1
        given = args[0] if args else kwargs.get("input")
        if not isinstance(given, Tensor | PackedSequence):
            return None  # the layer says what is wrong
        data = given.data if isinstance(given, PackedSequence) else given
        data = change(number, module, data, *places(module, given))
        new = given._replace(data=data) if isinstance(given, PackedSequence) else data
        return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "input": new})

    with ExitStack() as stack:
        for layer in layers.values():
            stack.callback(layer.register_forward_pre_hook(before, with_kwargs=True).remove)
        yield


def places(module: Any, given: Tensor | PackedSequence) -> tuple[Tensor, Tensor]:
    """The timestep, from 0, and the sample of each row of an input: shaped as the input without its last axis."""
    if isinstance(given, PackedSequence):
        sizes = given.batch_sizes.tolist()
        times = torch.cat([torch.full((size,), t) for t, size in enumerate(sizes)])
        order = given.sorted_indices
        samples = torch.cat([torch.arange(size) if order is None else order[:size].cpu() for size in sizes])
        return times.to(given.data.device), samples.to(given.data.device)
    shape = given.shape[:-1]
    if isinstance(module, nn.RNNCellBase):
        times = torch.zeros(shape, dtype=torch.long)
        samples = torch.arange(shape[0]) if shape else torch.tensor(0)
    elif len(shape) == 1:
        times, samples = torch.arange(shape[0]), torch.zeros(shape, dtype=torch.long)
    else:
        first, second = torch.meshgrid(torch.arange(shape[0]), torch.arange(shape[1]), indexing="ij")
        times, samples = (second, first) if module.batch_first else (first, second)
    return times.to(given.device), samples.to(given.device)


def direction(number: int, like: Tensor) -> Tensor:
    """A random direction in the space of the input of a call, the same each time."""
    generator = torch.Generator().manual_seed(number)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)


def moved(
    call: int, along: Tensor, number: int, module: nn.Module, x: Tensor, times: Tensor, samples: Tensor
) -> Tensor:
    """A change that adds `along` to the input of one call."""
    return x + along if number == call else x


def unmoved(number: int, module: nn.Module, x: Tensor, times: Tensor, samples: Tensor) -> Tensor:
    """No change."""
    return x
