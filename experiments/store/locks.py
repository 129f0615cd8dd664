"""Who makes a run: one process at a time, also where several sweeps share a study. Imports no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments.store.files import read_json

LOCK = ".lock"


@contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Have a run's folder to oneself; False where another process has it. The lock goes with the process that holds it.

    Args:
        folder: exists.
    """
    file = FileLock(folder / LOCK, timeout=0)
    try:
        file.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        file.release()


def is_locked(folder: Path) -> bool:
    """Whether a process has the folder, as far as can be told."""
    if not (folder / LOCK).exists():
        return False
    try:
        with lock(folder) as free:
            return not free
    except OSError:  # of another user: cannot be tried
        return True


def read_info(folder: Path) -> dict[str, Any]:
    """run.json, in which a run that no process makes any more is 'interrupted', whatever it said last; {} without one.

    Raises:
        DamagedRun: It cannot be read.
    """
    info = read_json(folder / "run.json")
    if info.get("status") == "running" and not is_locked(folder):
        info = read_json(folder / "run.json")  # it may just have ended
        if info.get("status") == "running":
            return {**info, "status": "interrupted"}
    return info
