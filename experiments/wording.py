"""Words for people that depend on numbers."""


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an 's' for any number but 1: '1 run', '2 runs', '0 finished runs'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
