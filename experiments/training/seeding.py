"""The random number generators of a run, derived from its seed."""

import hashlib

from torch import Generator


def generator_of(seed: int, purpose: str) -> Generator:
    """Make the generator for one purpose of a run. Generators of different purposes do not affect each other."""
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:7]))
