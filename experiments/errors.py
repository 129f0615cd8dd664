"""What can be wrong, and how an error is said in one line."""

import re

NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory", re.IGNORECASE)
"""In the messages of torch's allocators, whose error is a plain RuntimeError."""

SIZE = re.compile(r"allocate ([\d.]+) (bytes|[KMGTP]iB)")


def in_a_line(error: BaseException) -> str:
    """An error's kind and message, without the breaks that a message may have."""
    if is_out_of_memory(error):
        return f"out of memory{_size(error)}: a smaller task.length, batch_size or model.hidden_size needs less"
    return " ".join(f"{type(error).__name__}: {error}".split())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be had: from Python, NumPy, or torch's allocators."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error))))


def _size(error: BaseException) -> str:
    if not (found := SIZE.search(str(error))):
        return ""
    number, unit = float(found[1]), found[2]
    return f" ({number / 2**30:,.1f} GiB asked for)" if unit == "bytes" else f" ({number:g} {unit} asked for)"


class UsageError(Exception):
    """A bad command line, configuration or path: one line that names the key, the value and what would do."""


class DamagedRun(UsageError):
    """A run's folder that cannot be read.

    Attributes:
        what: What is wrong with it, without the folder.
    """

    def __init__(self, folder: object, what: str) -> None:
        super().__init__(f"{folder}: {what}; make the run again with --fresh, or delete the folder")
        self.what = what
