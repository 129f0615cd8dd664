"""Denormal numbers, which are too small for full precision (below 1.2e-38 in float32): keep them or round them to 0."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from experiments.errors import UsageError

GRAIN = 32768
"""Number of elements per thread: torch starts another thread for an operation on more elements."""


@contextmanager
def denormals(*, flushed: bool) -> Iterator[None]:
    """Context in which denormal numbers are rounded to 0 (`flushed`) or kept.

    Processors compute with denormal numbers many times slower, and a vanishing gradient consists of them before it
    becomes 0. A processor that cannot flush them keeps them.

    Raises:
        UsageError: The other threads of torch already use the opposite setting. A thread keeps the setting that was in
            force when it started.
    """
    able = torch.set_flush_denormal(flushed)
    try:
        if able and torch.get_num_threads() > 1 and _are_flushed() != flushed:
            raise UsageError(
                f"flush_denormals={str(flushed).lower()}: this process already uses the opposite setting on "
                f"{torch.get_num_threads()} threads; start this run with a command of its own, or pass threads=1"
            )
        yield
    finally:
        torch.set_flush_denormal(False)


def _are_flushed() -> bool | None:
    """Whether all threads flush denormal numbers; None if only some do."""
    elements = GRAIN * torch.get_num_threads()
    kept = int((torch.full((elements,), 1e-30) * 1e-10).count_nonzero())
    return not kept if kept in (0, elements) else None
