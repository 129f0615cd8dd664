"""Locking a run's folder: one process at a time runs a run, also when several sweeps share a study."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments.store.files import read_json

LOCK = ".lock"


@contextmanager
def lock_run(folder: Path) -> Iterator[bool]:
    """Lock a run's folder while the context is open; the lock is released when its process ends.

    Args:
        folder: Existing folder of the run.

    Yields:
        True if the folder is locked by this process, False if another process has locked it.
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
    """Whether a process has locked the folder, as far as can be told."""
    if not (folder / LOCK).exists():
        return False
    try:
        with lock_run(folder) as free:
            return not free
    except OSError:  # the lock of another user cannot be tried
        return True


def read_info(folder: Path) -> dict[str, Any]:
    """Read run.json; returns {} if there is none.

    The status 'running' becomes 'interrupted' if no process has locked the folder.

    Raises:
        DamagedRun: run.json cannot be read.
    """
    info = read_json(folder / "run.json")
    if info.get("status") == "running" and not is_locked(folder):
        info = read_json(folder / "run.json")  # the run may have ended between the two reads
        if info.get("status") == "running":
            return {**info, "status": "interrupted"}
    return info
