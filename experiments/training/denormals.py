"""How the processor treats denormal numbers: those too small for full precision, below 1.2e-38 in float32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from experiments.errors import UsageError

GRAIN = 32768
"""Elements from which torch gives an operation to a further thread."""


@contextmanager
def denormals(*, flushed: bool) -> Iterator[None]:
    """Compute with denormal numbers rounded to 0 (`flushed`), or kept.

    Processors compute with denormal numbers many times slower, and a gradient that vanishes consists of them before it
    is 0. A processor that cannot flush them keeps them.

    Raises:
        UsageError: torch's other threads already compute the other way. Each of them keeps what was set when it began.
    """
    able = torch.set_flush_denormal(flushed)
    try:
        if able and torch.get_num_threads() > 1 and _are_flushed() != flushed:
            raise UsageError(
                f"flush_denormals={str(flushed).lower()}: this process already computes the other way on "
                f"{torch.get_num_threads()} threads; make this run by a command of its own, or with threads=1"
            )
        yield
    finally:
        torch.set_flush_denormal(False)


def _are_flushed() -> bool | None:
    """Whether all threads flush denormal numbers; None where some do."""
    elements = GRAIN * torch.get_num_threads()
    kept = int((torch.full((elements,), 1e-30) * 1e-10).count_nonzero())
    return not kept if kept in (0, elements) else None
