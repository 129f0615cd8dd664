"""Finding studies on disk and reading their runs: configuration, run.json and CSV files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from experiments.errors import DamagedRun, UsageError
from experiments.store.csv_columns import check_table
from experiments.store.files import Value, read_csv
from experiments.store.integrity import CONFIG, damage_of
from experiments.store.locks import is_locked, read_info

MAX_NAMED = 20
"""Number of damaged runs that are named one by one."""


@dataclass(frozen=True)
class Run:
    """A run on disk, as far as it is written.

    Attributes:
        folder: Folder of the run; its name is the run's id.
        config: Flat configuration: 'cell' is the choice's name, 'task.length' an option, 'study' the study's folder.
        info: Content of run.json.
        prefix: Prefix of the id, if runs of several studies are read together.
    """

    folder: Path
    config: Mapping[str, Value]
    info: Mapping[str, Any] = field(repr=False)
    prefix: str = ""

    @cached_property
    def id(self) -> str:
        """Name of the run in the column `run_id` of every table."""
        return self.prefix + self.folder.name

    @property
    def is_probe(self) -> bool:
        """Whether the run is a probe, which trains nothing."""
        return self.info.get("kind") == "probe"

    @property
    def states(self) -> list[str]:
        """Names of the cell's states, the output h first; only h for runs that do not record them."""
        return list(self.info.get("cell", {}).get("states", ["h"]))

    @property
    def kept_by(self) -> dict[str, str]:
        """The gate that keeps each state from one timestep to the next, such as {"c": "forget"}.

        A cell that keeps a state by one minus a gate has "1 - " before the gate's name. Empty if no gate keeps a state,
        and for runs that do not record it.
        """
        return dict(self.info.get("cell", {}).get("kept_by", {}))

    def table(self, name: str) -> pd.DataFrame:
        """Read NAME.csv; returns an empty table if the run has no such file.

        Args:
            name: Name of the table: one of `COLUMNS`, or one that a measure of the user's own wrote.

        Raises:
            UsageError: The file is not a valid table of this name.
        """
        path = self.folder / f"{name}.csv"
        try:
            return check_table(read_csv(path), name)
        except (FileNotFoundError, pd.errors.EmptyDataError):
            return pd.DataFrame()
        except ValueError as error:
            raise UsageError(f"{path}: is not a CSV file of a run: {error}") from None


def find_study(study: str, results_dir: str) -> Path:
    """Find the folder of a study.

    Args:
        study: Name of the study in results_dir, or path of its folder.
        results_dir: Folder that holds the studies.

    Raises:
        UsageError: There is no such folder, or it is not the folder of a study.
    """
    results = Path(results_dir).expanduser()
    folders = [results / study, Path(study).expanduser()]
    for folder in folders:
        if (folder / "runs").is_dir():
            return folder
    for folder in folders:
        if folder.exists():
            raise UsageError(f"{folder}: is not the folder of a study: it has no folder runs")
    if not results.is_dir():
        raise UsageError(f"{study}: neither this folder nor the folder {results_dir} exists; run `bptt sweep` first")
    known = sorted(folder.parent.name for folder in results.glob("*/runs"))
    advice = f"choose from {', '.join(known)}" if known else "run `bptt run` or `bptt sweep` first"
    raise UsageError(f"{study}: no study of this name in {results_dir}, and no such folder; {advice}")


class Damaged(NamedTuple):
    """A run that is left out because its files are not what the run wrote.

    Attributes:
        folder: Folder of the run.
        what: Description of the damage, such as 'gradients.csv has 28 rows, but the run wrote 27'.
    """

    folder: Path
    what: str

    def __str__(self) -> str:
        return f"{self.folder}: {self.what}"


class Runs(list[Run]):
    """The readable runs of one or several studies, with a list of the damaged ones.

    Args:
        runs: Readable runs.
        damaged: Damaged runs.
    """

    def __init__(self, runs: Iterable[Run] = (), damaged: Iterable[Damaged] = ()) -> None:
        super().__init__(runs)
        self.damaged = list(damaged)

    def damage_report(self) -> list[str]:
        """The lines that say how many runs are left out, which and why; empty if none is damaged."""
        return damage_report(self.damaged, len(self) + len(self.damaged))


