"""What is done to the folders of runs from outside: made ready, settled, deleted. Imports no torch."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.errors import DamagedRun, UsageError
from experiments.store.files import read_json, write_json
from experiments.store.locks import LOCK, lock, read_info
from experiments.store.status import Status


def reopen(folder: Path, *, fresh: bool = False, retry: bool = False) -> None:
    """Make ready what is to be made, or to go on: what was cut off, what failed for want of disk.

    Args:
        folder: of a run.
        fresh: delete what is there.
        retry: start over what failed.

    Raises:
        UsageError: it is to be deleted while another process makes it.
    """
    if not folder.is_dir():
        return
    if fresh:
        discard(folder)
        return
    try:
        info = read_info(folder)
    except DamagedRun:  # left as it is until the user says what to do
        return
    own_fault = info.get("status") == "failed" and not info.get("retry")
    if own_fault and retry:
        discard(folder)
    elif info.get("status") == "interrupted" or (info.get("status") == "failed" and not own_fault):
        settle(folder, "interrupted")


def settle(folder: Path, status: Status, error: str | None = None) -> None:
    """Record how a run ended whose process can no longer do so; nothing is done where one still makes it."""
    with lock(folder) as free:
        info = read_json(folder / "run.json")
        if free and info:
            write_json(folder / "run.json", {**info, "status": status, **({"error": error} if error else {})})


def discard(folder: Path, *, whole: bool = False) -> None:
    """Delete what is in the folder of a run, and with `whole` the folder itself.

    Raises:
        UsageError: a process makes it.
    """
    with lock(folder) as free:
        if not free:
            raise UsageError(f"{folder}: is being made by another process; `bptt status` shows it")
        empty(folder)
        if whole:
            shutil.rmtree(folder)


def empty(folder: Path) -> None:
    """Delete all but the lock; run.json goes first, so that no half-deleted run passes for one."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name != "run.json"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def check_writable(folder: Path) -> None:
    """Find out, by trying, whether a folder can be made or written to; leaves nothing behind.

    Raises:
        UsageError: it cannot.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with TemporaryDirectory(dir=existing, prefix=".bptt-"):
            pass
    except OSError as error:
        raise UsageError(f"results_dir: cannot write to {existing} ({error.strerror})") from None
