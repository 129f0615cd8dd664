"""TODO."""

from collections.abc import Collection
from pathlib import Path

from experiments.analysis.summary import summarize
from experiments.store.locks import is_locked, read_info
from experiments.store.run_folders import discard
from experiments.store.status import Status
from experiments.store.studies import read_runs


def unwanted(study: Path, statuses: Collection[Status]) -> dict[Path, str]:
    """The folders of a study's runs that ended so, and of damaged ones, what is wrong.

    A folder in which no run came to begin was 'interrupted'.
    """
    damaged = dict(read_runs(study).damaged)
    found = {}
    for folder in sorted(path for path in (study / "runs").iterdir() if path.is_dir()):
        if folder in damaged:
            status = "damaged"
        else:
            status = read_info(folder).get("status") or ("running" if is_locked(folder) else "interrupted")
        if status in statuses:
            found[folder] = damaged.get(folder, "")
    return found


def clean(study: Path, folders: Collection[Path]) -> None:
    """Delete runs, and bring the study's tables up to date.

    Raises:
        UsageError: a process makes one of them.
    """
    for folder in folders:
        discard(folder, whole=True)
    summarize(study)