def damage_report(damaged: Sequence[Damaged], runs: int) -> list[str]:
    """The lines that say how many runs are left out, which and why; empty if none is damaged.

    Args:
        damaged: Damaged runs.
        runs: Number of all runs, the damaged ones included.
    """
    if not damaged:
        return []
    headline = f"{len(damaged)} of {runs} runs {'is' if len(damaged) == 1 else 'are'} left out:"
    lines = [f"  {one}" for one in damaged[:MAX_NAMED]]
    return [headline, *lines, *([f"  and {len(damaged) - MAX_NAMED} more"] if len(damaged) > MAX_NAMED else [])]


def read_runs(study: Path) -> Runs:
    """Read all runs of a study, sorted by id. A folder in which a run has not written run.json yet is skipped.

    A run is damaged if its run.json or config.yaml cannot be read, if its files are not what it wrote, or if its folder
    is a copy of another run's.
    """
    runs = Runs()
    for folder in sorted((study / "runs").iterdir()):
        try:
            if info := read_info(folder):
                runs.append(_read_run(folder, info, study.name))
            elif list(folder.glob("*.csv")) and not is_locked(folder):
                raise DamagedRun(folder, "run.json is missing")
        except DamagedRun as error:
            runs.damaged.append(Damaged(folder, error.what))
        except FileNotFoundError:  # another process is deleting it
            continue
    return runs


def _read_run(folder: Path, info: Mapping[str, Any], study: str) -> Run:
    """Read one run.

    Raises:
        DamagedRun: The run is damaged; see `read_runs`.
        FileNotFoundError: The folder was deleted meanwhile.
    """
    try:
        config = _read_config((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not (folder / "run.json").exists():
            raise
        raise DamagedRun(folder, f"{CONFIG} is missing") from None
    except (ValueError, AttributeError, yaml.YAMLError) as error:
        raise DamagedRun(folder, f"{CONFIG} cannot be read ({str(error).splitlines()[0]})") from None
    _need(folder, "run.json", info, "status", "started", "timesteps", "readout_steps", "parameters")
    _need(folder, CONFIG, config, "cell", "task")
    try:
        what = damage_of(folder, info)
    except (AttributeError, LookupError, TypeError):
        what = "run.json has files that no run writes"
    if what:
        raise DamagedRun(folder, what)
    return Run(folder, {**config, "study": study}, info)


def _need(folder: Path, file: str, content: Mapping[str, Any], *keys: str) -> None:
    for key in keys:
        if content.get(key) is None:
            raise DamagedRun(folder, f"{file} has no {key}")


def _read_config(text: str) -> dict[str, Value]:
    """Parse a configuration group by group: the runs of a study share most groups, which are then parsed once."""
    flat: dict[str, Value] = {}
    for group in re.split(r"\n(?=\w)", text):
        flat |= _read_group(group)
    return flat


@lru_cache(maxsize=10_000)
def _read_group(text: str) -> dict[str, Value]:
    return flatten(yaml.load(text, Loader=yaml.CSafeLoader))


def read_studies(studies: Sequence[Path]) -> Runs:
    """Read the runs of one or several studies; the configuration key `study` names the study of each run.

    Raises:
        UsageError: A study is given twice, has no run yet, or has damaged runs only.
    """
    if len({study.resolve() for study in studies}) < len(studies):
        raise UsageError(f"{', '.join(map(str, studies))}: the same study is given twice")
    names = [study.name for study in studies]
    together = Runs()
    for study in studies:
        runs = read_runs(study)
        if not runs and runs.damaged:
            raise UsageError(f"{study}: all {len(runs.damaged)} runs are damaged; the first is {runs.damaged[0]}")
        if not runs:
            raise UsageError(f"{study}: holds no run yet")
        together.damaged += runs.damaged
        label = study.name if names.count(study.name) == 1 else str(study)
        prefix = f"{label}/" if len(studies) > 1 else ""
        together += [replace(run, prefix=prefix, config={**run.config, "study": label}) for run in runs]
    return together


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Flatten {'cell': {'name': 'lstm', 'forget_bias': 1}} to {'cell': 'lstm', 'cell.forget_bias': 1}.

    Lists become text. Keys that start with _ and results_dir are dropped.
    """
    flat: dict[str, Value] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        elif key == "name" and prefix:
            flat[prefix.removesuffix(".")] = value
        elif not key.startswith("_") and key != "results_dir":
            flat[prefix + key] = str(value) if isinstance(value, list) else value
    return flat
