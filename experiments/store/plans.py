"""The planned runs of each sweep, on disk in sweeps.json, so that runs that never started are reported too."""

import json
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from experiments.store.files import write_json
from experiments.store.integrity import CONFIG

FILE = "sweeps.json"
ONCE = ("--fresh", "--retry", "--yes", "-y")
"""Options that a command to resume a sweep does not repeat."""


class PlannedRun(NamedTuple):
    """A run that a sweep plans.

    Attributes:
        label: What tells the run apart in its sweep, such as "cell=rnn seed=0".
        steps: Number of training steps.
    """

    label: str
    steps: int


class PlannedSweep(NamedTuple):
    """A sweep that was started.

    Attributes:
        command: Command that resumes the sweep; empty in a copy of a study, whose runs it would not resume.
        started: Start time in ISO format.
        runs: Planned runs by their ids.
        study: Name of the study's folder when the sweep was planned.
    """

    command: str
    started: str
    runs: dict[str, PlannedRun]
    study: str

    @property
    def retry_command(self) -> str:
        """The command that also runs failed runs again; a probe's command does so without --retry."""
        return self.command if self.command.startswith("bptt probe") else f"{self.command} --retry"

    @property
    def repair_command(self) -> str:
        """The command that also runs damaged runs again, and runs whose own files have changed since."""
        return f"{self.command} --fresh" if self.command.startswith("bptt probe") else self.retry_command


def record_plan(study: Path, runs: Mapping[str, PlannedRun], command: str | None = None) -> None:
    """Add a sweep to the plans of a study.

    Earlier sweeps whose runs are all in the new one are dropped. Runs of an earlier sweep with the same command are
    added to it.

    Args:
        study: Folder of the study; it is created if it does not exist.
        runs: Planned runs by their ids.
        command: Command that planned them; None for the command line of this process.
    """
    (study / "runs").mkdir(parents=True, exist_ok=True)
    command = command or shlex.join([Path(sys.argv[0]).name, *(word for word in sys.argv[1:] if word not in ONCE)])
    sweeps = [sweep for sweep in read_plans(study) if not sweep.runs.keys() <= runs.keys()]
    same = [sweep for sweep in sweeps if sweep.command == command]  # a search plans its runs one after the other
    whole = {id: run for sweep in same for id, run in sweep.runs.items()} | dict(runs)
    sweeps = [sweep for sweep in sweeps if sweep not in same]
    started = datetime.now(UTC).isoformat(timespec="seconds")
    sweeps.append(PlannedSweep(command, started, whole, study.resolve().name))
    write_json(study / FILE, {"sweeps": [sweep._asdict() for sweep in sweeps]})


def commands_of_run(study: Path, info: Mapping[str, Any], run_id: str) -> tuple[str, str] | None:
    """Find the command that resumes a run and the one that runs it again from the start.

    Args:
        study: Folder of the study.
        info: Content of the run's run.json.
        run_id: Name of the run's folder.

    Returns:
        The two commands; None if they are not known, or if the folder is a copy of the study they are for.
    """
    for sweep in read_plans(study):
        if run_id in sweep.runs:
            return (sweep.command, sweep.repair_command) if sweep.command else None
    if _is_of_another_study(study / "runs" / run_id, study.resolve().name):
        return None
    command = shlex.join(word for word in info.get("command", []) if word not in ONCE)
    return (command, f"{command} --fresh") if command.startswith(("bptt run ", "bptt probe ")) else None


def read_plans(study: Path) -> list[PlannedSweep]:
    """Read the sweeps that were started in a study, the latest last; empty if there is no readable plan."""
    name = study.resolve().name
    try:
        content: dict[str, Any] = json.loads((study / FILE).read_text(encoding="utf-8"))
        return [
            PlannedSweep(
                sweep["command"] if sweep.get("study", name) == name else "",
                sweep["started"],
                {id: PlannedRun(*run) for id, run in sweep["runs"].items()},
                sweep.get("study", name),
            )
            for sweep in content["sweeps"]
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def _is_of_another_study(folder: Path, study: str) -> bool:
    """Whether the configuration of a run names another study, as it does in a copy of that study."""
    try:
        config = yaml.load((folder / CONFIG).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        return Path(config["study"]["name"]).name != study
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return False
