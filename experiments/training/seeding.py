"""Where a run's random numbers come from."""

import hashlib

from torch import Generator


def generator_of(seed: int, purpose: str) -> Generator:
    """A generator for one purpose of a run: what one draws does not shift what another draws."""
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:7]))
