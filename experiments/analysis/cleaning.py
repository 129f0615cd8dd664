"""Finding and deleting runs that are not wanted any more, for `bptt clean`."""

from collections.abc import Collection
from pathlib import Path

from experiments.analysis.summary import write_summary
from experiments.store.locks import is_locked, read_info
from experiments.store.run_folders import delete_run
from experiments.store.status import Status
from experiments.store.studies import read_runs


def find_runs_to_delete(study: Path, statuses: Collection[Status]) -> dict[Path, str]:
    """Find the runs of a study that have one of some statuses.

    A folder in which a run was started but wrote no run.json counts as 'interrupted'.

    Args:
        study: Folder of the study.
        statuses: Statuses of the runs to delete.

    Returns:
        Folders of the runs, each with what is wrong with it; empty unless it is damaged.
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


def delete_runs(study: Path, folders: Collection[Path]) -> None:
    """Delete runs, and update summary.csv and states.csv of the study.

    Raises:
        UsageError: A process is running one of them.
    """
    for folder in folders:
        delete_run(folder, whole=True)
    write_summary(study)
