"""The exceptions of bptt, and the description of an error in one line."""

import re
import sysconfig
import traceback
from functools import lru_cache
from pathlib import Path

OWN_PACKAGES = ("cli", "conf", "experiments", "models")
"""Our packages, as in `bptt_start`, which must not be imported in a user's process: it takes their names."""

INSTALLED = {"site-packages", "dist-packages"}
"""Names of the folders that hold installed packages."""

NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory", re.IGNORECASE)
"""Matches the messages of torch's allocators, which raise a plain RuntimeError."""

SIZE = re.compile(r"allocate ([\d.]+) (bytes|[KMGTP]iB)")


def in_a_line(error: BaseException) -> str:
    """The type and message of an error, without line breaks; for a lack of memory, advice on what to reduce."""
    if is_out_of_memory(error):
        return f"out of memory{_size(error)}: reduce task.length, batch_size or model.hidden_size"
    return " ".join(f"{type(error).__name__}: {error}".split())


def place_in_user_code(error: BaseException) -> str:
    """The file and line of the user's own code in which an error arose: ' (leaky.py, line 6)'; empty if in none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if is_users_code(path := Path(frame.filename)):
            return f" ({path.name}, line {frame.lineno})"
    return ""


@lru_cache(maxsize=1000)
def is_users_code(path: Path) -> bool:
    """Whether a file is Python source that is neither ours, nor Python's, nor an installed package's."""
    path = path.resolve()
    root = Path(__file__).resolve().parents[1]
    known = [root / package for package in OWN_PACKAGES] + [Path(sysconfig.get_path("stdlib"))]
    return path.suffix == ".py" and INSTALLED.isdisjoint(path.parts) and not any(map(path.is_relative_to, known))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy or torch means that an allocation of memory failed."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error))))


def _size(error: BaseException) -> str:
    """The size of the failed allocation, such as ' (7.5 GiB requested)'; an empty string if the message has none."""
    if not (found := SIZE.search(str(error))):
        return ""
    number, unit = float(found[1]), found[2]
    return f" ({number / 2**30:,.1f} GiB requested)" if unit == "bytes" else f" ({number:g} {unit} requested)"


class UsageError(Exception):
    """A wrong command line, configuration or path. The message is one line: what is wrong, the value, what to do."""


class DamagedRun(UsageError):
    """The folder of a run cannot be read, because files are missing or were changed.

    Args:
        folder: Folder of the run.
        what: Damage, such as 'metrics.csv is missing'.

    Attributes:
        what: Damage, as given.
    """

    def __init__(self, folder: object, what: str) -> None:
        super().__init__(f"{folder}: {what}; run it again with --fresh, or delete the folder")
        self.what = what
