"""What sweeps into a study set out to make, on the disk: so that what they never came to is known, too."""

import json
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from experiments.store.files import write_json

FILE = "sweeps.json"
ONCE = ("--fresh", "--retry", "--yes", "-y")
"""What a command that goes on with a sweep is not to say again."""


class PlannedRun(NamedTuple):
    """A run that is to be made.

    Attributes:
        label: what it is called: what tells it apart in its sweep.
        steps: how many it is to make.
    """

    label: str
    steps: int


class PlannedSweep(NamedTuple):
    """A sweep that was begun.

    Attributes:
        command: that goes on with it.
        started: when, in ISO format.
        runs: by their ids.
    """

    command: str
    started: str
    runs: dict[str, PlannedRun]

    @property
    def retry(self) -> str:
        """The command that also starts over what failed; a probe does so by itself."""
        return self.command if self.command.startswith("bptt probe") else f"{self.command} --retry"

    @property
    def again(self) -> str:
        """The command that also makes damaged runs again, and those made from files that have changed since."""
        return f"{self.command} --fresh" if self.command.startswith("bptt probe") else self.retry


def record_plan(study: Path, runs: Mapping[str, PlannedRun], command: str | None = None) -> None:
    """Note that a sweep sets out; earlier ones that it includes are forgotten, those of the same command added to it.

    Args:
        study: the folder, which is made where there is none.
        runs: by their ids.
        command: Command that planned them; None: the one that this process was started with.
    """
    (study / "runs").mkdir(parents=True, exist_ok=True)
    command = command or shlex.join([Path(sys.argv[0]).name, *(word for word in sys.argv[1:] if word not in ONCE)])
    sweeps = [sweep for sweep in read_plans(study) if not sweep.runs.keys() <= runs.keys()]
    same = [sweep for sweep in sweeps if sweep.command == command]  # a search, which finds out its runs as it goes
    whole = {id: run for sweep in same for id, run in sweep.runs.items()} | dict(runs)
    sweeps = [sweep for sweep in sweeps if sweep not in same]
    sweeps.append(PlannedSweep(command, datetime.now(UTC).isoformat(timespec="seconds"), whole))
    write_json(study / FILE, {"sweeps": [sweep._asdict() for sweep in sweeps]})


def commands(study: Path, info: Mapping[str, Any], run_id: str) -> tuple[str, str] | None:
    """The command that resumes a run, and the one that makes it again; None where none is known.

    Args:
        study: Folder of the study.
        info: Content of the run's run.json.
        run_id: Name of the run's folder.
    """
    for sweep in read_plans(study):
        if run_id in sweep.runs:
            return sweep.command, sweep.again
    command = shlex.join(word for word in info.get("command", []) if word not in ONCE)
    return (command, f"{command} --fresh") if command.startswith(("bptt run ", "bptt probe ")) else None


def read_plans(study: Path) -> list[PlannedSweep]:
    """The sweeps that were begun into a study, the latest last; none where that is not known."""
    try:
        content: dict[str, Any] = json.loads((study / FILE).read_text(encoding="utf-8"))
        return [
            PlannedSweep(
                sweep["command"], sweep["started"], {id: PlannedRun(*run) for id, run in sweep["runs"].items()}
            )
            for sweep in content["sweeps"]
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
