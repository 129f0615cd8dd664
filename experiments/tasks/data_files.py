"""The user's own data files: checks that all tasks with a file share, and the windows that sequences are cut from."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from experiments.errors import UsageError

KEY = "task.path"


def check_file(path: str, *, text: bool = True) -> Path:
    """Check that a data file can be read.

    Args:
        path: Path of the file.
        text: Whether it must be text.

    Raises:
        UsageError: It does not exist, is a folder, is empty, cannot be read, or holds null bytes, as no text does.
    """
    file = Path(path)
    try:
        if file.is_dir():
            raise UsageError(f"{KEY}={path}: is a folder; give a file")
        with open(file, "rb") as opened:
            start = opened.read(2**20)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{KEY}={path}: there is no such file in {Path.cwd()}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{KEY}={path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not start:
        raise UsageError(f"{KEY}={path}: is empty")
    if text and b"\0" in start:
        raise UsageError(f"{KEY}={path}: holds null bytes, so it is not text in UTF-8; save it as UTF-8 text")
    return file


def version(file: Path) -> tuple[int, int]:
    """Size and modification time of a file, which tell a cache whether it has changed."""
    there = file.stat()
    return there.st_size, there.st_mtime_ns


def window_starts(parts: Iterable[tuple[int, int]], needed: int) -> Int64[Tensor, " windows"]:
    """Where the windows start that lie within one of these parts of the data.

    Args:
        parts: Where each part starts and ends.
        needed: Number of rows of a window, with those of its answer.
    """
    none = torch.empty(0, dtype=torch.int64)
    return torch.cat([none, *(torch.arange(start, max(start, end - needed + 1)) for start, end in parts)])


def evenly(starts: Int64[Tensor, " windows"], samples: int) -> Iterator[Int64[Tensor, " batch"]]:
    """Pick windows, evenly spread and the same every time, in batches of at most 250.

    Args:
        starts: Where the windows start.
        samples: Number of windows to pick; all if there are fewer.
    """
    chosen = torch.linspace(0, len(starts) - 1, min(samples, len(starts)), dtype=torch.float64).long()
    yield from torch.split(starts[chosen], 250)
