"""Changing the folder of a run from outside its process: preparing, setting its status, deleting."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.errors import DamagedRun, UsageError
from experiments.store.files import read_json, write_json
from experiments.store.locks import LOCK, lock_run, read_info
from experiments.store.status import Status


def folders_with_status(folders: Sequence[Path], *statuses: str | None) -> list[Path]:
    """Select the run folders whose run.json has one of some statuses.

    Args:
        folders: Folders of runs.
        statuses: Wanted statuses; None is a run that has not started, 'damaged' one whose run.json cannot be read.
    """
    return [folder for folder in folders if _status_of(folder) in statuses]


def _status_of(folder: Path) -> str | None:
    try:
        status: str | None = read_json(folder / "run.json").get("status")
    except DamagedRun:
        return "damaged"
    return status


def prepare_folder(folder: Path, *, fresh: bool = False, retry: bool = False) -> None:
    """Prepare a folder so that its run starts or resumes, also after an interruption or a full disk.

    Args:
        folder: Folder of the run.
        fresh: Whether to delete its content.
        retry: Whether a failed run starts over.

    Raises:
        UsageError: The folder is to be deleted while another process is running the run.
    """
    if not folder.is_dir():
        return
    if fresh:
        delete_run(folder)
        return
    try:
        info = read_info(folder)
    except DamagedRun:  # the user decides what happens to a damaged run
        return
    own_fault = info.get("status") == "failed" and not info.get("retry")
    if own_fault and retry:
        delete_run(folder)
    elif info.get("status") == "interrupted" or (info.get("status") == "failed" and not own_fault):
        set_status(folder, "interrupted")


def set_status(folder: Path, status: Status, error: str | None = None) -> None:
    """Record how a run ended whose process can no longer do so; does nothing while a process is running it."""
    with lock_run(folder) as free:
        info = read_json(folder / "run.json")
        if free and info:
            write_json(folder / "run.json", {**info, "status": status, **({"error": error} if error else {})})


def delete_run(folder: Path, *, whole: bool = False) -> None:
    """Delete the content of a run's folder.

    Args:
        folder: Folder of the run.
        whole: Whether to delete the folder itself, too.

    Raises:
        UsageError: Another process is running the run.
    """
    with lock_run(folder) as free:
        if not free:
            raise UsageError(f"{folder}: another process is running it; `bptt status` shows its progress")
        delete_contents(folder)
        if whole:
            shutil.rmtree(folder)


def delete_contents(folder: Path) -> None:
    """Delete everything but the lock, run.json first, so that a half-deleted run does not look like a run."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name != "run.json"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def check_writable(folder: Path) -> None:
    """Check, by trying, that a folder can be created or written to; leaves nothing behind.

    Raises:
        UsageError: The folder cannot be written to.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with TemporaryDirectory(dir=existing, prefix=".bptt-"):
            pass
    except OSError as error:
        raise UsageError(f"results_dir: cannot write to {existing} ({error.strerror})") from None
