"""Words in messages that depend on numbers."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """A number with its noun in the singular or plural: '1 run', '2 runs', '0 finished runs'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    """A share as a percentage with three digits: '15.3%'."""
    return f"{100 * share:.3g}%"


def listed(words: Sequence[str]) -> str:
    """Words one after the other: 'c', 'c and s', 'c, s and z'."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
