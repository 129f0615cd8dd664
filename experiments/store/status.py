"""TODO."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from experiments.errors import DamagedRun
from experiments.store.files import read_json

Status = Literal["running", "completed", "diverged", "failed", "interrupted", "damaged"]


FINISHED: tuple[Status, ...] = ("completed", "diverged")


SETTLED: tuple[Status, ...] = (*FINISHED, "failed")
"""What a sweep does not make again by itself."""


UNSETTLED: tuple[Status | None, ...] = ("running", "interrupted", None)
"""What it has yet to make, or to go on with."""


ENDED: tuple[Status, ...] = (*SETTLED, "interrupted")


def of_status(folders: Sequence[Path], *statuses: str | None) -> list[Path]:
    """The folders of the runs whose run.json says so; None: has not begun; 'damaged': run.json cannot be read."""
    return [folder for folder in folders if _status_of(folder) in statuses]


def _status_of(folder: Path) -> str | None:
    try:
        status: str | None = read_json(folder / "run.json").get("status")
    except DamagedRun:
        return "damaged"
    return status
